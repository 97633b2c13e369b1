"""Bytes and files: where they are read from, how large they are, and their digests."""

from __future__ import annotations

import hashlib
import io
from contextlib import nullcontext
from pathlib import Path

from medim_forge.generator.records import FileRecord

# What Parquet and DICOM are read from: a path, or a file that is open already.
Handle = Path | io.IOBase
_PIECE = 2**20


def is_url(place: str) -> bool:
    """Whether an output lies somewhere else than in a folder."""
    return "://" in place


def file_record(handle: Handle, name: str) -> FileRecord:
    """Size and sha256 of a file, read in pieces; `name` is what the record calls it."""
    digest, size = hashlib.sha256(), 0
    with handle.open("rb") if isinstance(handle, Path) else nullcontext(handle) as file:
        while piece := file.read(_PIECE):
            digest.update(piece)
            size += len(piece)
    return FileRecord(path=name, size=size, sha256=digest.hexdigest())


def sha256_hex(content: bytes) -> str:
    """The sha256 of some bytes, hex."""
    return hashlib.sha256(content).hexdigest()
