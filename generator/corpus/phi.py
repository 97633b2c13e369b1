"""Words in a report that look as if they named a person. What was found is never kept, counted by kind only.

A scan finds forms, not people: it cannot say that a report names nobody. What it looks for are addresses of e-mail,
telephone numbers, dates in full, numbers that look like those of records, a title with a name, and values of the
patient's module (0010,xxxx) of the DICOM images of the same study.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Literal

PhiKind = Literal["e-mail", "telephone", "date", "record number", "title and name", "DICOM value"]
MASK = "___"
_MONTH = (
    r"(?:jan|feb|mar|mär|apr|may|mai|mei|jun|jul|aug|sep|oct|okt|out|nov|dec|dez|ene|abr|ago|set|dic|"
    r"fév|avr|juin|juil|août|déc|gen|mag|giu|lug|ott|fev)[a-zäéûç]*\.?"
)
_TITLE = (
    r"(?:Mrs?|Ms|Miss|Dr|Prof|Herrn?|Frau|Sra?|Señora?|Don|Doña|Mme|Mlle|Monsieur|Madame|Sig(?:nora|\.ra)?|Dott(?:oressa)?"
    r"|Doctor|Mevr|Dhr)"
)
_UPPER = r"[A-ZÀ-ÖØ-Þ]"
_NAME = rf"{_UPPER}[\w'\u2019-]+"
# The more telling kinds come first: a number is counted as one thing only.
_PATTERNS: tuple[tuple[PhiKind, re.Pattern[str]], ...] = (
    ("e-mail", re.compile(r"(?<![\w.+-])[\w.+-]+@[\w-]+(?:\.[\w-]+)+")),
    (
        "date",
        re.compile(
            r"\b(?:19|20)\d\d([-/.])(?:0?[1-9]|1[0-2])\1(?:0?[1-9]|[12]\d|3[01])\b"
            r"|\b(?:0?[1-9]|[12]\d|3[01])([-/.])\s?(?:0?[1-9]|[12]\d|3[01])\2\s?(?:(?:19|20)\d\d|\d\d)\b"
            rf"|\b{_MONTH}\s+\d{{1,2}}(?:st|nd|rd|th)?,?\s+(?:19|20)\d\d\b"
            rf"|\b\d{{1,2}}(?:st|nd|rd|th|\.)?\s+(?:de\s+)?{_MONTH}\s+(?:de\s+)?(?:19|20)\d\d\b"
            r"|(?:19|20)\d\d\s?[년年]\s?\d{1,2}\s?[월月]\s?\d{1,2}\s?[일日号]",
            re.IGNORECASE,
        ),
    ),
    (
        "telephone",
        re.compile(
            r"(?<![\w.])(?:\+\d{1,3}[\s.-]?)?\(\d{2,5}\)[\s.-]?\d{3,4}[\s.-]?\d{3,4}(?!\w)"
            r"|(?<![\w.])(?:\+\d{1,3}[\s.-]?)?\d{3}[\s.-]\d{3,4}[\s.-]\d{4}(?!\w)"
            r"|(?<![\w.])\+\d{1,3}(?:[\s./-]?\d{2,5}){2,5}(?!\w)"
            r"|(?i:\b(?:tel|phone|pager|beeper|fax|telefon|teléfono)\b)\.?:?\s*#?\s*\d[\d\s./-]{3,}\d"
        ),
    ),
    (
        "record number",
        re.compile(
            r"(?i:\b(?:mrn|medical record(?: number)?|patient(?:en)?[- ]?(?:id|nr|no|number|nummer)"
            r"|accession(?: number| no)?|acc|case (?:no|number)"
            r"|hospital (?:no|number)|fallnummer|ssn|nhc|nhs(?: number)?)\b)"
            r"\.?\s*[:#]?\s*[A-Z]{0,4}[-/]?\d[\dA-Z/-]{3,}"
            r"|(?<![\w.,])\d{3}-\d{2}-\d{4}(?!\w)"
            r"|(?<![\w.,])[A-Z]{0,3}\d{6,}(?![\w.,]?\d)"
        ),
    ),
    ("title and name", re.compile(rf"\b{_TITLE}\b\.?\s+(?:{_UPPER}\.\s*)*{_NAME}(?:\s+{_NAME})?")),
)
_LEAST = 3  # letters of a DICOM value: shorter ones stand in every text


def find(text: str, values: Sequence[str] = ()) -> tuple[Counter[PhiKind], list[tuple[int, int]]]:
    """How many of each kind a text holds, and where; what stands there is not given.

    Args:
        text: a report.
        values: DICOM values of the patient of the same study, that must not occur in it.

    Returns:
        The counts, and stretches of the text in order that do not overlap.
    """
    counts, taken = Counter[PhiKind](), list[tuple[int, int]]()
    for kind, start, end in _found(text, values):
        if all(end <= first or start >= last for first, last in taken):
            counts[kind] += 1
            taken.append((start, end))
    return counts, sorted(taken)


def masked(text: str, stretches: Sequence[tuple[int, int]]) -> str:
    """The text with `___` in place of the stretches."""
    kept, at = [], 0
    for start, end in stretches:
        kept += [text[at:start], MASK]
        at = end
    return "".join([*kept, text[at:]])


def parts_of(value: str) -> list[str]:
    """What of a DICOM value must not occur in a report: the parts of a name, an id as it is, a date as it is written.

    Args:
        value: of an element of group 0010; the parts of a name have `^` between them.
    """
    text = unicodedata.normalize("NFC", value).strip()
    if re.fullmatch(r"(?:19|20)\d{6}", text):
        year, month, day = text[:4], text[4:6], text[6:]
        return [
            *(f"{year}{mark}{month}{mark}{day}" for mark in ("", "-", "/", ".")),
            *(f"{first}{mark}{second}{mark}{year}" for first, second in ((day, month), (month, day)) for mark in "./-"),
        ]
    parts = [part.strip() for part in re.split(r"[\^=,]", text)] if re.search(r"[\^=,]", text) else [text]
    return [part for part in dict.fromkeys(parts) if len(part) >= _LEAST]


def _found(text: str, values: Sequence[str]) -> Iterator[tuple[PhiKind, int, int]]:
    for part in dict.fromkeys(part for value in values for part in parts_of(value)):
        for found in re.finditer(rf"(?<!\w){re.escape(part)}(?!\w)", text, re.IGNORECASE):
            yield "DICOM value", found.start(), found.end()
    # All but a title need a digit or an @, which most reports have none of.
    telling = any(mark.isdigit() for mark in text) or "@" in text
    for kind, pattern in _PATTERNS if telling else _PATTERNS[-1:]:
        for found in pattern.finditer(text):
            yield kind, found.start(), found.end()
