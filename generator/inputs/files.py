"""Given images in files, one each: DICOM, or what Pillow reads; the report of `name.png` in `name.txt` beside it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from medim_forge.generator.errors import EnvironmentFault, InputError, is_environment
from medim_forge.generator.files import file_record, sha256_hex
from medim_forge.generator.inputs.bounds import LARGEST_IMAGE, LARGEST_REPORT, check_bytes
from medim_forge.generator.inputs.given import GivenPair, Unreadable
from medim_forge.generator.inputs.images import check_image, decode_image, encode_image
from medim_forge.generator.inputs.places import ImageKind, is_dicom, report_file
from medim_forge.generator.origins import GivenDicom, GivenSource
from medim_forge.generator.tracing import why, wordless


@dataclass(frozen=True, kw_only=True)
class FilePairs:
    """Images in files, a row each; see `medim_forge.generator.inputs.given.GivenRows`.

    Attributes:
        place: that names the files, for messages.
        kind: of the images.
        files: of the images, sorted by path.
        left_out: files of the place that are neither images nor their reports.
        keep_names: whether `source` names the files, below the folder that all of them share.
        top: that folder, where it is known.
    """

    place: str
    kind: ImageKind
    files: Sequence[Path]
    left_out: tuple[Path, ...] = ()
    keep_names: bool = False
    top: str | None = None
    _last: list[tuple[int, bytes]] = field(default_factory=lambda: [(-1, b"")], repr=False, compare=False)

    def __len__(self) -> int:
        """The number of images."""
        return len(self.files)

    def __iter__(self) -> Iterator[GivenPair | Unreadable]:
        """Every row in order, one in memory at a time."""
        for row in range(len(self)):
            try:
                yield GivenPair(row=row, pixels=self.pixels(row), report=_report(row, self.files[row]))
            except InputError as error:
                yield Unreadable(row=row, reason=str(error))

    def image(self, row: int) -> bytes:
        """The row's encoded image, known to decode: the file itself, or a PNG of what a DICOM file shows.

        Raises:
            InputError: it cannot be read; names the row.
        """
        path = self._file(row)
        content = self._content(row)
        with _naming(row):
            return encode_image(_shown(content)) if self._is_dicom(path) else check_image(content)

    def pixels(self, row: int) -> NDArray[np.uint8]:
        """The row's image: uint8 [H, W] or [H, W, 3].

        Raises:
            InputError: it cannot be read; names the row.
        """
        path = self._file(row)
        content = self._content(row)
        with _naming(row):
            return _shown(content) if self._is_dicom(path) else np.asarray(decode_image(content))

    def source(self, row: int) -> GivenSource:
        """Where the row comes from: the digest of the file, its name if names are kept, what its DICOM header says.

        Raises:
            InputError: it cannot be read; names the row.
        """
        path = self._file(row)
        content = self._content(row)
        with _naming(row):
            header = _header(content) if self._is_dicom(path) else None
        return GivenSource(sha256=sha256_hex(content), name=self._name(path) if self.keep_names else None, dicom=header)

    def report(self, row: int) -> str:
        """The report beside the row's image.

        Raises:
            InputError: there is none, or it is not UTF-8 text; names the row.
        """
        path = self._file(row)
        report = _report(row, path)
        if report is None:
            raise InputError(
                f"row {row} has no report beside its image. Write it to a file of the same name that ends in "
                f"{report_file(path).suffix}."
            )
        return report

    def fingerprint(self, row: int) -> tuple[int, str] | None:
        """Bytes and hex sha256 of the row's file, which is what is read of the row next.

        Raises:
            InputError: it cannot be read; names the row.
        """
        path = self._file(row)
        try:
            if path.stat().st_size > LARGEST_IMAGE:
                record = file_record(path, "")
                return record.size, record.sha256
        except OSError as error:
            raise InputError(f"row {row} cannot be read ({why(error)}). Mend its file.") from wordless(error)
        content = self._content(row)
        return len(content), sha256_hex(content)

    def fingerprint_and_header(self, row: int) -> tuple[tuple[int, str] | None, GivenDicom | None]:
        """What `fingerprint` and `header` give, of the file as it is read once.

        Raises:
            InputError: what stands around the row failed; names the row.
        """
        if not self._is_dicom(self._file(row)):
            return self.fingerprint(row), None
        try:
            content = _content(row, self._file(row))
        except InputError as error:
            if is_environment(error):
                raise
            return self.fingerprint(row), None  # it is too large to be read whole
        return (len(content), sha256_hex(content)), _header_or_none(content)

    def header(self, row: int) -> GivenDicom | None:
        """What the row's DICOM header says of itself; None where it is none, or cannot be read as one.

        Raises:
            InputError: what stands around the row failed; names the row.
        """
        path = self._file(row)
        if not self._is_dicom(path):
            return None
        try:
            with path.open("rb") as file:
                return _header_or_none(file)
        except OSError as error:
            raise InputError(f"row {row} cannot be read ({why(error)}). Mend its file.") from wordless(error)

    def named(self, row: int) -> str:
        """The path of the row's file, for the one who looks; everything else names rows by their number."""
        return str(self._file(row))

    def _content(self, row: int) -> bytes:
        """The bytes of the row's file; those of the row that was read last are here, so that all of it is of one time.

        Raises:
            InputError: it cannot be read, or is larger than it may be.
        """
        last, content = self._last[0]
        if last != row:
            content = _content(row, self._file(row))
            self._last[0] = row, content
        return content

    def _file(self, row: int) -> Path:
        """The path of the row's file.

        Raises:
            InputError: there is no such row.
        """
        if row >= len(self.files):
            raise EnvironmentFault(
                f"row {row} is beyond {self.place}, which has {len(self.files)} files. Were files removed?"
            )
        return self.files[row]

    def _name(self, path: Path) -> str:
        return path.relative_to(self._top).as_posix()

    @cached_property
    def _top(self) -> str:
        """The folder that all files share."""
        return os.path.commonpath([file.parent for file in self.files]) if self.top is None else self.top

    def _is_dicom(self, path: Path) -> bool:
        return self.kind == "dicom" or (self.kind == "either" and is_dicom(path))


def _content(row: int, path: Path, most: int = LARGEST_IMAGE, what: str = "an image") -> bytes:
    """The bytes of a file of a row.

    Raises:
        InputError: it cannot be read, or is larger than it may be.
    """
    try:
        with _naming(row):
            check_bytes(path.stat().st_size, most, what)
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"row {row} cannot be read ({why(error)}). Mend its file.") from wordless(error)


def _report(row: int, image: Path) -> str | None:
    """The report beside an image; None where there is none.

    Raises:
        InputError: it is not UTF-8 text.
    """
    path = report_file(image)
    if not path.is_file():
        return None
    try:
        return _content(row, path, LARGEST_REPORT, "a report").decode("utf-8-sig").strip() or None
    except UnicodeDecodeError as error:
        raise InputError(
            f"row {row} has a report that is no UTF-8 text (byte {error.start}). Store it as UTF-8."
        ) from wordless(error)


def _header(content: bytes | BinaryIO) -> GivenDicom:
    """What a DICOM file says of itself."""
    from medim_forge.generator.inputs.dicom import read_header

    return read_header(content)


def _header_or_none(content: bytes | BinaryIO) -> GivenDicom | None:
    """What a DICOM file says of itself; None where it cannot be read as one, which is said when its picture is read."""
    try:
        return _header(content)
    except InputError:
        return None


@contextmanager
def _naming(row: int) -> Iterator[None]:
    """What is wrong with an image is said of its row, because files are named by people's names."""
    try:
        yield
    except InputError as error:
        raise InputError(f"row {row} {error}") from wordless(error)


def _shown(content: bytes) -> NDArray[np.uint8]:
    """What a DICOM file shows: uint8 [H, W] or [H, W, 3].

    Raises:
        InputError: it cannot be read; the message goes on from the name of the file.
    """
    # Loading pydicom takes longer than most commands that read no DICOM.
    from medim_forge.generator.inputs.dicom import read_dicom

    return read_dicom(content)
