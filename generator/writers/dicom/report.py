"""The DICOM report of a pair: a Basic Text SR (PS3.3 A.35.1) that says of which image it speaks.

Content items come from highdicom, the dataset around them is ours: highdicom has no Basic Text SR, and its document
classes stamp the current time.
"""

from __future__ import annotations

import re
from functools import lru_cache

from highdicom.sr import (
    CodedConcept,
    ContainerContentItem,
    ContentItem,
    ContentSequence,
    DeviceObserverIdentifyingAttributes,
    ImageContentItem,
    LanguageOfContentItemAndDescendants,
    ObserverContext,
    RelationshipTypeValues,
    TextContentItem,
)
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code
from pydicom.uid import BasicTextSRStorage

from medim_forge.generator.dataset import Provenance
from medim_forge.generator.dataset.provenance import SOFTWARE
from medim_forge.generator.domains import facts_of
from medim_forge.generator.errors import RowError
from medim_forge.generator.records import Pair
from medim_forge.generator.writers.dicom.study import MIDNIGHT, base_dataset
from medim_forge.generator.writers.uids import PairUids, device_uid

# A heading stands where a line or a sentence begins, or in capitals anywhere; "the impression: normal" has none.
_IMPRESSION = re.compile(r"(?:^|\n|(?<=[.!?;:])\s|\s(?=(?-i:IMPRESSION)))\s*impression\s*:\s*", re.IGNORECASE)
_FINDINGS_HEADING = re.compile(r"^\s*findings\s*:\s*", re.IGNORECASE)
_LANGUAGE: tuple[ContentItem, ...] = (*LanguageOfContentItemAndDescendants(CodedConcept("en", "RFC5646", "English")),)
_FORBIDDEN = re.compile(r"[\x00-\x08\x0b\x0e-\x1f]")


def report_dataset(provenance: Provenance, pair: Pair, uids: PairUids, image: Dataset) -> Dataset:
    """The report object of a pair, which refers to the image object.

    Raises:
        RowError: the report has no words, or holds control characters.
    """
    dataset = base_dataset(provenance, pair, "report", uids.study, BasicTextSRStorage, uids.report)
    dataset.SeriesInstanceUID = uids.report_series
    dataset.SeriesNumber = 2
    dataset.SeriesDescription = provenance.mark(provenance.report)
    dataset.InstanceNumber = 1
    dataset.Modality = "SR"
    dataset.ReferencedPerformedProcedureStepSequence = []
    dataset.ContentDate = dataset.StudyDate
    dataset.ContentTime = MIDNIGHT
    dataset.CompletionFlag = "COMPLETE"
    dataset.VerificationFlag = "UNVERIFIED"
    dataset.PreliminaryFlag = "PRELIMINARY"
    dataset.PerformedProcedureCodeSequence = []
    dataset.CurrentRequestedProcedureEvidenceSequence = [_evidence(image)]
    dataset.update(_content(provenance, pair, image))
    return dataset


def sections(report: str) -> tuple[str, str]:
    """Findings and impression of a report, either may be empty; a report without headings is all findings."""
    body, *rest = _IMPRESSION.split(report, maxsplit=1)
    return _FINDINGS_HEADING.sub("", body).strip(), "".join(rest).strip()


def _content(provenance: Provenance, pair: Pair, image: Dataset) -> Dataset:
    """The content tree: language and observer where they are known, then containers of findings and impression."""
    domain = facts_of(pair.request.prompt.domain).dicom
    findings, impression = sections(pair.report)
    if not findings and not impression:
        raise RowError(pair.pair_id, "the report has no words; drop such pairs with the filter report_form")
    if _FORBIDDEN.search(pair.report):
        raise RowError(pair.pair_id, "the report holds control characters, which DICOM text must not")
    # Who observed what a given report says, and in which language, is not known; the template asks for an observer.
    template = None if provenance.report == "given" else domain.report_template
    root = ContainerContentItem(CodedConcept(*domain.report_title), template_id=template)
    items = ContentSequence(is_sr=True)
    if provenance.report != "given":
        items.extend(_LANGUAGE)
        items.extend(_observer(provenance.model_sha256))
    if findings:
        finding = _text(codes.DCM.Finding, findings)
        finding.ContentSequence = ContentSequence([_illustration(image)])
        items.append(_section(codes.DCM.Findings, finding))
    if impression:
        items.append(_section(codes.DCM.Impressions, _text(codes.DCM.Impression, impression)))
    root.ContentSequence = items
    return root


@lru_cache(maxsize=4)
def _observer(model_sha256: str) -> tuple[ContentItem, ...]:
    """The observer (TID 1002: a device, the model), which all reports of a job share: making it costs."""
    observer = ObserverContext(
        observer_type=codes.DCM.Device,
        observer_identifying_attributes=DeviceObserverIdentifyingAttributes(
            uid=device_uid(model_sha256),
            name=SOFTWARE,
            manufacturer_name=SOFTWARE,
            model_name="MeDiM",
        ),
    )
    return (*observer,)


def _section(heading: Code, item: ContentItem) -> ContainerContentItem:
    """A container with a heading that holds one item."""
    container = ContainerContentItem(heading, relationship_type=RelationshipTypeValues.CONTAINS)
    container.ContentSequence = ContentSequence([item])
    return container


def _text(name: Code, text: str) -> TextContentItem:
    """A paragraph."""
    return TextContentItem(name, text, relationship_type=RelationshipTypeValues.CONTAINS)


def _illustration(image: Dataset) -> ImageContentItem:
    """The image that a finding was inferred from."""
    return ImageContentItem(
        Code("121080", "DCM", "Best illustration of finding"),
        image.SOPClassUID,
        image.SOPInstanceUID,
        relationship_type=RelationshipTypeValues.INFERRED_FROM,
    )


def _evidence(image: Dataset) -> Dataset:
    """The image as evidence of the report (C.17.2.3)."""
    instance, series, study = Dataset(), Dataset(), Dataset()
    instance.ReferencedSOPClassUID = image.SOPClassUID
    instance.ReferencedSOPInstanceUID = image.SOPInstanceUID
    series.SeriesInstanceUID = image.SeriesInstanceUID
    series.ReferencedSOPSequence = [instance]
    study.StudyInstanceUID = image.StudyInstanceUID
    study.ReferencedSeriesSequence = [series]
    return study
