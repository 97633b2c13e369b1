"""Given reports and images in Parquet: the tables of a place, and their rows numbered through."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from medim_forge.generator.errors import EnvironmentFault, InputError
from medim_forge.generator.files import sha256_hex
from medim_forge.generator.inputs.bounds import LARGEST_REPORT
from medim_forge.generator.inputs.given import GivenPair, Unreadable
from medim_forge.generator.inputs.images import check_image, decode_image
from medim_forge.generator.inputs.row_groups import BATCH, ColumnReader
from medim_forge.generator.origins import GivenSource
from medim_forge.model.quoting import shown


@dataclass(frozen=True, kw_only=True)
class Table:
    """A Parquet file, as it was when it was looked at.

    Attributes:
        path: of the file.
        changed_ns: when it was last written: a changed file is not served from a cache.
        columns: names.
        groups: rows per row group.
    """

    path: Path
    changed_ns: int
    columns: tuple[str, ...]
    groups: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class ParquetPairs:
    """Rows over all tables of a place; see `medim_forge.generator.inputs.given.GivenRows`.

    Attributes:
        place: that names the tables, for messages.
        tables: sorted by path.
        image_column: encoded images, as bytes or as a struct with a field `bytes`.
        report_column: reports; empty where there are none.
        limit: how many rows count; None for all.
        left_out: files of the place that hold images, though tables are what is read.
        kept_side: the column that a job takes, of which `source` tells.
        keep_names: whether `source` names images as the table does.
        keep_columns: columns that `source` takes along.
    """

    place: str
    tables: tuple[Table, ...]
    image_column: str
    report_column: str
    limit: int | None = None
    left_out: tuple[Path, ...] = ()
    kept_side: str = ""
    keep_names: bool = False
    keep_columns: tuple[str, ...] = ()

    @property
    def files(self) -> tuple[Path, ...]:
        """The paths of the tables, sorted."""
        return tuple(table.path for table in self.tables)

    def __len__(self) -> int:
        """The number of rows."""
        rows = sum(sum(table.groups) for table in self.tables)
        return rows if self.limit is None else min(rows, self.limit)

    def __iter__(self) -> Iterator[GivenPair | Unreadable]:
        """Every row in order, `BATCH` of them in memory at a time."""
        return islice(self._all(), len(self))

    def lacking(self, column: str) -> Table | None:
        """The first table that has no such column; None where all have it."""
        return next((table for table in self.tables if column not in table.columns), None)

    def image(self, row: int) -> bytes:
        """The row's encoded image, known to decode.

        Raises:
            InputError: there is none, or it does not decode; names the row.
        """
        content = self._image_bytes(row, self._value(row, self.image_column))
        try:
            return check_image(content)
        except InputError as error:
            raise InputError(f"{self._cell(row, self.image_column)} {error}") from error

    def source(self, row: int) -> GivenSource:
        """Where the row comes from: the digest of its image or report, and what of the table is kept.

        Raises:
            InputError: the cell is empty or cannot be read; names the row.
        """
        value = self._value(row, self.kept_side)
        content = self._image_bytes(row, value) if self.kept_side == self.image_column else self.report(row).encode()
        name = value.get("path") if self.keep_names and isinstance(value, dict) else None
        kept = {column: self._value(row, column) for column in self.keep_columns}
        columns = {column: None if cell is None else str(cell) for column, cell in kept.items()}
        return GivenSource(sha256=sha256_hex(content), name=name, columns=columns)

    def report(self, row: int) -> str:
        """The row's report.

        Raises:
            InputError: there is none, or it cannot be read; names the row.
        """
        value = self._value(row, self.report_column)
        report = self._text(row, value)
        if report is None:
            raise self._no_report(row, value)
        return report

    def _all(self) -> Iterator[GivenPair | Unreadable]:
        """Every row of the tables in order, whatever the limit; a damaged row group is unreadable from there on."""
        import pyarrow
        import pyarrow.parquet as pq

        columns = [name for name in (self.image_column, self.report_column) if name]
        row = 0
        for table, group in self._groups():
            end = row + table.groups[group]
            try:
                with pq.ParquetFile(table.path) as file:
                    for batch in file.iter_batches(BATCH, row_groups=[group], columns=columns):
                        for values in batch.to_pylist():
                            yield self._pair(row, values)
                            row += 1
            except (OSError, pyarrow.ArrowException, ValueError, OverflowError) as error:
                yield from (Unreadable(row=lost, reason=_damaged(lost, table, error)) for lost in range(row, end))
            row = end

    def _groups(self) -> Iterator[tuple[Table, int]]:
        return ((table, group) for table in self.tables for group in range(len(table.groups)))

    def _pair(self, row: int, values: Mapping[str, Any]) -> GivenPair | Unreadable:
        """The pair that the values of a row make."""
        try:
            content = self._image_bytes(row, values[self.image_column])
            report = self._text(row, values[self.report_column]) if self.report_column else None
        except InputError as error:
            return Unreadable(row=row, reason=str(error))
        try:
            return GivenPair(row=row, pixels=np.asarray(decode_image(content)), report=report)
        except InputError as error:
            return Unreadable(row=row, reason=f"{self._cell(row, self.image_column)} {error}")

    def _value(self, row: int, column: str) -> Any:
        """The row's value as a Python object.

        Raises:
            InputError: it cannot be read.
        """
        import pyarrow

        start = 0
        for table, group in self._groups():
            end = start + table.groups[group]
            if row < end:
                try:
                    return _reader(table, group, column).value(row - start)
                except (OSError, pyarrow.ArrowException, ValueError, OverflowError) as error:
                    raise InputError(_damaged(row, table, error)) from error
            start = end
        raise EnvironmentFault(f"row {row} is beyond the inputs, which have {start} rows. Were the files changed?")

    def _image_bytes(self, row: int, value: object) -> bytes:
        """The encoded image of a cell.

        Raises:
            InputError: it holds none.
        """
        content = value.get("bytes") if isinstance(value, dict) else value
        if not isinstance(content, bytes) or not content:
            raise InputError(
                f"{self._cell(row, self.image_column)} holds no image bytes, but {type(content).__name__}. "
                "Embed the encoded image there."
            )
        return content

    def _text(self, row: int, value: object) -> str | None:
        """The report of a cell; None where there is none.

        Raises:
            InputError: it holds something else.
        """
        if value is None:
            return None
        if isinstance(value, str | bytes) and len(value) > LARGEST_REPORT:
            raise InputError(
                f"{self._cell(row, self.report_column)} holds {len(value):,} characters, and a report may have "
                f"{LARGEST_REPORT:,}. Give a smaller one."
            )
        if isinstance(value, bytes):
            try:
                value = value.decode("utf-8-sig")
            except UnicodeDecodeError as error:
                raise InputError(
                    f"{self._cell(row, self.report_column)} is no UTF-8 text (byte {error.start}). Store it as UTF-8."
                ) from error
        if not isinstance(value, str):
            raise self._no_report(row, value)
        return value.strip() or None

    def _no_report(self, row: int, value: object) -> InputError:
        return InputError(f"{self._cell(row, self.report_column)} holds no report, but {value!r:.80}. Give text.")

    def _cell(self, row: int, column: str) -> str:
        """What messages call a cell."""
        return f"row {row} of {shown(self.place)}, column {shown(column)},"


def look_at(path: Path) -> Table:
    """What a Parquet file says about itself.

    Raises:
        InputError: it is not Parquet.
    """
    return _look(path, path.stat().st_mtime_ns)


def _damaged(row: int, table: Table, error: Exception) -> str:
    return f"row {row} of {shown(table.path)} cannot be read ({said(error)}). Repair the file."


def said(error: Exception) -> str:
    """What a library says of a damaged file, without words that only its authors know."""
    if isinstance(error, UnicodeDecodeError):
        return f"text that is not UTF-8, at byte {error.start}"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    text = str(error).strip()
    if "thrift" in text or "Exception" in text:
        return "its description of itself is damaged"
    return shown(text.splitlines()[0] if text else type(error).__name__)


@lru_cache(maxsize=4096)
def _look(path: Path, changed_ns: int) -> Table:
    """What `look_at` gives, kept for as long as the file does not change."""
    import pyarrow
    import pyarrow.parquet as pq

    try:
        metadata = pq.read_metadata(path)
        names = tuple(metadata.schema.to_arrow_schema().names)
    except (OSError, pyarrow.ArrowException, ValueError) as error:
        raise InputError(f"{shown(path)} is not Parquet ({said(error)}). Give Parquet files.") from error
    return Table(
        path=path,
        changed_ns=changed_ns,
        columns=names,
        groups=tuple(metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)),
    )


@lru_cache(maxsize=4)
def _reader(table: Table, group: int, column: str) -> ColumnReader:
    """The reader of a column of a row group; the last ones are kept, because shards are smaller than row groups."""
    return ColumnReader(table.path, group, column)
