"""The one reader of image-report pairs that users hold: every row of a place, or what could not be read of it.

A place is Parquet (a file, a folder of `*.parquet`, or a path with wildcards), or images in files: one, a folder with
all folders below it, or a path with wildcards. They are PNG, JPEG and what else Pillow reads, or DICOM, which may
be mixed, and the report of `name.png` is in `name.txt` beside it. Jobs say in `inputs.source` which of these they mean,
and read single rows of the same `ParquetPairs` and `FilePairs`; see `medim_forge.generator.inputs.load`.

    for pair in open_pairs("/data/mimic/train.parquet"):
        match pair:
            case GivenPair():
                pair.pixels, pair.report
            case Unreadable():
                print(pair.reason)
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from medim_forge.generator.errors import InputError
from medim_forge.generator.inputs.files import FilePairs
from medim_forge.generator.inputs.given import GivenPair, Unreadable
from medim_forge.generator.inputs.parquet import ParquetPairs
from medim_forge.generator.inputs.places import find_images, find_tables
from medim_forge.generator.inputs.tables import Table, look_at_all
from medim_forge.model.quoting import quoted, shown

__all__ = ["FilePairs", "GivenPair", "ParquetPairs", "Unreadable", "open_pairs"]


def open_pairs(place: str, image_column: str = "image", report_column: str = "report") -> ParquetPairs | FilePairs:
    """The pairs of a place, Parquet where it holds any, else images.

    Args:
        place: a file, a folder or a path with wildcards.
        image_column: of Parquet: encoded images, as bytes or as a struct with a field `bytes`.
        report_column: of Parquet; empty for images alone.

    Returns:
        The pairs, to be read in order or by row. `left_out` names the files of the place that are not read.

    Raises:
        InputError: the place holds neither, a file that is not Parquet, or a table without these columns.
    """
    found = find_images(place, "either", fresh=True)
    tables = [path for path in find_tables(place) if path.suffix == ".parquet"]
    if not tables and not found.images:
        raise InputError(f"{place}: holds neither Parquet nor images (PNG, JPEG, TIFF, DICOM); name a file or a folder")
    if not tables:
        return FilePairs(place=place, kind="either", files=found.images, left_out=found.left_out)
    pairs = ParquetPairs(
        place=place,
        tables=_looked_at(place, tables),
        image_column=image_column,
        report_column=report_column,
        left_out=tuple(path for path in found.images if path not in tables),
    )
    _check_columns(pairs)
    return pairs


def _looked_at(place: str, paths: Sequence[Path]) -> tuple[Table, ...]:
    try:
        return look_at_all(paths)
    except InputError as error:
        raise InputError(f"{place}: {error}") from error


def _check_columns(pairs: ParquetPairs) -> None:
    """Every table has the columns.

    Raises:
        InputError: one has not; names it and the columns that it has.
    """
    mend = {
        pairs.image_column: "Name the one with images (--image-column)",
        pairs.report_column: "Name the one with reports (--report-column), or give '' to compare images alone",
    }
    for column in filter(None, mend):
        lacking = pairs.lacking(column)
        if lacking is not None:
            listed = shown(", ".join(pairs.tables[lacking].columns), 400)
            raise InputError(
                f"{pairs.place}: table {lacking} has no column {quoted(column)}; it has {listed}. {mend[column]}."
            )
