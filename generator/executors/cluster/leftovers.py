"""The folders of private Rays: each is locked by its driver for as long as that lives, and swept once it does not.

<temporary directory>/medim-<user>/          0700: nobody else reaches what is in it
    lock                                     held while a folder is claimed or looked at
    <random>/lock                            held by the driver
    <random>/r/                              the folder that Ray is given, which Ray opens to everybody

This file needs nothing but Python itself, for it is also run by its path, as the process that outlives a killed driver:
`python -I leftovers.py FOLDER PID`.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

_LOCK = "lock"
_TICK_S = 0.2
_PATIENCE_S = 20.0
# Ray's own part of a socket's path: /session_<time>_<pid>/sockets/plasma_store. A whole one has at most 107 bytes.
_SOCKET, _LONGEST = 64, 107


def claimed() -> tuple[Path, IO[bytes]]:
    """A new folder of this process and its open lock, which is what keeps it; those of dead drivers are swept.

    Raises:
        PermissionError: the folder of this user's Rays is somebody else's, or a link.
    """
    home = _home()
    home.mkdir(mode=0o700, exist_ok=True)
    facts = home.lstat()
    if home.is_symlink() or not home.is_dir() or facts.st_uid != os.getuid():
        raise PermissionError(f"{home} is not a folder of yours")
    home.chmod(0o700)
    with (home / _LOCK).open("wb") as shared:
        # One at a time, so that no process sweeps a folder whose lock is about to be taken.
        fcntl.flock(shared, fcntl.LOCK_EX)
        for lock in sorted(home.glob(f"*/{_LOCK}")):
            sweep_if_dead(lock.parent)
        folder = Path(tempfile.mkdtemp(prefix="", dir=home))
        lock_file = (folder / _LOCK).open("wb")
        fcntl.flock(lock_file, fcntl.LOCK_EX)
    return folder, lock_file


def _home() -> Path:
    """The folder of this user's private Rays, short enough for the sockets in it."""
    name = f"medim-{os.getuid()}"
    given = Path(tempfile.gettempdir(), name)
    taken = len(os.fsencode(str(given))) + len("/12345678/r") + _SOCKET
    return given if taken <= _LONGEST else Path("/tmp", name)  # noqa: S108 - it is 0700 and its owner is checked


def sweep_if_dead(folder: Path) -> bool:
    """Whether nobody holds the folder's lock; then its processes and the folder are gone."""
    try:
        lock = (folder / _LOCK).open("rb")
    except FileNotFoundError:
        return True
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        sweep(folder)
    return True


def sweep(folder: Path) -> None:
    """The processes of a Ray whose driver is gone have ended, and so has its folder.

    Args:
        folder: claimed by that driver, or by this process.
    """
    end = time.monotonic() + _PATIENCE_S
    while time.monotonic() < end:
        found = list(processes_of(folder))
        if not found:
            break
        for pid in found:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(_TICK_S)
    shutil.rmtree(folder, ignore_errors=True)


def processes_of(folder: Path) -> Iterator[int]:
    """The processes that have a file of the folder open to write, as every process of a Ray has its log.

    One that merely reads a log, or names the folder, is none. Without /proc none are found, and Ray's processes end by
    themselves.
    """
    for entry in Path("/proc").glob("[0-9]*"):
        if int(entry.name) != os.getpid() and _writes_into(entry, f"{folder}/"):
            yield int(entry.name)


def _writes_into(process: Path, inside: str) -> bool:
    """Whether the process has a file below `inside` open to write; no, where it is gone or somebody else's."""
    with contextlib.suppress(OSError):
        for descriptor in (process / "fd").iterdir():
            with contextlib.suppress(OSError):
                if str(descriptor.readlink()).startswith(inside):
                    facts = (process / "fdinfo" / descriptor.name).read_text()
                    flags = next(line.split()[1] for line in facts.splitlines() if line.startswith("flags:"))
                    if int(flags, 8) & (os.O_WRONLY | os.O_RDWR):
                        return True
    return False


def outlive(folder: Path, driver: int) -> None:
    """The driver has ended, and what it left of its Ray is swept.

    Args:
        folder: that the driver holds.
        driver: the process that started this one.
    """
    while os.getppid() == driver:
        time.sleep(_TICK_S)
    # A process that the driver forked may hold the lock a little longer, or for good: then the next start sweeps.
    end = time.monotonic() + _PATIENCE_S
    while not sweep_if_dead(folder) and time.monotonic() < end:
        time.sleep(_TICK_S)


if __name__ == "__main__":
    outlive(Path(sys.argv[1]), int(sys.argv[2]))
