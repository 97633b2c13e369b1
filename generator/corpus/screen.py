"""What is decided of a row by its keys alone, before its report or image is read."""

from __future__ import annotations

import hashlib

from medim_forge.generator.corpus.index import Entry
from medim_forge.generator.corpus.layout import Layout
from medim_forge.generator.corpus.record import Record, RowRuleError, row_key, row_name
from medim_forge.generator.corpus.split import Split, drawn_split, named_split, patient_digest
from medim_forge.generator.jobspec.data import SplitSection

NO_IMAGE = "names no image"
NOT_THERE = "the image file is not there"
BURNED_IN = "words are burned into the image, it says of itself"
EXCLUDED = "has a value that the job excludes"
NO_VIEW = "does not say its view"
ANOTHER_VIEW = "is of a view that is not asked for"
NO_PATIENT = "does not say its patient"
STRANGE_PATIENT = "its patient does not look as patient_pattern says"
NO_SPLIT = "does not say its split"
_YES = ("YES", "Y", "TRUE", "1")


def screened(layout: Layout, split: SplitSection, record: Record) -> Entry:
    """The entry of a row, with the reason why it is left out, if there is one.

    Args:
        layout: of its source.
        split: of the job.
        record: as the holding has it.

    Raises:
        RowRuleError: its column of the split says a word that is not known.
    """
    key = row_key(layout.name, record.name)
    view = layout.value(layout.columns.view, record.values) or ""
    reason = _reason(layout, record, view)
    if reason is not None:
        return Entry(row=record.row, key=key, view=view, reason=reason)
    patient, reason = _patient(layout, record)
    if patient is None:
        return Entry(row=record.row, key=key, view=view, reason=reason)
    digest = patient_digest(split.salt, patient)
    side = _side(layout, split, record, digest)
    if side is None:
        return Entry(row=record.row, key=key, view=view, reason=NO_SPLIT)
    study = layout.value(layout.columns.study, record.values) or f"image {record.name}"
    return Entry(
        row=record.row,
        key=key,
        patient=digest,
        study=hashlib.blake2b(f"{layout.name}\0{study}".encode("utf-8", "surrogateescape"), digest_size=16).digest(),
        rank=_rank(layout, view),
        split=side,
        view=view,
    )


def _reason(layout: Layout, record: Record, view: str) -> str | None:
    """Why the row is left out by what its image is."""
    if record.picture is None:
        return NO_IMAGE
    if not record.picture.there():
        return NOT_THERE
    excluded = (
        (layout.value(name, record.values) or "").casefold() in [value.casefold() for value in values]
        for name, values in layout.source.exclude.items()
    )
    if any(excluded):
        return EXCLUDED
    burned = layout.value(layout.columns.burned_in, record.values) or ""
    if burned.upper() in _YES and layout.source.burned_in != "keep":
        return BURNED_IN
    if layout.views and not view:
        return NO_VIEW
    if layout.views and view.casefold() not in [name.casefold() for name in layout.views]:
        return ANOTHER_VIEW
    return None


def _patient(layout: Layout, record: Record) -> tuple[str | None, str]:
    """Whom the row is of, or why that is not known."""
    if layout.source.patients == "unknown":
        return f"{layout.name}\0{record.name}", ""
    said = layout.value(layout.columns.patient, record.values)
    if said is None:
        return None, NO_PATIENT
    if layout.patient_pattern is None:
        return said, ""
    found = layout.patient_pattern.search(said)
    if found is None:
        return None, STRANGE_PATIENT
    return found[1] if layout.patient_pattern.groups else found[0], ""


def _side(layout: Layout, split: SplitSection, record: Record, patient: bytes) -> Split | None:
    """Where the row stands; None where its column says nothing.

    Raises:
        RowRuleError: it says a word that is not known.
    """
    if split.by == "patient":
        return drawn_split(split, patient)
    said = layout.value(layout.columns.split, record.values)
    if said is None:
        return None
    side = named_split(said)
    if side is None:
        name = row_name(layout.name, record.row, row_key(layout.name, record.name))
        raise RowRuleError(
            f"{name}: columns.split says none of train, validation and test. Name another column, write these words "
            "there, or take split: {by: patient}."
        )
    return side


def _rank(layout: Layout, view: str) -> int:
    names = [name.casefold() for name in layout.views]
    return names.index(view.casefold()) if view.casefold() in names else len(names)
