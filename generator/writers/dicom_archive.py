"""Where the DICOM objects of a shard lie: one file each, or together in one archive for stores that dislike many files.

Both kinds of archive hold their members as they are, so that one of them can be read without the others.
"""

from __future__ import annotations

import hashlib
import io
import tarfile
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal

from generator.records import FileRecord
from generator.writers.png import sha256_hex

Archive = Literal["zip", "tar"]

FOLDER = "dicom"
IMAGE_FILE = "image.dcm"
REPORT_FILE = "report.dcm"
KINDS: tuple[Archive, ...] = ("zip", "tar")
# The first moment that a zip can write: an archive must not know when it was made.
_NO_TIME = (1980, 1, 1, 0, 0, 0)
_READABLE = 0o644
_UNIX = 3

# One object of a shard: id of its pair, file name, content.
Item = tuple[str, str, bytes]


def object_path(pair_id: str, name: str, archive: Archive | None) -> str:
    """Where an object lies, relative to its shard: `dicom/<pair_id>/image.dcm`, or `dicom.zip/<pair_id>/image.dcm`."""
    top = FOLDER if archive is None else f"{FOLDER}.{archive}"
    return f"{top}/{pair_id}/{name}"


def write_objects(folder: Path, items: Iterable[Item], archive: Archive | None) -> list[FileRecord]:
    """The objects are below `folder`; no object, no archive.

    Args:
        folder: of the shard.
        items: in the order that they are stored in.
        archive: None for a file per object.

    Returns:
        What was written, sorted by path.
    """
    if archive is None:
        return sorted(_write_files(folder, items), key=lambda record: record.path)
    path, stream = folder / f"{FOLDER}.{archive}", iter(items)
    first = next(stream, None)
    if first is None:
        return []
    write = _write_zip if archive == "zip" else _write_tar
    write(path, (item for part in ((first,), stream) for item in part))
    with path.open("rb") as written:
        digest = hashlib.file_digest(written, "sha256").hexdigest()
    return [FileRecord(path=path.name, size=path.stat().st_size, sha256=digest)]


def beside(path: str, name: str) -> str:
    """The path of another file of the same pair."""
    return f"{path.rpartition('/')[0]}/{name}"


def _write_files(folder: Path, items: Iterable[Item]) -> Iterator[FileRecord]:
    for pair_id, name, content in items:
        relative = object_path(pair_id, name, None)
        path = folder / relative
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        yield FileRecord(path=relative, size=len(content), sha256=sha256_hex(content))


def _write_zip(path: Path, items: Iterable[Item]) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for pair_id, name, content in items:
            entry = zipfile.ZipInfo(f"{pair_id}/{name}", _NO_TIME)
            # The same on every system.
            entry.create_system, entry.external_attr = _UNIX, _READABLE << 16
            archive.writestr(entry, content)


def _write_tar(path: Path, items: Iterable[Item]) -> None:
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as archive:
        for pair_id, name, content in items:
            # A new entry has no owner and no time.
            entry = tarfile.TarInfo(f"{pair_id}/{name}")
            entry.size, entry.mode = len(content), _READABLE
            archive.addfile(entry, io.BytesIO(content))
