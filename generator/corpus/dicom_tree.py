"""DICOM headers, and the text of structured reports: their content tree flattened by the codes of its headings."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

from pydicom import config
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError

from medim_forge.generator.errors import InputError
from medim_forge.generator.inputs.dicom_bounds import read_bounded

# Elements of a header that are columns of the holding, by keyword.
COLUMNS = (
    *("SOPInstanceUID", "SOPClassUID", "SeriesInstanceUID", "StudyInstanceUID", "AccessionNumber", "PatientID"),
    *("ViewPosition", "BurnedInAnnotation", "Modality", "PatientIdentityRemoved", "ContentDate", "ContentTime"),
)
# Storage classes whose content tree is a report in words: Basic, Enhanced, Comprehensive (3D) and Extensible SR.
TEXT_SR = tuple(f"1.2.840.10008.5.1.4.1.1.88.{number}" for number in (11, 22, 33, 34, 35))
PDF = "1.2.840.10008.5.1.4.1.1.104.1"
# What a coded heading begins, by coding scheme and value (PS3.16 CID 7001, 7002; LOINC).
_CODED: Mapping[tuple[str, str], str] = MappingProxyType(
    {
        **{("DCM", value): "findings" for value in ("121070", "121071")},
        **{("DCM", value): "impression" for value in ("121072", "121073", "121076", "121077", "121111")},
        **{("DCM", value): "other" for value in ("121060", "121062", "121064", "121065", "121066", "121068", "121069")},
        **{("DCM", value): "other" for value in ("121074", "121075", "121078", "121109", "121110")},
        **{("LN", value): "findings" for value in ("59776-5", "18782-3")},
        **{("LN", value): "impression" for value in ("19005-8", "55110-1")},
        **{("LN", value): "other" for value in ("11329-0", "18785-6", "18834-2", "55111-9", "55115-0", "18783-1")},
    }
)
_USUAL: Mapping[str, str] = MappingProxyType({"findings": "FINDINGS", "impression": "IMPRESSION", "other": "HISTORY"})
Found = TypeVar("Found")
_DEEPEST = 32  # levels of a content tree
# Of the patient's module: facts that tell nobody's name, and stand in reports as they should.
_CLINICAL = (
    *("PatientSex", "PatientAge", "PatientSize", "PatientWeight", "EthnicGroup", "SmokingStatus", "PregnancyStatus"),
    *("MedicalAlerts", "Allergies", "AdditionalPatientHistory", "PatientComments", "PatientState", "Occupation"),
    *("PatientSpeciesDescription", "QualityControlSubject", "ClinicalTrialSponsorName", "CountryOfResidence"),
    *("PatientSexNeutered", "PatientBreedDescription", "PatientReligiousPreference", "LastMenstrualDate"),
)


@dataclass(frozen=True)
class Header:
    """What a DICOM object says of itself, without its pixels.

    Args:
        values: by keyword, those of `COLUMNS`; empty where it says nothing.
        names: of the patient: values of group 0010 that must not occur in a report.
    """

    values: Mapping[str, str]
    names: tuple[str, ...]


def read_header(path: Path) -> Header | None:
    """The header of a file; None where it is no DICOM.

    Raises:
        InputError: it is damaged; the message goes on from the name of the row.
    """
    return _read(path, _header)


def _header(dataset: Dataset) -> Header:
    values = {keyword: _line(dataset.get(keyword)) for keyword in COLUMNS}
    names = tuple(
        _line(element.value)
        for element in dataset
        if element.tag.group == 0x0010 and element.keyword not in _CLINICAL and element.VR not in ("SQ", "OB", "UN")
    )
    return Header(values, tuple(name for name in names if name))


@dataclass(frozen=True)
class TreeWords:
    """A structured report.

    Args:
        path: of the object.
        findings, impression: words that head these parts in the text; empty for the usual ones.
    """

    path: Path
    findings: str = ""
    impression: str = ""

    def text(self) -> str | None:
        """The report: a line for every item of its content tree, headings in front of what they head.

        Raises:
            InputError: it cannot be read; the message goes on from the name of the row.
        """
        own = {"findings": self.findings, "impression": self.impression}
        headings = {**_USUAL, **{part: words for part, words in own.items() if words}}
        lines = _read(self.path, lambda dataset: list(_lines(dataset, headings, 0)))
        if lines is None:
            raise InputError("has a structured report that is no DICOM any more")
        return "\n".join(lines) or None


@dataclass(frozen=True)
class PageWords:
    """A report that is an encapsulated PDF: pages, of which nobody knows the words."""

    def text(self) -> str | None:
        """Never.

        Raises:
            InputError: always.
        """
        raise InputError(
            "has its report as an encapsulated PDF, which is a picture of pages and no text; export the text, e.g. as "
            "a table by AccessionNumber"
        )


def _read(path: Path, use: Callable[[Dataset], Found]) -> Found | None:
    """What `use` makes of the object in a file, read without its pixels; None where the file is no DICOM.

    pydicom converts values when they are asked for, and repeats those that it finds odd in warnings and in its log,
    with the name of the file. Both are silent as long as the object is used, and it is used nowhere else.
    """
    log = logging.getLogger("pydicom")
    before = log.disabled
    with warnings.catch_warnings(), config.disable_value_validation():
        warnings.simplefilter("ignore")
        log.disabled = True
        try:
            with path.open("rb") as file:
                return use(read_bounded(file, stop_before_pixels=True))
        except InvalidDicomError:
            return None
        except (OSError, InputError, MemoryError):
            raise
        except Exception as error:  # noqa: BLE001 - its kind is said; its words may hold values
            # Parsers meet damage in every way there is.
            raise InputError(f"is damaged DICOM ({type(error).__name__})") from None
        finally:
            log.disabled = before


def _lines(item: Dataset, headings: Mapping[str, str], depth: int) -> Iterator[str]:
    """The words of an item and of all that it contains."""
    if depth > _DEEPEST:
        raise InputError("has a structured report that is nested too deeply")
    own = _words(item)
    heading = _heading(item, headings) if depth else None
    if heading is not None:
        yield f"{heading}: {own}".rstrip()
    elif own:
        yield own
    for inner in item.get("ContentSequence") or ():
        if inner.get("RelationshipType") in (None, "", "CONTAINS", "HAS PROPERTIES", "INFERRED FROM"):
            yield from _lines(inner, headings, depth + 1)


def _heading(item: Dataset, headings: Mapping[str, str]) -> str | None:
    """What heads an item: the part that its code begins, or the words of its code."""
    for code in item.get("ConceptNameCodeSequence") or ():
        part = _CODED.get((_line(code.get("CodingSchemeDesignator")), _line(code.get("CodeValue"))))
        return headings[part] if part else _line(code.get("CodeMeaning")) or None
    return None


def _words(item: Dataset) -> str:
    """The words of one item, without those that it contains."""
    kind = _line(item.get("ValueType"))
    if kind == "TEXT":
        return str(item.get("TextValue") or "").strip()
    if kind == "CODE":
        return " ".join(_line(code.get("CodeMeaning")) for code in item.get("ConceptCodeSequence") or ())
    if kind == "NUM":
        for measured in item.get("MeasuredValueSequence") or ():
            units = [_line(unit.get("CodeValue")) for unit in measured.get("MeasurementUnitsCodeSequence") or ()]
            return " ".join([_line(measured.get("NumericValue")), *units])
    return ""


def _line(value: Any) -> str:
    """A value as text; several have a backslash between them."""
    if value is None:
        return ""
    several = not isinstance(value, str | bytes | int | float) and hasattr(value, "__iter__")
    parts = list(value) if several and type(value).__name__ != "PersonName" else [value]
    return "\\".join(str(part) for part in parts).strip("\0 ")
