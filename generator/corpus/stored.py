"""Holdings whose images stand in tables, Parquet or of the library `datasets`, those that are ours, and phantoms."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from medim_forge.generator.corpus.layout import Layout
from medim_forge.generator.corpus.pictures import CellPicture, DrawnPicture, SavedPicture, saved_table
from medim_forge.generator.corpus.record import Record
from medim_forge.generator.corpus.tables import lacking
from medim_forge.generator.errors import InputError, SpecError
from medim_forge.generator.inputs.places import find_tables
from medim_forge.generator.inputs.tables import Table, look_at_all
from medim_forge.generator.phantoms import draw

_BATCH = 1024  # rows of columns without images
_SPLIT = "split"
_SPLIT_NAMES = ("train", "training", "validation", "valid", "val", "dev", "test")
_FOLDERS = ("state.json", "dataset_info.json")


class ParquetHolding:
    """Parquet tables: a file, a folder, or a path with wildcards.

    Where no column says the split, `split` is what the names of the files begin with, as those of Hugging Face do.

    Args:
        layout: of the source.
        tables: files, sorted; None looks for them.

    Raises:
        SpecError: there is no table, or it lacks the column of images.
    """

    def __init__(self, layout: Layout, tables: tuple[Path, ...] | None = None) -> None:
        self._layout = layout
        paths = tables if tables is not None else _tables(layout)
        if not paths:
            raise SpecError(f"{layout.where}.path = {layout.source.path!r} names no Parquet file.")
        try:
            self._tables = look_at_all(paths)
        except InputError as error:
            raise SpecError(f"{layout.where}.path: {error}") from error
        self._image = layout.columns.image or "image"
        there = self._tables[0].columns
        for table in self._tables:
            if self._image not in table.columns:
                raise lacking([self._image], table.columns, f"{layout.where}.columns.image")
        self._named_by_file = _SPLIT not in there
        self.columns = tuple(there) + ((_SPLIT,) if self._named_by_file else ())
        self._folder = Path(layout.source.images) if layout.source.images else None

    def records(self) -> Iterator[Record]:
        """Every row of the tables in order; the images are not read."""
        row = 0
        for number, table in enumerate(self._tables):
            extra = {_SPLIT: _split_of(table.path)} if self._named_by_file else {}
            for group, place, cells in self._cells(number, table):
                values = {name: _as_text(cell) for name, cell in cells.items()} | extra
                picture = CellPicture(table.path, group, place, self._image, self._folder or table.path.parent)
                yield Record(row=row, name=f"{number}/{group}/{place}", values=values, picture=picture)
                row += 1

    def said(self) -> tuple[str, ...]:
        """Nothing."""
        return ()

    def _cells(self, number: int, table: Table) -> Iterator[tuple[int, int, dict[str, Any]]]:
        """Row group, number in it, and the cells but for the image, of every row."""
        import pyarrow
        import pyarrow.parquet as pq

        names = [name for name in table.columns if name != self._image]
        try:
            with pq.ParquetFile(table.path) as file:
                for group, rows in enumerate(table.groups):
                    if not names:
                        yield from ((group, place, {}) for place in range(rows))
                        continue
                    batches = file.iter_batches(_BATCH, row_groups=[group], columns=names)
                    cells = (cells for batch in batches for cells in batch.to_pylist())
                    yield from ((group, place, row) for place, row in enumerate(cells))
        except (OSError, pyarrow.ArrowException, UnicodeDecodeError) as error:
            raise InputError(
                f"{self._layout.where}: table {number} cannot be read ({type(error).__name__}); repair the file"
            ) from error


class SavedHolding:
    """Folders that the library `datasets` wrote with `save_to_disk`: one split, or several below one folder.

    Args:
        layout: of the source.

    Raises:
        SpecError: the library is not installed, or cannot read the folder.
    """

    def __init__(self, layout: Layout) -> None:
        top = layout.place("path")
        parts = [top] if (top / _FOLDERS[0]).is_file() else sorted(path.parent for path in top.glob(f"*/{_FOLDERS[0]}"))
        self._parts = tuple(parts)
        self._image = layout.columns.image or "image"
        there = tuple(saved_table(self._parts[0]).column_names)
        if self._image not in there:
            raise lacking([self._image], there, f"{layout.where}.columns.image")
        self._named_by_file = _SPLIT not in there
        self.columns = there + ((_SPLIT,) if self._named_by_file else ())

    def records(self) -> Iterator[Record]:
        """Every row of the folders in order; the images are not read."""
        row = 0
        for part in self._parts:
            extra = {_SPLIT: part.name} if self._named_by_file else {}
            table = saved_table(part).remove_columns([self._image])
            for place, cells in enumerate(table if table.column_names else [{}] * len(saved_table(part))):
                values = {name: _as_text(cell) for name, cell in cells.items()} | extra
                picture = SavedPicture(part, place, self._image)
                yield Record(row=row, name=f"{part.name}/{place}", values=values, picture=picture)
                row += 1

    def said(self) -> tuple[str, ...]:
        """Nothing."""
        return ()


class OwnHolding(ParquetHolding):
    """A finished dataset of ours, which a model made.

    Args:
        layout: of the source.

    Raises:
        SpecError: the folder holds no finished dataset.
    """

    def __init__(self, layout: Layout) -> None:
        folder = layout.place("path")
        tables = find_tables(str(folder / "data"))
        if not tables:
            raise SpecError(f"{layout.where}.path: {folder} holds no data/*.parquet, so no finished dataset of ours.")
        super().__init__(layout, tables)


class DrawnHolding:
    """Phantoms, drawn row by row.

    Args:
        layout: of the source.
    """

    columns = ("seed", "report")

    def __init__(self, layout: Layout) -> None:
        self._source = layout.source

    def records(self) -> Iterator[Record]:
        """Every phantom in order of its seed."""
        for row in range(self._source.pairs or 0):
            seed = self._source.first_seed + row
            values = {"seed": str(seed), "report": draw(self._source.domain, seed).report}
            yield Record(row=row, name=str(seed), values=values, picture=DrawnPicture(self._source.domain, seed))

    def said(self) -> tuple[str, ...]:
        """Nothing."""
        return ()


def is_saved(folder: Path) -> bool:
    """Whether `datasets` wrote the folder with `save_to_disk`."""
    return (folder / _FOLDERS[0]).is_file() or any(folder.glob(f"*/{_FOLDERS[0]}"))


def _tables(layout: Layout) -> tuple[Path, ...]:
    place = layout.source.path or layout.source.table or ""
    top = Path(place)
    if top.is_dir():
        # Hugging Face folders keep their tables in data/ or in one folder for each configuration.
        return tuple(sorted(path for path in top.rglob("*.parquet") if not path.name.startswith(".")))
    return find_tables(place)


def _split_of(path: Path) -> str:
    """The split that the name of a file begins with; empty where it begins with none."""
    first = path.stem.split("-", 1)[0].lower()
    return first if first in _SPLIT_NAMES else ""


def _as_text(cell: Any) -> str:
    """A cell as text; what is null is empty."""
    if cell is None or isinstance(cell, bytes):
        return "" if cell is None else cell.decode("utf-8", "replace")
    return cell if isinstance(cell, str) else str(cell)
