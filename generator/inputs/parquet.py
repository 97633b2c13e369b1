"""Given reports and images in Parquet: the tables of a place, and their rows numbered through."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from itertools import accumulate, islice
from pathlib import Path
from typing import Any

import numpy as np

from medim_forge.generator.errors import EnvironmentFault, InputError, is_environment
from medim_forge.generator.files import sha256_hex
from medim_forge.generator.inputs.bounds import LARGEST_REPORT
from medim_forge.generator.inputs.given import GivenPair, NoTextError, Unreadable
from medim_forge.generator.inputs.images import check_image, decode_image
from medim_forge.generator.inputs.row_groups import BATCH, ColumnReader
from medim_forge.generator.inputs.tables import Table, said
from medim_forge.generator.origins import GivenSource
from medim_forge.generator.tracing import wordless
from medim_forge.model.quoting import shown


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
    _last: dict[tuple[int, str], Any] = field(default_factory=dict, repr=False, compare=False)

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

    def fingerprint(self, row: int) -> tuple[int, str] | None:
        """Bytes and hex sha256 of the cells that a job takes of the row, as they lie there; None where one is damaged.

        Raises:
            InputError: what stands around the row failed; names the row.
        """
        try:
            cells = [self._bytes(self._value(row, column)) for column in (self.kept_side, *self.keep_columns)]
        except InputError as error:
            if is_environment(error):
                raise
            return None
        if len(cells) == 1:
            return len(cells[0]), sha256_hex(cells[0])
        # Lengths keep apart where one cell ends and the next begins.
        lengths = ",".join(str(len(cell)) for cell in cells).encode()
        return sum(map(len, cells)), sha256_hex(b"\0".join((lengths, *cells)))

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

    def _bytes(self, value: object) -> bytes:
        """A cell as it is compared with the plan: of an image its bytes, and its name where that is kept."""
        if isinstance(value, dict):
            name = str(value.get("path")).encode() if self.keep_names else b""
            return b"".join((self._bytes(value.get("bytes")), name))
        if isinstance(value, str):
            return value.encode("utf-8", "surrogatepass")
        return value if isinstance(value, bytes) else b"" if value is None else repr(value).encode()

    def _value(self, row: int, column: str) -> Any:
        """The row's value as a Python object; those of the row that was read last are here, so that they agree.

        Raises:
            InputError: it cannot be read.
        """
        key = row, column
        if key not in self._last:
            if any(last != row for last, _ in self._last):
                self._last.clear()
            self._last[key] = self._read(row, column)
        return self._last[key]

    def _read(self, row: int, column: str) -> Any:
        """The row's value as a Python object, read now.

        Raises:
            InputError: it cannot be read.
        """
        import pyarrow

        ends = self._ends
        place = bisect_right(ends, row)
        if place == len(ends):
            raise EnvironmentFault(f"row {row} is beyond the inputs, which have {ends[-1]} rows. Were they changed?")
        table, group = self._all_groups[place]
        try:
            return _reader(table, group, column).value(row - ends[place] + table.groups[group])
        except (OSError, pyarrow.ArrowException, ValueError, OverflowError) as error:
            kind = NoTextError if isinstance(error, UnicodeDecodeError) else InputError
            raise kind(_damaged(row, error)) from wordless(error)

    @cached_property
    def _all_groups(self) -> tuple[tuple[Table, int], ...]:
        return tuple(self._groups())

    @cached_property
    def _ends(self) -> tuple[int, ...]:
        """The number of the row behind each row group."""
        return tuple(accumulate(table.groups[group] for table, group in self._all_groups))

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
                raise NoTextError(
                    f"{_cell(row, self.report_column)} is no UTF-8 text (byte {error.start}). Store it as UTF-8."
                ) from wordless(error)
        if not isinstance(value, str):
            raise self._no_report(row, value)
        return value.strip() or None

    def _no_report(self, row: int, value: object) -> InputError:
        kind = "nothing" if value is None or isinstance(value, str) else type(value).__name__
        return InputError(f"{_cell(row, self.report_column)} holds no report, but {kind}. Give text.")


def _cell(row: int, column: str) -> str:
    """What messages call a cell."""
    return f"row {row}, column {shown(column)},"


def _damaged(row: int, error: Exception) -> str:
    return f"row {row} cannot be read ({said(error)}). Repair its file."


@lru_cache(maxsize=64)
def _reader(table: Table, group: int, column: str) -> ColumnReader:
    """The reader of a column of a row group; the last ones are kept, because shards are smaller than row groups."""
    return ColumnReader(table.path, group, column)
