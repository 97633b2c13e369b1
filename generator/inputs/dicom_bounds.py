"""DICOM that is read without taking more memory than the file itself and the picture that it states."""

from __future__ import annotations

import io
import zlib
from typing import BinaryIO

from pydicom import dcmread
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.encaps import generate_frames
from pydicom.filereader import read_dataset
from pydicom.tag import BaseTag
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    JPEG2000TransferSyntaxes,
    JPEGLSTransferSyntaxes,
    JPEGTransferSyntaxes,
    RLELossless,
)

from medim_forge.generator.errors import InputError
from medim_forge.generator.inputs.bounds import jpeg2000_size, jpeg_size

# Bytes that a deflated object may have; the form is rare, and a file a thousandth as large can state them.
LARGEST_INFLATED = 2**28
_PREAMBLE, _MAGIC, _META = 128, b"DICM", b"\x02\x00"
_PIECE = 2**20  # bytes inflated at a time
_PIXELS = (0x7FE00008, 0x7FE00009, 0x7FE00010)
_FULL = 64  # times as many bytes at most do run lengths stand for


def read_bounded(file: BinaryIO, *, force: bool = False, stop_before_pixels: bool = False) -> FileDataset:
    """The object in a file, as `pydicom.dcmread` reads it; what is deflated is inflated up to a limit.

    Args:
        file: open, at its start.
        force: take what has no preamble.
        stop_before_pixels: leave the pixels unread.

    Raises:
        InputError: it is deflated, and inflates to more than `LARGEST_INFLATED`.
        InvalidDicomError: it is no DICOM.
    """
    head = file.read(_PREAMBLE + len(_MAGIC))
    start = len(head) if head[_PREAMBLE:] == _MAGIC else 0 if head.startswith(_META) else None
    if start is not None:
        file.seek(start)
        meta = read_dataset(file, False, True, stop_when=_after_meta)
        if meta.get("TransferSyntaxUID") == DeflatedExplicitVRLittleEndian:
            content = _inflated(file.read())
            stop = _at_pixels if stop_before_pixels else None
            dataset = read_dataset(io.BytesIO(content), False, True, stop_when=stop)
            return FileDataset(io.BytesIO(), dataset, None, FileMetaDataset(meta), False, True)
    file.seek(0)
    return dcmread(file, force=force, stop_before_pixels=stop_before_pixels)


def check_frame(dataset: Dataset, syntax: UID) -> None:
    """The encoded pixels say of themselves that they are no larger than the object says.

    Raises:
        InputError: they are larger, or say nothing.
    """
    stated = int(dataset.Rows) * int(dataset.Columns) * int(dataset.SamplesPerPixel)
    if syntax == RLELossless:
        _check_runs(dataset, stated * (int(dataset.BitsAllocated) // 8 or 1))
        return
    if syntax in JPEG2000TransferSyntaxes:
        size_of = jpeg2000_size
    elif syntax in (*JPEGTransferSyntaxes, *JPEGLSTransferSyntaxes):
        size_of = jpeg_size
    else:
        return
    for frame in generate_frames(dataset.PixelData, number_of_frames=1):
        size = size_of(frame)
        if size is None:
            raise InputError(f"has pixels ({syntax.name}) that cannot be decoded: they state no size")
        width, height, samples = size
        if width > int(dataset.Columns) or height > int(dataset.Rows) or width * height * samples > stated:
            raise InputError(
                f"has pixels ({syntax.name}) that cannot be decoded: they state {width} x {height} of {samples} "
                f"samples, above the {dataset.Columns} x {dataset.Rows} of {dataset.SamplesPerPixel} of the header"
            )


def _check_runs(dataset: Dataset, stated: int) -> None:
    """Run lengths stand for about as many bytes as the object says.

    Raises:
        InputError: they stand for more than twice as many.
    """
    for frame in generate_frames(dataset.PixelData, number_of_frames=1):
        if len(frame) * _FULL <= 2 * stated:
            continue
        at, found = _FULL, 0
        while at < len(frame):
            count = frame[at]
            at, found = (at + 2, found + 257 - count) if count > 128 else (at + 2 + count, found + 1 + count)
            if found > 2 * stated + _FULL:
                raise InputError(f"has run lengths that stand for more than the {stated:,} bytes of its header")


def _inflated(content: bytes) -> bytes:
    """What a raw deflate stream stands for; it is measured piece by piece before it is kept.

    Raises:
        InputError: it is more than `LARGEST_INFLATED` bytes.
    """
    stream, rest, size = zlib.decompressobj(-zlib.MAX_WBITS), content, 0
    while not stream.eof:
        piece = stream.decompress(rest, _PIECE)
        size, rest = size + len(piece), stream.unconsumed_tail
        if size > LARGEST_INFLATED:
            raise InputError(
                f"is deflated, and inflates to more than the limit of {LARGEST_INFLATED:,} bytes. Store it uncompressed"
            )
        if not piece and not rest:
            break
    return zlib.decompressobj(-zlib.MAX_WBITS).decompress(content)


def _after_meta(tag: BaseTag, *_: object) -> bool:
    return tag.group != 2


def _at_pixels(tag: BaseTag, *_: object) -> bool:
    return tag in _PIXELS
