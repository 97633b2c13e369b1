"""The DICOM objects of a dataset, read by their path: out of a shard's folder, or out of its archive."""

from __future__ import annotations

import struct
import tarfile
import zipfile
from collections.abc import Hashable, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO, cast

from generator.errors import InputError
from generator.store import Store, store_at
from generator.writers.dicom_archive import FOLDER, KINDS

_LOCAL_HEADER = struct.Struct("<26xHH")


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
    source = store.source(name)
    with source.open("rb") if isinstance(source, Path) else source as stream:
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
                return {one.name: (one.offset_data, one.size) for one in tar.getmembers()}
        found = {}
        with zipfile.ZipFile(stream) as archive:
            for one in archive.infolist():
                # Only the header in front of the content says where the content starts.
                stream.seek(one.header_offset)
                length, extra = _LOCAL_HEADER.unpack(stream.read(_LOCAL_HEADER.size))
                found[one.filename] = (one.header_offset + _LOCAL_HEADER.size + length + extra, one.file_size)
        return found
