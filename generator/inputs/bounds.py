"""How large given files may be: refused by the size they state, before memory is taken for what that stands for."""

from __future__ import annotations

import struct
from math import prod
from typing import TYPE_CHECKING

from medim_forge.generator.errors import InputError

if TYPE_CHECKING:
    from PIL import Image

# Width x height x channels x frames of a picture; from the same size of RGB on, Pillow suspects a bomb.
LARGEST_PICTURE = 2**28
# Bytes of an encoded image: a file, or a cell of a table.
LARGEST_IMAGE = 2**30
# Bytes of a report: a file, or a cell of a table.
LARGEST_REPORT = 2**24
_TILE = (322, 323)  # TIFF: width and length of a tile, which may be larger than the picture and is decoded whole
_MODES = {"1": 1, "L": 1, "P": 1, "I": 1, "F": 1, "LA": 2, "PA": 2, "La": 2, "RGB": 3, "YCbCr": 3, "LAB": 3, "HSV": 3}


def check_samples(width: int, height: int, channels: int, frames: int = 1) -> None:
    """A picture of this size can be held in memory.

    Raises:
        InputError: it is too large; the message goes on from the name of the image.
    """
    if prod((width, height, channels, frames)) > LARGEST_PICTURE:
        raise InputError(
            f"is {width} x {height} pixels (channels {channels}, frames {frames}), above the limit of "
            f"{LARGEST_PICTURE:,} samples. Crop or shrink it"
        )


def check_bytes(size: int, most: int, what: str) -> None:
    """As many bytes can be read.

    Raises:
        InputError: there are too many; the message goes on from the name of the file or cell.
    """
    if size > most:
        raise InputError(f"holds {size:,} bytes, and {what} may have {most:,}. Give a smaller one")


def check_webp(content: bytes) -> None:
    """A WebP is known to be of a size that can be held, before its decoder takes memory for its canvas.

    Raises:
        InputError: it is too large; the message goes on from the name of the image.
    """
    if content[:4] == b"RIFF" and content[8:16] == b"WEBPVP8X" and len(content) >= 30:
        width, height = (int.from_bytes(content[at : at + 3], "little") + 1 for at in (24, 27))
        check_samples(width, height, 4)


def check_picture(image: Image.Image) -> None:
    """A picture that is open and not decoded is of a size that can be held in memory.

    Raises:
        InputError: it is too large; the message goes on from the name of the image.
    """
    channels = _MODES.get(image.mode.partition(";")[0], 1 if image.mode.startswith("I") else 4)
    check_samples(image.width, image.height, channels)
    tags = getattr(image, "tag_v2", None) or {}
    width, length = (side if isinstance(side := tags.get(tag, 1), int) else LARGEST_PICTURE for tag in _TILE)
    check_samples(width, length, channels)


def jpeg_size(frame: bytes) -> tuple[int, int, int] | None:
    """Width, height and components that the header of a JPEG or JPEG-LS states, the largest if it states several."""
    at, found = frame.find(b"\xff\xd8") + 2, None
    while 2 <= at < len(frame) - 8:
        if frame[at] != 0xFF or frame[at + 1] in (0x00, 0xFF):
            at += 1
            continue
        marker = frame[at + 1]
        if marker in (0xD9, 0xDA):
            break
        if marker == 0x01 or 0xD0 <= marker <= 0xD8:
            at += 2
            continue
        if marker == 0xF7 or (0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC)):
            height, width, components = struct.unpack_from(">HHB", frame, at + 5)
            found = max(found or (0, 0, 0), (width, height, components), key=prod)
        at += 2 + int.from_bytes(frame[at + 2 : at + 4], "big")
    return found


def jpeg2000_size(frame: bytes) -> tuple[int, int, int] | None:
    """Width, height and components that the header of a JPEG 2000 or HTJ2K codestream states."""
    at = frame.find(b"\xff\x4f\xff\x51")
    if at < 0 or len(frame) < at + 42:
        return None
    right, bottom, left, top = struct.unpack_from(">4I", frame, at + 8)
    components = int.from_bytes(frame[at + 40 : at + 42], "big")
    return max(right - left, 0), max(bottom - top, 0), components
