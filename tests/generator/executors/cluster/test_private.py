"""Who reaches a private Ray, and what is left of it when its driver is killed. Each test has a driver of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from medim_forge.generator.executors.cluster import leftovers
from tests.doubles.ray_driver import said_until_a_commit, start_driver
from tests.doubles.toy_replica import set_faults, toy_job

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

ASK = """
import sys, ray
from ray._raylet import GcsClient
try:
    GcsClient(address=sys.argv[1])
except Exception as error:
    print(type(error).__name__)
else:
    print("let in")
"""


@pytest.fixture
def temporary() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="mt-", dir="/tmp") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.fixture
def driver(tmp_path, temporary) -> Iterator[subprocess.Popen[str]]:
    """One that never ends by itself, with a shard committed, in a shell that turns tokens off."""
    spec = toy_job(tmp_path, tmp_path / "checkpoint")
    set_faults(spec, *({"at": "generate", "do": "hang", "pair": pair} for pair in range(2, 8)))
    process = start_driver("toy", spec, tmp_path / "job.yaml", TMPDIR=str(temporary), RAY_AUTH_MODE="disabled")
    said = said_until_a_commit(process)
    assert any("RAY_AUTH_MODE = 'disabled' is not for the private Ray" in line for line in said)
    yield process
    process.kill()
    process.communicate()


def folder_of(temporary: Path) -> Path:
    (lock,) = temporary.glob("medim-*/*/lock")
    return lock.parent


def descendants(pid: int) -> set[int]:
    parents: dict[int, list[int]] = {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = entry.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        parents.setdefault(int(fields[1]), []).append(int(entry.parent.name))
    found, todo = set(), [pid]
    while todo:
        children = parents.get(todo.pop(), [])
        found.update(children)
        todo += children
    return found


def listening(pids: set[int]) -> dict[str, int]:
    """`address:port` in the notation of the kernel, and the process, of all listening sockets of these processes."""
    inodes: dict[str, int] = {}
    for pid in pids:
        for link in Path(f"/proc/{pid}/fd").iterdir():
            try:
                target = str(link.readlink())
            except OSError:
                continue
            if target.startswith("socket:["):
                inodes[target[8:-1]] = pid
    found = {}
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and fields[9] in inodes:
                found[fields[1]] = inodes[fields[9]]
    return found


def on_loopback(address: str) -> bool:
    host = address.rpartition(":")[0]
    return host in {
        "0100007F",  # 127.0.0.1
        "0000000000000000FFFF00000100007F",  # the same as an IPv6 address
        "00000000000000000000000001000000",  # ::1
    }


def test_only_its_user_reaches_a_private_ray_and_nothing_is_left_when_its_driver_is_killed(driver, temporary):
    folder = folder_of(temporary)
    for _ in range(100):  # its agents take a while to start
        rays = set(leftovers.processes_of(folder))
        sockets = listening(descendants(driver.pid) | {driver.pid})
        if len(sockets) >= 10:
            break
        time.sleep(0.2)
    owners = {Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ")[:200] for pid in sockets.values()}
    assert len(sockets) >= 10, "GCS, raylet, agents, workers and driver listen"
    assert any(b"gcs_server" in owner for owner in owners)
    assert all(on_loopback(address) for address in sockets), {a: s for a, s in sockets.items() if not on_loopback(a)}

    assert folder.parent.stat().st_mode & 0o777 == 0o700
    if os.getuid() == 0:
        others = subprocess.run(
            [sys.executable, "-c", f"import os; os.setuid(65534); os.listdir({str(folder / 'r')!r})"],
            capture_output=True,
            text=True,
            check=False,
        )
        assert "PermissionError" in others.stderr

    # Workers overwrite their environment with their titles.
    environments = [Path(f"/proc/{pid}/environ").read_bytes().split(b"\0") for pid in sorted(descendants(driver.pid))]
    tokens = {entry for entries in environments for entry in entries if entry.startswith(b"RAY_AUTH_TOKEN=")}
    assert len(tokens) == 1, "a token must be found for this test to say anything"
    token = tokens.pop().decode().partition("=")[2]
    assert len(token) == 64
    commands = [Path(f"/proc/{pid}/cmdline").read_text() for pid in rays]
    assert not any(token in command for command in commands)
    port = next(int(address[-4:], 16) for address, pid in sockets.items() if b"gcs_server" in command_of(pid))
    for environment, answer in (
        ({"RAY_AUTH_MODE": "disabled"}, "AuthenticationError"),
        ({"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "2" * 64}, "AuthenticationError"),
        ({"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": token}, "let in"),
    ):
        asked = subprocess.run(
            [sys.executable, "-c", ASK, f"127.0.0.1:{port}"],
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            check=True,
        )
        assert asked.stdout.strip() == answer

    everybody = descendants(driver.pid)
    assert len(everybody - heirs(everybody)) >= 8, "GCS, raylet, agents and workers must be there to be swept"
    driver.kill()
    driver.wait()
    assert gone(everybody, folder)


def command_of(pid: int) -> bytes:
    return Path(f"/proc/{pid}/cmdline").read_bytes()


def gone(pids: set[int], folder: Path, seconds: float = 25) -> bool:
    for _ in range(int(seconds * 5)):
        if not folder.exists() and not any(Path(f"/proc/{pid}/fd/1").is_symlink() for pid in pids):
            return True
        time.sleep(0.2)
    return False


def test_where_its_heir_is_killed_too_the_next_start_sweeps(driver, temporary, monkeypatch):
    folder = folder_of(temporary)
    rays = descendants(driver.pid)
    (heir,) = heirs(rays)
    os.kill(heir, signal.SIGKILL)
    driver.kill()
    driver.wait()
    assert folder.exists()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    mine, lock = leftovers.claimed()
    with lock:
        assert gone(rays, folder, 5)
    leftovers.sweep(mine)


def heirs(pids: set[int]) -> set[int]:
    return {pid for pid in pids if b"leftovers.py" in command_of(pid)}
