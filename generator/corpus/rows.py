"""Image-report pairs of all sources of a job, in order: what is kept, and why the others are left out.

    corpus = open_corpus(section, "train.yaml")
    for row in corpus.rows():
        match row:
            case CorpusRow():
                row.report, row.split, row.weight, row.picture.pixels()
            case LeftOut():
                row.reason

Every source is gone through twice. First only its keys: which images there are, of whom, of which view and side; that
decides what of a study is taken, and refuses a patient on two sides before anything is read. Then row by row the
report, with the rules for its text. Images are read when they are asked for, and not at all here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from medim_forge.generator.corpus.dicom import DicomHolding
from medim_forge.generator.corpus.files import ArchiveHolding, FolderHolding, TableHolding
from medim_forge.generator.corpus.index import Entry, Index
from medim_forge.generator.corpus.layout import Layout, columns_of, resolve_layout
from medim_forge.generator.corpus.record import Holding, Record, RowRuleError, outages, row_key, row_name
from medim_forge.generator.corpus.reports import read_report
from medim_forge.generator.corpus.row import CorpusRow, LeftOut
from medim_forge.generator.corpus.screen import BURNED_IN, NOT_THERE, screened
from medim_forge.generator.corpus.stored import DrawnHolding, OwnHolding, ParquetHolding, SavedHolding, is_saved
from medim_forge.generator.corpus.tables import lacking
from medim_forge.generator.errors import InputError, SpecError
from medim_forge.generator.jobspec.data import DataSection


class Corpus:
    """The pairs of a job's section `data`, indexed.

    Args:
        section: of the job.
        layouts: of its sources, in order.
        holdings: of its sources, in order.
        index: of all rows.
    """

    def __init__(
        self, section: DataSection, layouts: tuple[Layout, ...], holdings: tuple[Holding, ...], index: Index
    ) -> None:
        self.section, self.layouts = section, layouts
        self._holdings, self._index = holdings, index

    def rows(self) -> Iterator[CorpusRow | LeftOut]:
        """Every row of every source in order.

        Raises:
            InputError: a source changed since it was opened.
        """
        for layout, holding in zip(self.layouts, self._holdings, strict=True):
            with outages(layout.where):
                for record, entry in _met(layout, holding, self._index.entries(layout.number)):
                    yield self._row(layout, record, entry)

    def kept(self) -> Iterator[CorpusRow]:
        """The pairs that are kept, in order.

        Raises:
            RowRuleError: a row that the job says it must not go on with.
            InputError: a source changed since it was opened.
        """
        for row in self.rows():
            if isinstance(row, CorpusRow):
                yield row
            elif row.stops:
                found = ", ".join(f"{count} x {kind}" for kind, count in sorted(row.phi.items()))
                raise RowRuleError(
                    f"{row.name}: {row.reason}{found and f' ({found})'}. `medim data` counts all such rows; phi.action "
                    "and burned_in of the source say what is to be done about them."
                )

    def said(self, number: int) -> tuple[str, ...]:
        """What a person should know of a source."""
        return (*self.layouts[number].notes, *self._holdings[number].said())

    def _row(self, layout: Layout, record: Record, entry: Entry) -> CorpusRow | LeftOut:
        if entry.reason is not None:
            stops = layout.source.burned_in == "error" and entry.reason == BURNED_IN
            return LeftOut(source=layout.name, row=entry.row, key=entry.key, reason=entry.reason, stops=stops)
        found = read_report(layout, self.section.text, record)
        if found.report is None:
            out = LeftOut(source=layout.name, row=entry.row, key=entry.key, reason=found.reason)
            return replace(out, phi=found.phi, stops=found.stops)
        assert record.picture is not None, "a row without an image has a reason"
        assert entry.patient is not None, "a row without a patient has a reason"
        assert entry.study is not None, "it comes with the patient"
        assert entry.split is not None, "a row without a side has a reason"
        labels = {name: record.values.get(name, "") for name in layout.columns.labels}
        return CorpusRow(
            source=layout.name,
            row=entry.row,
            key=entry.key,
            domain=layout.source.domain,
            picture=record.picture,
            opening=layout.opening,
            report=found.report,
            patient=entry.patient,
            study=entry.study,
            view=entry.view,
            split=entry.split,
            labels=labels,
            weight=entry.weight,
            phi=found.phi,
            removed=found.removed,
        )


def open_corpus(section: DataSection, job: str) -> Corpus:
    """The pairs of a section `data`, with all keys known and no patient on two sides.

    Args:
        section: of the job.
        job: the job file, for errors.

    Raises:
        SpecError: a place, a preset or a column is not there, or nothing tells the patients apart.
        InputError: a table cannot be read, or a patient stands on two sides.
    """
    try:
        layouts = tuple(resolve_layout(number, source) for number, source in enumerate(section.sources))
        holdings, index = [], Index()
        for layout in layouts:
            with outages(layout.where):
                holding = open_holding(layout)
                _check_columns(layout, holding, section)
                found = (screened(layout, section.split, record) for record in _limited(layout, holding))
                index.add(layout.number, found)
                index.settle(layout.number, layout.per_study)
                _refuse_absence(layout, index)
                holdings.append(holding)
    except (SpecError, InputError) as error:
        raise type(error)(f"{job}: {error}") from error
    _refuse_two_sides(layouts, index, job)
    return Corpus(section, layouts, tuple(holdings), index)


def open_holding(layout: Layout) -> Holding:
    """The rows of a source.

    Raises:
        SpecError: what it names is not there.
        InputError: it cannot be read.
    """
    match layout.kind:
        case "table":
            return TableHolding(layout)
        case "images":
            return FolderHolding(layout)
        case "webdataset":
            return ArchiveHolding(layout)
        case "dicom":
            return DicomHolding(layout)
        case "dataset":
            return OwnHolding(layout)
        case "phantoms":
            return DrawnHolding(layout)
        case "huggingface" if is_saved(layout.place("path")):
            return SavedHolding(layout)
        case _:
            return ParquetHolding(layout)


def _limited(layout: Layout, holding: Holding) -> Iterator[Record]:
    for record in holding.records():
        if layout.source.limit is not None and record.row >= layout.source.limit:
            return
        yield record


def _met(layout: Layout, holding: Holding, entries: Iterator[Entry]) -> Iterator[tuple[Record, Entry]]:
    """Every record with its entry.

    Raises:
        InputError: the source holds other rows than when it was opened.
    """
    records = _limited(layout, holding)
    for entry in entries:
        record = next(records, None)
        if record is None or (record.row, row_key(layout.name, record.name)) != (entry.row, entry.key):
            raise InputError(f"{layout.where} changed while it was read, at row {entry.row}; keep it as it is")
        yield record, entry
    if next(records, None) is not None:
        raise InputError(f"{layout.where} grew while it was read; keep it as it is")


def _check_columns(layout: Layout, holding: Holding, section: DataSection) -> None:
    """Every column that is named is there, and there is one that tells the patients apart.

    Raises:
        SpecError: one is not.
    """
    there = holding.columns
    for role in ("report", "findings", "impression", "patient", "study", "view", "split"):
        expression = getattr(layout.columns, role)
        explicit = role in layout.source.columns.model_fields_set
        named = columns_of(expression)
        if not named or expression in there:
            continue
        needed = all if "{" in expression else any
        if not needed(name in there for name in named) and (explicit or layout.preset is not None):
            if layout.kind == "dicom" and not explicit:
                continue
            raise lacking(named, there, f"{layout.where}.columns.{role}")
    for name in (*layout.columns.labels, *layout.source.exclude):
        if name not in there:
            raise lacking([name], there, f"{layout.where}.{'exclude' if name in layout.source.exclude else 'columns'}")
    if layout.columns.patient is None and layout.source.patients is None:
        raise SpecError(
            f"{layout.where}: nothing tells the patients apart, so one of them may be learned from and tested on. "
            f"Name the column (columns: {{patient: NAME}}; there are {', '.join(there)}), or write patients: unknown, "
            "which every table will say."
        )
    if section.split.by == "column" and layout.columns.split is None:
        raise SpecError(
            f"{layout.where}: split.by: column needs columns.split of every source; name it, or take by: patient."
        )


def _refuse_absence(layout: Layout, index: Index) -> None:
    """At least one of the image files that a table names is there.

    Raises:
        SpecError: none is.
    """
    rows = index.all_left_out_for(layout.number, NOT_THERE)
    if rows:
        raise SpecError(
            f"{layout.where}: of {rows:,} image files that its table names none is there. Is the share mounted? Paths "
            "start from the folder of the table, or from images, path or slides where the source names them."
        )


def _refuse_two_sides(layouts: tuple[Layout, ...], index: Index, job: str) -> None:
    """No patient stands on two sides.

    Raises:
        InputError: one does; names rows.
    """
    found = index.on_two_sides()
    if not found:
        return
    shown = "; ".join(
        " and ".join(f"{row_name(layouts[source].name, row, key)} in {split}" for source, row, key, split in rows)
        for rows in found
    )
    raise InputError(
        f"{job}: {index.patients_on_two_sides()} patients stand on two sides of the split, e.g. {shown}. Give every "
        "patient one side, or take split: {by: patient}; if two sources call different people the same, write columns: "
        '{patient: "NAME-{COLUMN}"} in one of them.'
    )
