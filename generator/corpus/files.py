"""Holdings whose images are files: a table that names them, a folder with reports beside them, archives."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from medim_forge.generator.corpus.layout import Layout
from medim_forge.generator.corpus.pictures import FilePicture, PartPicture, is_dicom_content, read_part
from medim_forge.generator.corpus.record import Picture, Record, Words
from medim_forge.generator.corpus.slides import SlidePicture
from medim_forge.generator.corpus.tables import Lookup, Values, columns_there, find_table, lacking, read_rows
from medim_forge.generator.corpus.texts import FileWords, PartWords, decoded
from medim_forge.generator.corpus.walk import walk
from medim_forge.generator.errors import InputError, SpecError
from medim_forge.generator.inputs.places import PICTURES, report_file
from medim_forge.generator.jobspec.preset import FilePathSection

_TABLES = "*.*"


class TableHolding:
    """A table whose rows name image files, joined with further tables.

    Args:
        layout: of the source.

    Raises:
        SpecError: a table or a column is not there.
        InputError: a table cannot be read.
    """

    def __init__(self, layout: Layout) -> None:
        self._layout, preset = layout, layout.preset
        first = preset.table if preset else None
        place = "table" if layout.source.table or first is None else first.place
        self._key = f"{layout.where}.{place}"
        self._table = find_table(layout.place(place), first.file if first else _TABLES, self._key)
        columns = list(columns_there(self._table, self._key))
        self._joins: list[tuple[str, Lookup]] = []
        for join in preset.joins if preset else ():
            key = f"{layout.where}.{join.place}"
            if join.on not in columns:
                raise lacking([join.on], columns, self._key)
            folder = layout.place(join.place)
            table = find_table(folder if folder.is_dir() else folder.parent, join.file, key)
            self._joins.append((join.on, Lookup(table, join.on, f"{key} {table.name}")))
            columns += [name for name in self._joins[-1][1].columns if name not in columns]
        self.columns = tuple(columns)
        self._image = preset.image if preset else None
        self._folder = self._images()
        self._reports = layout.place(preset.report_file.place) if preset and preset.report_file else None

    def records(self) -> Iterator[Record]:
        """Every row of the first table in order."""
        for row, values in enumerate(read_rows(self._table, self._key)):
            whole = {**values, **self._joined(values)}
            name = self._named(whole)
            yield Record(
                row=row,
                name=name or f"row {row}",
                values=whole,
                picture=None if name is None else self._picture(whole),
                words=self._words(whole),
            )

    def said(self) -> tuple[str, ...]:
        """Nothing beyond what the preset notes."""
        return ()

    def _images(self) -> Path:
        """The folder that image paths start from."""
        source = self._layout.source
        place = self._image.place if self._image else "images"
        if getattr(source, place) is None and self._layout.preset is None:
            return self._table.parent
        folder = self._layout.place(place)
        return folder if folder.is_dir() else folder.parent

    def _joined(self, values: Values) -> Values:
        added: dict[str, str] = {}
        for on, lookup in self._joins:
            added |= {name: cell for name, cell in (lookup.find(values.get(on, "")) or {}).items() if name != on}
        return added

    def _named(self, values: Values) -> str | None:
        """The path of the image below its folder, as the row says it."""
        template = self._image.path if self._image else self._layout.columns.image
        said = self._layout.value(template, values)
        region = self._layout.preset.region if self._layout.preset else None
        return (said and region and f"{said} {values.get(region.position)}") or said

    def _picture(self, values: Values) -> Picture | None:
        region = self._layout.preset.region if self._layout.preset else None
        template = self._image.path if self._image else self._layout.columns.image
        path = self._folder / (self._layout.value(template, values) or "")
        if region is None:
            return FilePicture(_present(path, self._image))
        corner = _corner(values.get(region.position, ""))
        return None if corner is None else SlidePicture(path, *corner, region.side)

    def _words(self, values: Values) -> Words | None:
        preset = self._layout.preset
        if self._reports is None or preset is None or preset.report_file is None:
            return None
        said = self._layout.value(preset.report_file.path, values)
        return None if said is None else FileWords(self._reports / said)


class FolderHolding:
    """A folder of images, the report of `name.png` in `name.txt` beside it.

    Columns are `name` (the path below the folder), `stem` (the name without folder and suffix) and `folder` (the name
    of the innermost folder).

    Args:
        layout: of the source.

    Raises:
        SpecError: there is no image.
    """

    columns = ("name", "stem", "folder", "report")

    def __init__(self, layout: Layout) -> None:
        self._top = layout.place("images" if layout.source.images else "path")
        self._left = 0
        if next(self._images(), None) is None:
            raise SpecError(f"{layout.where}: there is no image ({', '.join(PICTURES)}, DICOM) in {self._top}.")

    def records(self) -> Iterator[Record]:
        """Every image, sorted by path."""
        top = self._top if self._top.is_dir() else self._top.parent
        for row, path in enumerate(self._images()):
            name = path.relative_to(top).as_posix()
            values = {"name": name, "stem": path.stem, "folder": path.parent.name}
            yield Record(
                row=row, name=name, values=values, picture=FilePicture(path), words=FileWords(report_file(path))
            )

    def said(self) -> tuple[str, ...]:
        """How many files are neither images nor reports, once all were gone through."""
        return (f"{self._left} files are neither images nor the reports beside them",) if self._left else ()

    def _images(self) -> Iterator[Path]:
        self._left = 0
        for path in walk(self._top) if self._top.is_dir() else iter((self._top,)):
            if path.suffix.lower() in _SHOWN or _begins_as_dicom(path):
                yield path
            elif path.suffix.lower() != ".txt":
                self._left += 1


class ArchiveHolding:
    """WebDataset: tar archives in which `key.jpg`, `key.txt` and `key.json` stand one after the other.

    Columns are those of the JSON, `txt`, and `key`.

    Args:
        layout: of the source.

    Raises:
        SpecError: there is no archive, or it cannot be read.
    """

    def __init__(self, layout: Layout) -> None:
        self._where = layout.where
        place = Path(layout.source.path or layout.source.images or "")
        whole = place if place.is_absolute() else Path.cwd() / place
        pattern = whole.relative_to(whole.anchor).as_posix()
        given = sorted(whole.glob("*.tar")) if whole.is_dir() else sorted(Path(whole.anchor).glob(pattern))
        self._archives = tuple(path for path in given if path.is_file())
        if not self._archives:
            raise SpecError(f"{self._where}: there is no *.tar in {place}; name the folder, a file or a pattern.")
        names = {name: None for record in _first(self.records(), 8) for name in record.values}
        self.columns = tuple(names)

    def records(self) -> Iterator[Record]:
        """Every key in order of the archives."""
        row = 0
        for number, path in enumerate(self._archives):
            for key, members in self._members(number, path):
                picture = next((PartPicture(path, *at) for kind, at in members.items() if f".{kind}" in _SHOWN), None)
                words = PartWords(path, *members["txt"]) if "txt" in members else None
                values = {"key": key, **self._fields(path, row, members)}
                yield Record(row=row, name=f"{path.name}/{key}", values=values, picture=picture, words=words)
                row += 1

    def said(self) -> tuple[str, ...]:
        """Nothing."""
        return ()

    def _members(self, number: int, path: Path) -> Iterator[tuple[str, dict[str, tuple[int, int]]]]:
        """Where the members of each key lie, by suffix: first byte and size."""
        key, members = "", dict[str, tuple[int, int]]()
        try:
            with tarfile.open(path, "r:") as archive:
                for member in archive:
                    if not member.isfile() or PurePosixPath(member.name).name.startswith("."):
                        continue
                    # WebDataset: the key ends at the first point of the file name.
                    folder, name = PurePosixPath(member.name).parent, PurePosixPath(member.name).name
                    own, _, kind = name.partition(".")
                    own = own if str(folder) == "." else f"{folder}/{own}"
                    if members and own != key:
                        yield key, members
                        members = {}
                    key, members[kind.lower()] = own, (member.offset_data, member.size)
                    archive.members.clear()  # type: ignore[attr-defined]  # else memory grows with the archive
        except tarfile.TarError as error:
            raise InputError(f"{self._where}: archive {number} is no tar that can be read ({error})") from error
        if members:
            yield key, members

    def _fields(self, path: Path, row: int, members: dict[str, tuple[int, int]]) -> dict[str, str]:
        if "json" not in members:
            return {}
        try:
            found = json.loads(decoded(read_part(path, *members["json"])))
        except ValueError as error:
            raise InputError(f"{self._where}: the JSON of row {row} cannot be read; mend it") from error
        if not isinstance(found, dict):
            raise InputError(f"{self._where}: the JSON of row {row} is no object of columns")
        return {name: cell if isinstance(cell, str) else json.dumps(cell) for name, cell in found.items() if cell}


_SHOWN = (*PICTURES, ".dcm")


def _first(records: Iterator[Record], most: int) -> list[Record]:
    return [record for record, _ in zip(records, range(most), strict=False)]


def _present(path: Path, section: FilePathSection | None) -> Path:
    """The path, with the suffix that the release has."""
    if section is None or not section.suffixes or path.is_file():
        return path
    others = (path.with_suffix(suffix) for suffix in section.suffixes)
    return next((other for other in others if other.is_file()), path)


def _begins_as_dicom(path: Path) -> bool:
    """Whether a file that no suffix tells of is DICOM."""
    if path.suffix.lower() == ".txt":
        return False
    with path.open("rb") as file:
        return is_dicom_content(file.read(132))


def _corner(cell: str) -> tuple[int, int] | None:
    """The corner that `["x", "y"]` says."""
    try:
        x, y = json.loads(cell)
        return int(x), int(y)
    except (ValueError, TypeError):
        return None
