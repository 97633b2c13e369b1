"""Where the DICOM objects of a shard lie: one file each, or together in one archive for stores that dislike many files.

Both kinds of archive hold their members as they are, so that one of them can be read without the others.
"""

from __future__ import annotations

import hashlib
import io
import struct
import tarfile
import zipfile
from collections.abc import Hashable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO, Literal, cast

from medim_forge.generator.errors import InputError
from medim_forge.generator.files import sha256_hex
from medim_forge.generator.records import FileRecord
from medim_forge.generator.store import Store, store_at

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
_LOCAL_HEADER = struct.Struct("<26xHH")


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


def read_object(place: Path | str | Store, path: str) -> bytes:
    """The content of a DICOM file.

    Args:
        place: the dataset, or a shard's folder.
        path: relative to it, as `dicom_path` says it.

    Raises:
        InputError: there is no such object, or the archive is broken.
    """
    store = store_at(place)
    whole, member = _split(path)
    try:
        if member is None:
            return store.read(whole)
        with _opened(store, whole) as stream:
            start, size = _index(cast("Hashable", store), whole, _state(stream))[member]
            stream.seek(start)
            return stream.read(size)
    except KeyError as error:
        raise InputError(f"{whole} holds no {member}; was the archive replaced?") from error
    except (OSError, zipfile.BadZipFile, tarfile.TarError, struct.error) as error:
        raise InputError(f"{path} cannot be read ({type(error).__name__}: {error})") from error


def _split(path: str) -> tuple[str, str | None]:
    """The file that holds an object, and the object's name in it if that is an archive."""
    for kind in KINDS:
        before, found, member = f"/{path}".partition(f"/{FOLDER}.{kind}/")
        if found:
            return f"{before}/{FOLDER}.{kind}".lstrip("/"), member
    return path, None


@contextmanager
def _opened(store: Store, name: str) -> Iterator[BinaryIO]:
    handle = store.handle(name)
    with handle.open("rb") if isinstance(handle, Path) else handle as stream:
        yield cast("BinaryIO", stream)


def _state(stream: BinaryIO) -> tuple[int, ...]:
    """What differs when a file has changed; on an object store, where shards do not, its size."""
    try:
        status = Path(stream.name).stat()
    except AttributeError:
        return (stream.seek(0, 2),)
    return status.st_mtime_ns, status.st_size


@lru_cache(maxsize=2)
def _index(store: Store, name: str, state: tuple[int, ...]) -> Mapping[str, tuple[int, int]]:  # noqa: ARG001 - a changed file is another key
    """Where every member's content starts in an archive, and how long it is."""
    with _opened(store, name) as stream:
        if name.endswith(".tar"):
            with tarfile.open(fileobj=stream, mode="r:") as tar:
                return {member.name: (member.offset_data, member.size) for member in tar.getmembers()}
        found = {}
        with zipfile.ZipFile(stream) as archive:
            for member in archive.infolist():
                # Only the header in front of the content says where the content starts.
                stream.seek(member.header_offset)
                length, extra = _LOCAL_HEADER.unpack(stream.read(_LOCAL_HEADER.size))
                found[member.filename] = (member.header_offset + _LOCAL_HEADER.size + length + extra, member.file_size)
        return found
