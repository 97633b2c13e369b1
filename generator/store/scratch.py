"""A local folder for what is on its way to an object store; it goes with its process, and after a kill with the next.

<temporary directory>/medim-scratch-<user>/<random>/lock    held for as long as the process lives
"""

from __future__ import annotations

import atexit
import fcntl
import os
import shutil
import tempfile
import threading
from pathlib import Path
from typing import IO

from medim_forge.generator.errors import StoreError

_LOCK = "lock"
# Of this process; a forked one has another number and makes its own. The open lock is what keeps the folder.
_mine: dict[int, tuple[Path, IO[bytes]]] = {}
_turn = threading.Lock()


def scratch_folder() -> Path:
    """This process's folder, the same at every call; those of processes that have died are gone.

    Raises:
        StoreError: the temporary directory cannot be used.
    """
    with _turn:
        if os.getpid() not in _mine:
            try:
                _mine[os.getpid()] = _claimed()
            except OSError as error:
                raise StoreError(
                    f"{tempfile.gettempdir()}: cannot take shards on their way to the object store ({error}). "
                    "Make room there, or set TMPDIR to a local folder that has it."
                ) from error
            atexit.register(_leave)
        return _mine[os.getpid()][0]


def _claimed() -> tuple[Path, IO[bytes]]:
    """A new folder of this process with its open lock; folders whose lock is free are gone."""
    parent = Path(tempfile.gettempdir(), f"medim-scratch-{os.getuid()}")
    parent.mkdir(mode=0o700, exist_ok=True)
    if parent.is_symlink() or parent.stat().st_uid != os.getuid():
        raise PermissionError(f"{parent} belongs to somebody else")
    with (parent / _LOCK).open("wb") as shared_lock:
        # One at a time, so that no process sweeps a folder whose lock is about to be taken.
        fcntl.flock(shared_lock, fcntl.LOCK_EX)
        for folder in parent.glob(f"*/{_LOCK}"):
            _sweep(folder.parent)
        mine = Path(tempfile.mkdtemp(dir=parent))
        lock = (mine / _LOCK).open("wb")
        fcntl.flock(lock, fcntl.LOCK_EX)
    return mine, lock


def _sweep(folder: Path) -> None:
    """The folder is gone, unless its process still holds the lock."""
    with (folder / _LOCK).open("rb") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return
        shutil.rmtree(folder, ignore_errors=True)


def _leave() -> None:
    """The folder of this process is gone."""
    held = _mine.pop(os.getpid(), None)
    if held:
        shutil.rmtree(held[0], ignore_errors=True)
        held[1].close()
