"""Image-report pairs of other people, read from Parquet or from a folder of images."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medim_forge.generator.errors import InputError
from medim_forge.generator.inputs.parquet import find_files

_IMAGES = (".png", ".jpg", ".jpeg", ".dcm")


@dataclass(frozen=True, kw_only=True)
class Record:
    """A record of the reference or the holdout.

    Attributes:
        image: uint8 [H, W] or [H, W, 3].
        report: None where there is none.
    """

    image: NDArray[np.uint8]
    report: str | None


def read_records(place: str, image_column: str, report_column: str) -> Iterator[Record]:
    """The records of a Parquet file, folder or glob, or of a folder of images, in sorted order.

    Raises:
        InputError: there is none, or one that cannot be read.
    """
    tables = [path for path in find_files(place) if path.suffix == ".parquet"]
    images = sorted(path for path in Path(place).rglob("*") if path.suffix.lower() in _IMAGES) if not tables else []
    if not tables and not images:
        raise InputError(f"{place}: holds neither Parquet nor images ({', '.join(_IMAGES)}); name a file or a folder")
    for path in images:
        text = path.with_suffix(".txt")
        report = text.read_text(encoding="utf-8") if text.exists() else None
        yield Record(image=_pixels(path.read_bytes(), str(path), dicom=path.suffix.lower() == ".dcm"), report=report)
    for path in tables:
        yield from _rows(path, image_column, report_column)


def _rows(path: Path, image_column: str, report_column: str) -> Iterator[Record]:
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        names = file.schema_arrow.names
        if image_column not in names:
            raise InputError(f"{path}: has no column {image_column!r}; it has {', '.join(names)}")
        if report_column and report_column not in names:
            raise InputError(
                f"{path}: has no column {report_column!r}; it has {', '.join(names)}. Name the one with reports "
                "(--report-column), or give '' to compare images alone"
            )
        for batch in file.iter_batches(64, columns=[one for one in (image_column, report_column) if one in names]):
            for row in batch.to_pylist():
                value = row[image_column]
                content = value.get("bytes") if isinstance(value, dict) else value
                yield Record(image=_pixels(content, str(path), dicom=False), report=row.get(report_column))


def _pixels(content: Any, where: str, *, dicom: bool) -> NDArray[np.uint8]:
    """The image as uint8 levels.

    Raises:
        InputError: it cannot be read.
    """
    try:
        if dicom:
            return _dicom_pixels(content)
        from PIL import Image

        with Image.open(io.BytesIO(content)) as image:
            return np.asarray(image.convert("L" if image.mode in ("1", "L", "LA") else "RGB"))
    except Exception as error:
        raise InputError(f"{where}: an image cannot be read ({type(error).__name__}: {error})") from error


def _dicom_pixels(content: bytes) -> NDArray[np.uint8]:
    """Pixels of a DICOM image stretched over their own range; what is compared does not depend on the window."""
    import pydicom

    found = pydicom.dcmread(io.BytesIO(content))
    level = found.pixel_array.astype(np.float32)
    if found.get("PhotometricInterpretation") == "MONOCHROME1":
        level = -level
    low, high = float(level.min()), float(level.max())
    return ((level - low) * (255 / max(high - low, 1e-6))).astype(np.uint8)
