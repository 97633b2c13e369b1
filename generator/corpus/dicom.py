"""A folder of DICOM images, with a table of reports, or with structured reports among them."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

from medim_forge.generator.corpus.dicom_tree import COLUMNS, PDF, TEXT_SR, Header, PageWords, TreeWords, read_header
from medim_forge.generator.corpus.layout import Layout, columns_of
from medim_forge.generator.corpus.pictures import FilePicture
from medim_forge.generator.corpus.record import Record, Words
from medim_forge.generator.corpus.tables import Lookup, columns_there, find_table, lacking
from medim_forge.generator.corpus.walk import walk
from medim_forge.generator.errors import InputError, SpecError

# What a row of the table may name an image by, the most exact first.
_MET_BY = ("SOPInstanceUID", "StudyInstanceUID", "AccessionNumber")
_WITHOUT_PIXELS = ("SR", "DOC", "PR", "KO", "PLAN", "AU", "SEG", "RTSTRUCT")


class DicomHolding:
    """DICOM images, each with the row of a table or with the structured report of its study.

    Columns are the elements of the header by keyword, and those of the table, which go before them.

    Args:
        layout: of the source.

    Raises:
        SpecError: there is no image, no report, or the table has no column that images are met by.
    """

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._top = layout.place("images" if layout.source.images else "path")
        self._met: Lookup | None = None
        self._other = self._damaged = self._sr = self._pages = 0
        if layout.source.table:
            key = f"{layout.where}.table"
            table = find_table(layout.place("table"), "*.*", key)
            there, named = columns_there(table, key), columns_of(layout.columns.image)
            on = next((name for name in named if name in there), None)
            if on is None:
                raise lacking(named, there, key)
            self._met = Lookup(table, on, key)
        self._base = sqlite3.connect("")  # a file without a name, which is gone when it is closed
        self._base.execute("create table images (number integer primary key, path text)")
        self._base.execute("create table reports (study text, at text, kind text, path text)")
        self._look()
        self.columns = tuple(dict.fromkeys((*COLUMNS, *(self._met.columns if self._met else ()), "report")))

    def records(self) -> Iterator[Record]:
        """Every image in order of its path."""
        for number, path in self._base.execute("select number, path from images order by number"):
            header = read_header(Path(path)) or Header({}, ())
            values = dict(header.values)
            found = self._row(header)
            values |= {name: cell for name, cell in (found or {}).items() if cell or name not in values}
            name = values.get("SOPInstanceUID") or f"file {number}"
            words = None if self._met else self._words(values.get("StudyInstanceUID", ""))
            yield Record(
                row=number, name=name, values=values, picture=FilePicture(Path(path)), words=words, names=header.names
            )

    def said(self) -> tuple[str, ...]:
        """What of the folder is no image."""
        said = [f"{self._sr} structured reports among the files"] if self._sr else []
        said += [f"{self._pages} encapsulated PDF, which are no text"] if self._pages else []
        said += [f"{self._other} files are no DICOM images"] if self._other else []
        return (*said, *((f"{self._damaged} files are damaged DICOM",) if self._damaged else ()))

    def _look(self) -> None:
        """Images and reports of the folder are known, on disk, so that memory does not grow with them."""
        number = 0
        for path in walk(self._top) if self._top.is_dir() else iter((self._top,)):
            try:
                header = read_header(path)
            except InputError:
                self._damaged += 1
                continue
            if header is None or not header.values["SOPClassUID"]:
                self._other += 1
                continue
            kind = header.values["SOPClassUID"]
            if kind in TEXT_SR or kind == PDF:
                self._sr, self._pages = self._sr + (kind != PDF), self._pages + (kind == PDF)
                at = header.values["ContentDate"] + header.values["ContentTime"]
                row = (header.values["StudyInstanceUID"], at, "pages" if kind == PDF else "tree", str(path))
                self._base.execute("insert into reports values (?, ?, ?, ?)", row)
            elif header.values["Modality"] in _WITHOUT_PIXELS:
                self._other += 1
            else:
                self._base.execute("insert into images values (?, ?)", (number, str(path)))
                number += 1
        self._base.execute("create index by_study on reports (study)")
        if not number:
            raise SpecError(f"{self._layout.where}: there is no DICOM image in {self._top}.")
        if self._met is None and not self._sr:
            pages = f"; its {self._pages} encapsulated PDF are pictures of pages and no text" if self._pages else ""
            raise SpecError(
                f"{self._layout.where}: there is no structured report (Basic, Enhanced or Comprehensive Text SR) in "
                f"{self._top}{pages}. Name a table of reports: table: reports.csv."
            )

    def _row(self, header: Header) -> dict[str, str] | None:
        """The row of the table that names the image, its study or its accession number."""
        for keyword in _MET_BY if self._met else ():
            value = header.values.get(keyword)
            found = self._met.find(value) if value and self._met else None
            if found is not None:
                return dict(found)
        return None

    def _words(self, study: str) -> Words | None:
        """The report of a study: of several the last, and a text before pages."""
        order = "order by kind desc, at desc, path desc limit 1"
        found = self._base.execute(f"select kind, path from reports where study = ? {order}", (study,)).fetchone()  # noqa: S608
        if found is None:
            return None
        headings = self._layout.headings or {}
        own = {part: headings[part][0] for part in ("findings", "impression") if headings.get(part)}
        return PageWords() if found[0] == "pages" else TreeWords(Path(found[1]), **own)
