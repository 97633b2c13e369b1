"""The files of a folder in order, with one folder's names in memory at a time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

_INDEX = "DICOMDIR"  # the index of a DICOM medium lies beside the images and is none


def walk(folder: Path) -> Iterator[Path]:
    """The files of a folder and of all below it, sorted by path, but for what is hidden and the index of a medium.

    Links to folders are followed to none, so that a circle of them has an end.
    """
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or path.name == _INDEX:
            continue
        if path.is_dir():
            if not path.is_symlink():
                yield from walk(path)
        elif path.is_file():
            yield path
