"""Tables of a holding: rows of CSV, TSV, JSON and JSON lines as text by column, one in memory at a time."""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
import sqlite3
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from medim_forge.generator.errors import InputError, SpecError, suggestion

Values = Mapping[str, str]
SUFFIXES = (".csv", ".tsv", ".json", ".jsonl", ".ndjson")
# Reports stand in cells; one that is longer than this is a table that is not closed.
LONGEST_CELL = 2**22
_PIECE = 2**20
_GAP = re.compile(r"[\s,]*")


def find_table(folder: Path, name: str, key: str) -> Path:
    """The one file of this name below a folder, or the folder itself where it is that file.

    Args:
        folder: or a file.
        name: with wildcards.
        key: of the job, for errors.

    Raises:
        SpecError: there is none, or there are several.
    """
    if folder.is_file():
        return folder
    found = sorted(path for path in folder.glob(name) if path.is_file() and not path.name.startswith("."))
    if not found:
        raise SpecError(f"{key}: there is no {name} in {folder}; name the folder in which it lies.")
    # A file may lie beside its own compressed form.
    stems = {path.name.removesuffix(".gz") for path in found}
    if len(stems) > 1:
        raise SpecError(f"{key}: {name} is {' and '.join(path.name for path in found)} in {folder}; keep one release.")
    return found[0]


def read_rows(path: Path, key: str) -> Iterator[Values]:
    """The rows of a table in order, every cell as text; one that is null is empty.

    Args:
        path: of the table; its suffix says what it is, and `.gz` behind it that it is compressed.
        key: of the job, for errors.

    Raises:
        SpecError: it is no table of a kind that is known.
        InputError: a row cannot be read; it is named by its number, and nothing of it is repeated.
    """
    kind = Path(path.name.removesuffix(".gz")).suffix.lower()
    if kind not in SUFFIXES:
        raise SpecError(f"{key}: {path.name} is no table that can be read; give {', '.join(SUFFIXES)}, or .gz of these")
    with _opened(path) as stream:
        try:
            if kind in (".csv", ".tsv"):
                yield from _delimited(stream, "\t" if kind == ".tsv" else None, key)
            else:
                yield from _objects(stream, key)
        except UnicodeDecodeError as error:
            raise InputError(f"{key}: the table is no UTF-8 text (byte {error.start}); store it as UTF-8") from error
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise InputError(f"{key}: the table is cut short or no gzip; copy it again") from error


def columns_there(path: Path, key: str) -> tuple[str, ...]:
    """The columns of a table: of its head, or of the first object.

    Raises:
        SpecError: it is no table, or holds no row.
        InputError: it cannot be read.
    """
    rows = read_rows(path, key)
    first = next(rows, None)
    rows.close()  # type: ignore[attr-defined]  # a generator, which holds the file open
    if first is None:
        raise SpecError(f"{key}: the table holds no row.")
    return tuple(first)


def lacking(named: Sequence[str], there: Sequence[str], key: str) -> SpecError:
    """The error that columns which are named are not there.

    Args:
        named: one or more, of which one would do.
        there: columns.
        key: of the job that names them.
    """
    hint = suggestion(named[0], there)
    return SpecError(f"{key}: there is no column {' or '.join(named)}{hint}. The table has: {', '.join(there)}.")


class Lookup:
    """Rows of a further table by the value of one column, on disk, so that memory does not grow with them.

    Args:
        path: of the table.
        on: the column.
        key: of the job, for errors.

    Raises:
        SpecError: there is no such column.
        InputError: two rows have one value.
    """

    def __init__(self, path: Path, on: str, key: str) -> None:
        there = columns_there(path, key)
        if on not in there:
            raise lacking([on], there, key)
        self.columns, self.rows = there, 0
        self._base = sqlite3.connect("")  # a file without a name, which is gone when it is closed
        self._base.execute("create table rows (value text primary key, cells text) without rowid")
        for number, row in enumerate(read_rows(path, key)):
            cells = json.dumps([row.get(name, "") for name in there])
            try:
                self._base.execute("insert into rows values (?, ?)", (row.get(on, "").strip(), cells))
            except sqlite3.IntegrityError:
                raise InputError(
                    f"{key}: row {number} repeats the {on} of an earlier row, so which of them belongs to an image is "
                    "not known; keep one"
                ) from None
            self.rows += 1

    def find(self, value: str) -> Values | None:
        """The row that has the value; None where there is none."""
        found = self._base.execute("select cells from rows where value = ?", (value.strip(),)).fetchone()
        return None if found is None else dict(zip(self.columns, json.loads(found[0]), strict=True))


@contextmanager
def _opened(path: Path) -> Iterator[io.TextIOBase]:
    """The table as text, unpacked where it is compressed."""
    with path.open("rb") as file:
        raw = gzip.GzipFile(fileobj=file) if path.suffix == ".gz" else file
        yield io.TextIOWrapper(raw, encoding="utf-8-sig", newline="")


def _delimited(stream: io.TextIOBase, delimiter: str | None, key: str) -> Iterator[Values]:
    """The rows of CSV; the delimiter is what the head holds most of, where it is not known."""
    csv.field_size_limit(LONGEST_CELL)
    head = stream.readline()
    names = next(csv.reader([head], delimiter=delimiter or _delimiter(head)), [])
    if len(set(names)) < len(names):
        twice = sorted({name for name in names if names.count(name) > 1})
        raise InputError(f"{key}: the table has two columns called {twice[0]}; rename one")
    reader = csv.reader(stream, delimiter=delimiter or _delimiter(head), strict=True)
    number = 0
    try:
        for number, cells in enumerate(reader):
            if not cells:
                continue
            if len(cells) != len(names):
                raise InputError(
                    f"{key}: row {number} has {len(cells)} cells, the head {len(names)}; quote cells that hold the "
                    "delimiter"
                )
            yield dict(zip(names, cells, strict=True))
    except csv.Error as error:
        raise InputError(f"{key}: row {number + 1} is no CSV ({error}); is a quotation mark left open?") from error


def _delimiter(head: str) -> str:
    return max(",;\t", key=head.count)


def _objects(stream: io.TextIOBase, key: str) -> Iterator[Values]:
    """The objects of a JSON array, or one a line."""
    number = 0
    for number, found in enumerate(_parsed(stream, key)):
        if not isinstance(found, dict):
            raise InputError(f"{key}: row {number} is no object of columns; give a list of objects, or one a line")
        yield {str(name): _text(cell) for name, cell in found.items()}


def _parsed(stream: io.TextIOBase, key: str) -> Iterator[Any]:
    """The values that stand one after the other, or in one list, parsed as the text is read."""
    decoder, text, at, number = json.JSONDecoder(), "", 0, 0
    listed: bool | None = None
    while True:
        at = _end_of_gap(text, at)
        if listed is None and at < len(text):
            listed = text[at] == "["
            at += listed
            continue
        if listed and text.startswith("]", at):
            return
        try:
            value, at = decoder.raw_decode(text, at)
        except ValueError as error:
            # Either the value goes on in the next piece, or it is none.
            piece = stream.read(_PIECE) if len(text) - at <= LONGEST_CELL else ""
            if not piece and (listed or at < len(text)):
                raise InputError(f"{key}: the table is cut short or no JSON behind row {number}; mend it") from error
            if not piece:
                return
            text, at = text[at:] + piece, 0
            continue
        yield value
        number += 1


def _end_of_gap(text: str, at: int) -> int:
    found = _GAP.match(text, at)
    assert found is not None, "the pattern matches nothing at all, too"
    return found.end()


def _text(cell: Any) -> str:
    """A cell as text: what is no text stays JSON."""
    if cell is None:
        return ""
    return cell if isinstance(cell, str) else json.dumps(cell, ensure_ascii=False)
