"""What a killed driver leaves, without a Ray: a process that writes into its folder stands in for Ray's."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from medim_forge.generator.executors.cluster import leftovers

CLAIM = f"""
import importlib.util, subprocess, sys, time
spec = importlib.util.spec_from_file_location("leftovers", {leftovers.__file__!r})
leftovers = importlib.util.module_from_spec(spec); spec.loader.exec_module(leftovers)
folder, lock = leftovers.claimed()
child = subprocess.Popen(["sleep", "600"], stdout=(folder / "log").open("wb"), start_new_session=True)
if "heir" in sys.argv:
    import os
    subprocess.Popen([sys.executable, "-I", leftovers.__file__, str(folder), str(os.getpid())], start_new_session=True,
                     stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
print(folder, child.pid, flush=True)
time.sleep(600)
"""


@pytest.fixture(autouse=True)
def temporary(monkeypatch) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="mt-", dir="/tmp") as folder:
        monkeypatch.setenv("TMPDIR", folder)
        monkeypatch.setattr(tempfile, "tempdir", None)
        yield Path(folder)


@contextlib.contextmanager
def driver(*words: str) -> Iterator[tuple[subprocess.Popen[str], Path, int]]:
    """A process that holds a folder, and one that it started, whose output goes there."""
    with subprocess.Popen([sys.executable, "-c", CLAIM, *words], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        folder, child = process.stdout.readline().split()
        try:
            yield process, Path(folder), int(child)
        finally:
            process.kill()
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(child), signal.SIGKILL)


def soon(true: Callable[[], bool]) -> bool:
    for _ in range(150):
        if true():
            return True
        time.sleep(0.1)
    return False


def alive(pid: int) -> bool:
    """Whether it runs; what is dead and unburied has no command line."""
    with contextlib.suppress(OSError):
        return bool(Path(f"/proc/{pid}/cmdline").read_bytes())
    return False


def test_the_next_start_sweeps_a_dead_driver_and_leaves_a_live_one_alone():
    with driver() as (dead, first, orphan), driver() as (_, second, working):
        dead.kill()
        dead.wait()
        assert first.is_dir()
        assert alive(orphan), "the fault must have happened"
        mine, lock = leftovers.claimed()
        with lock:
            assert not first.exists()
            assert soon(lambda: not alive(orphan))
            assert second.is_dir()
            assert alive(working)
            assert not leftovers.sweep_if_dead(second)
        leftovers.sweep(mine)
        assert not mine.exists()


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGHUP])
def test_a_process_that_outlives_the_driver_sweeps_at_once(how):
    with driver("heir") as (process, folder, orphan):
        assert leftovers.processes_of(folder)
        process.send_signal(how)
        process.wait()
        assert soon(lambda: not folder.exists())
        assert soon(lambda: not alive(orphan))


def test_who_reads_a_log_is_no_process_of_that_ray():
    folder, lock = leftovers.claimed()
    with lock:
        (folder / "log").write_text("text")
        with subprocess.Popen(["tail", "-f", str(folder / "log")], stdout=subprocess.DEVNULL) as reader:
            leftovers.sweep(folder)
            assert reader.poll() is None
            reader.kill()


def test_the_folder_is_the_users_alone(temporary):
    home = temporary / f"medim-{os.getuid()}"
    home.mkdir(mode=0o777)
    home.chmod(0o777)
    folder, lock = leftovers.claimed()
    with lock:
        assert home.stat().st_mode & 0o777 == 0o700
        assert folder.stat().st_mode & 0o777 == 0o700
        assert folder.parent == home


def test_a_folder_that_is_a_link_is_not_taken(temporary):
    (temporary / "elsewhere").mkdir()
    (temporary / f"medim-{os.getuid()}").symlink_to(temporary / "elsewhere")
    with pytest.raises(PermissionError, match="is not a folder of yours"):
        leftovers.claimed()


def test_paths_of_sockets_are_short_enough_wherever_the_temporary_directory_is(temporary, monkeypatch):
    deep = temporary / ("long" * 20)
    deep.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(deep))
    folder, lock = leftovers.claimed()
    lock.close()
    socket = f"{folder}/r/session_2026-12-01_09-55-57_841771_4194304/sockets/plasma_store"
    assert len(socket) <= 107
    leftovers.sweep(folder)
