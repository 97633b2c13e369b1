"""Files of a training's folder: whole and on disk, or as they were, and one sentence where they cannot be written."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from io import BufferedWriter
from pathlib import Path
from typing import Any

from medim_forge.generator.errors import StoreError


def place_file(path: Path, write: Callable[[Hashed], Any]) -> None:
    """The file is there, whole and on disk, or as it was.

    Args:
        path: replaced.
        write: writes the content into an open file.

    Raises:
        StoreError: there is no space, or the folder cannot be written.
    """
    part = path.with_name(f"{path.name}.part")
    with written(path, f"{path.name} is as it was."):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_hashed(part, write)
        part.replace(path)
        sync(path.parent)


class Hashed:
    """An open file whose digest is known when all is written, and which remembers why it could not be."""

    def __init__(self, file: BufferedWriter) -> None:
        self._file, self._digest, self._size = file, sha256(), 0
        self.error: OSError | None = None

    def write(self, content: Any) -> int:
        """All of the content is written."""
        try:
            self._file.write(content)
        except OSError as error:
            self.error = error
            raise
        view = memoryview(content).cast("B")
        self._digest.update(view)
        self._size += len(view)
        return len(view)

    def flush(self) -> None:
        """What is written has left the process."""
        self._file.flush()

    def said(self) -> dict[str, Any]:
        """Size and digest."""
        return {"size": self._size, "sha256": self._digest.hexdigest()}


def write_hashed(path: Path, write: Callable[[Hashed], Any]) -> dict[str, Any]:
    """The file is on disk; its size and digest, as the bytes went by."""
    with path.open("wb") as opened:
        file = Hashed(opened)
        try:
            write(file)
        except RuntimeError as error:
            # torch's writer says that a position is unexpected, where the file said that the disk is full.
            if file.error is not None:
                raise file.error from error
            raise
        opened.flush()
        os.fsync(opened.fileno())
    return file.said()


def sync(folder: Path) -> None:
    """The names in a folder are on disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def written(place: Path, kept: str) -> Iterator[None]:
    """Errors of the file system are told as what they mean here, and what was half written is gone.

    Raises:
        StoreError: one happened.
    """
    try:
        yield
    except OSError as error:
        for part in (place, place.with_name(f"{place.name}.part")):
            if part.suffix == ".part":
                shutil.rmtree(part, ignore_errors=True) if part.is_dir() else part.unlink(missing_ok=True)
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        what = "there is no space left" if full else f"cannot be written ({error.strerror or error})"
        mend = "Make room" if full else "Mend that"
        raise StoreError(f"{place}: {what}. {kept} {mend}, and run the job again: it goes on from there.") from error
