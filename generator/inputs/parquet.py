"""Given reports and images in Parquet: the tables of a place, and their rows numbered through."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
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
from medim_forge.generator.tracing import why, wordless
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

    def lacking(self, column: str) -> int | None:
        """The number of the first table that has no such column; None where all have it."""
        return next((number for number, table in enumerate(self.tables) if column not in table.columns), None)

    def image(self, row: int) -> bytes:
        """The row's encoded image, known to decode.

        Raises:
            InputError: there is none, or it does not decode; names the row.
        """
        content = self._image_bytes(row, self._value(row, self.image_column))
        try:
            return check_image(content)
        except InputError as error:
            raise InputError(f"{_cell(row, self.image_column)} {error}") from error

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

    def named(self, row: int) -> str:
        """The table of a row and its number there, for the one who looks; everything else names rows by their number.

        Raises:
            EnvironmentFault: there is no such row.
        """
        start = 0
        for table in self.tables:
            if row < start + sum(table.groups):
                return f"{shown(table.path)}, row {row - start} of it"
            start += sum(table.groups)
        raise EnvironmentFault(f"row {row} is beyond the inputs, which have {start} rows. Were the files changed?")

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
                yield from (Unreadable(row=lost, reason=_damaged(lost, error)) for lost in range(row, end))
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
            return Unreadable(row=row, reason=f"{_cell(row, self.image_column)} {error}")

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
                    raise InputError(_damaged(row, error)) from wordless(error)
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
                f"{_cell(row, self.image_column)} holds no image bytes, but {type(content).__name__}. "
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
                f"{_cell(row, self.report_column)} holds {len(value):,} characters, and a report may have "
                f"{LARGEST_REPORT:,}. Give a smaller one."
            )
        if isinstance(value, bytes):
            try:
                value = value.decode("utf-8-sig")
            except UnicodeDecodeError as error:
                raise InputError(
                    f"{_cell(row, self.report_column)} is no UTF-8 text (byte {error.start}). Store it as UTF-8."
                ) from wordless(error)
        if not isinstance(value, str):
            raise self._no_report(row, value)
        return value.strip() or None

    def _no_report(self, row: int, value: object) -> InputError:
        kind = "nothing" if value is None or isinstance(value, str) else type(value).__name__
        return InputError(f"{_cell(row, self.report_column)} holds no report, but {kind}. Give text.")


def look_at(path: Path) -> Table:
    """What a Parquet file says about itself.

    Raises:
        InputError: it is not Parquet; the message goes on from what the file is called.
    """
    return _look(path, path.stat().st_mtime_ns)


def look_at_all(paths: Sequence[Path]) -> tuple[Table, ...]:
    """What the Parquet files of a place say about themselves.

    Raises:
        InputError: one is not Parquet; it is named by its number in the order of their names.
    """
    tables = []
    for number, path in enumerate(paths):
        try:
            tables.append(look_at(path))
        except InputError as error:
            raise InputError(f"table {number} {error}") from wordless(error)
    return tuple(tables)


def _cell(row: int, column: str) -> str:
    """What messages call a cell."""
    return f"row {row}, column {shown(column)},"


def _damaged(row: int, error: Exception) -> str:
    return f"row {row} cannot be read ({said(error)}). Repair its file."


def said(error: Exception) -> str:
    """What a library says of a damaged file, without words that only its authors know or that name files and values."""
    import pyarrow

    if isinstance(error, UnicodeDecodeError):
        return f"text that is not UTF-8, at byte {error.start}"
    if isinstance(error, OSError) and error.errno is not None:
        return why(error)
    text = str(error).strip()
    if "thrift" in text or "Exception" in text:
        return "its description of itself is damaged"
    # Quotation marks and slashes stand around names of files and values.
    if not text or not isinstance(error, pyarrow.ArrowException) or any(mark in text for mark in "'\"/"):
        return type(error).__name__
    return shown(text.splitlines()[0])


@lru_cache(maxsize=4096)
def _look(path: Path, changed_ns: int) -> Table:
    """What `look_at` gives, kept for as long as the file does not change."""
    import pyarrow
    import pyarrow.parquet as pq

    try:
        metadata = pq.read_metadata(path)
        names = tuple(metadata.schema.to_arrow_schema().names)
    except (OSError, pyarrow.ArrowException, ValueError) as error:
        raise InputError(f"is not Parquet ({said(error)}). Give Parquet files.") from wordless(error)
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
