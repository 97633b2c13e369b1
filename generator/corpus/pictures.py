"""Where images lie, and how they are read. Decoding is the generate job's own, so that both see the same pixels."""

from __future__ import annotations

import io
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medim_forge.generator.errors import InputError, SpecError
from medim_forge.generator.inputs.bounds import LARGEST_IMAGE, check_bytes
from medim_forge.generator.inputs.images import FORMATS, decode_image, encode_image
from medim_forge.generator.inputs.row_groups import ColumnReader

_PREAMBLE, _MAGIC = 128, b"DICM"


def decode(content: bytes) -> NDArray[np.uint8]:
    """The picture that a file holds, DICOM or what Pillow reads: uint8 [H, W] or [H, W, 3].

    Raises:
        InputError: it cannot be decoded; the message goes on from the name of the row.
    """
    if is_dicom_content(content):
        from medim_forge.generator.inputs.dicom import read_dicom

        return read_dicom(content)
    return np.asarray(decode_image(content))


def is_dicom_content(content: bytes) -> bool:
    """Whether a file is DICOM by what stands behind its preamble."""
    return content[_PREAMBLE : _PREAMBLE + len(_MAGIC)] == _MAGIC


def is_deep(content: bytes) -> bool:
    """Whether an encoded image holds more than 8 bits a pixel, so that it is windowed to be shown."""
    from PIL import Image

    if is_dicom_content(content):
        return False
    with suppress(Exception), Image.open(io.BytesIO(content), formats=FORMATS) as opened:
        return opened.mode.startswith(("I", "F"))
    return False


class _Read:
    """What all that can be read as bytes has in common."""

    def there(self) -> bool:
        """An image in a table or an archive is."""
        return True

    def content(self) -> bytes:
        raise NotImplementedError

    def pixels(self) -> NDArray[np.uint8]:
        """The picture: uint8 [H, W] or [H, W, 3]."""
        return decode(self.content())


@dataclass(frozen=True)
class FilePicture(_Read):
    """An image in a file of its own.

    Args:
        path: of the file.
    """

    path: Path

    def there(self) -> bool:
        """Whether there is such a file."""
        return self.path.is_file()

    def content(self) -> bytes:
        """The bytes of the file."""
        return read_file(self.path)


@dataclass(frozen=True)
class PartPicture(_Read):
    """An image that is a part of a larger file: a member of an archive.

    Args:
        path: of the file.
        start: first byte.
        size: bytes.
    """

    path: Path
    start: int
    size: int

    def content(self) -> bytes:
        """The bytes of the part."""
        return read_part(self.path, self.start, self.size)


@dataclass(frozen=True)
class CellPicture(_Read):
    """An image in a Parquet table, or named there.

    Args:
        path: of the table.
        group: number of the row group.
        row: in the group.
        column: name.
        folder: that paths start from.
    """

    path: Path
    group: int
    row: int
    column: str
    folder: Path

    def content(self) -> bytes:
        """The bytes in the cell, or of the file that it names."""
        import pyarrow

        try:
            value = _reader(self.path, self.group, self.column).value(self.row)
        except (OSError, pyarrow.ArrowException) as error:
            raise InputError(f"stands in a row group that cannot be read ({type(error).__name__})") from error
        return cell_content(value, self.folder)


@dataclass(frozen=True)
class SavedPicture(_Read):
    """An image in a folder that the library `datasets` saved.

    Args:
        folder: of one split.
        row: number.
        column: name.
    """

    folder: Path
    row: int
    column: str

    def content(self) -> bytes:
        """The bytes in the cell, or of the file that it names."""
        return cell_content(saved_table(self.folder)[self.row][self.column], self.folder)


@dataclass(frozen=True)
class DrawnPicture:
    """A phantom, drawn when it is asked for.

    Args:
        domain: of the phantom.
        seed: of the phantom.
    """

    domain: str
    seed: int

    def there(self) -> bool:
        """It can always be drawn."""
        return True

    def content(self) -> bytes:
        """Its PNG."""
        return encode_image(self.pixels())

    def pixels(self) -> NDArray[np.uint8]:
        """The drawing."""
        from medim_forge.generator.phantoms import draw

        return draw(self.domain, self.seed).image


def read_file(path: Path) -> bytes:
    """The bytes of a file.

    Raises:
        InputError: it is gone, or larger than any image; what else stops it from being read says nothing of the row,
            and is raised as it is.
    """
    try:
        check_bytes(path.stat().st_size, LARGEST_IMAGE, "an image")
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
        raise InputError("names a file that is not there; did it vanish after it was looked for?") from error


def read_part(path: Path, start: int, size: int) -> bytes:
    """Some bytes of a file.

    Raises:
        InputError: the file ends before them, or they are more than any image has.
    """
    check_bytes(size, LARGEST_IMAGE, "an image")
    with path.open("rb") as file:
        file.seek(start)
        content = file.read(size)
    if len(content) != size:
        raise InputError("stands in an archive that is cut short; copy it again")
    return content


def cell_content(value: Any, folder: Path) -> bytes:
    """The encoded image of a cell: bytes, a struct of bytes and path, or a path.

    Raises:
        InputError: it holds none; the message goes on from the name of the row.
    """
    path = None
    if isinstance(value, dict):
        value, path = value.get("bytes"), value.get("path")
    if isinstance(value, str):
        value, path = None, value
    if isinstance(value, bytes | bytearray) and value:
        return bytes(value)
    if isinstance(path, str) and path:
        return read_file(folder / path)
    raise InputError(f"holds no image, but {type(value).__name__}; give bytes, a struct of bytes and path, or a path")


@lru_cache(maxsize=2)
def saved_table(folder: Path) -> Any:
    """The rows of a folder that the library `datasets` saved, images undecoded.

    Raises:
        SpecError: the library is not installed, or cannot read the folder.
    """
    try:
        import datasets
    except ImportError as error:
        raise SpecError(
            f"{folder} was written by save_to_disk, which the library `datasets` reads: pip install datasets; or "
            "store it as Parquet"
        ) from error
    try:
        table = datasets.load_from_disk(str(folder))
    except Exception as error:
        raise SpecError(f"{folder} cannot be read by `datasets` ({type(error).__name__}). Save it again.") from error
    for name, feature in table.features.items():
        if isinstance(feature, datasets.Image):
            table = table.cast_column(name, datasets.Image(decode=False))
    return table


@lru_cache(maxsize=4)
def _reader(path: Path, group: int, column: str) -> ColumnReader:
    return ColumnReader(path, group, column)
