"""Who made a dataset, in the words that every output carries."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from medim_forge import __version__
from medim_forge.generator.origins import LearnedFrom, Origin
from medim_forge.generator.records import ReplicaFacts, Task

if TYPE_CHECKING:
    from medim_forge.generator.jobspec import GenerateSpec

SOFTWARE = "MeDiM Forge"
SOFTWARE_VERSION = __version__
INTENDED_USE = (
    "Research, data augmentation and software testing. "
    "Not for diagnosis, not as sole evidence for the validation of a device, not for re-identification."
)
NOT_DIAGNOSTIC = "NOT FOR DIAGNOSTIC USE"

# IPTC digital source types, http://cv.iptc.org/newscodes/digitalsourcetype/. Every checkpoint is a trained model, the
# embedded one too; a drawing comes from an algorithm that learned nothing. The source of a given image is not known.
_SOURCE_TYPE: Mapping[Origin, str | None] = MappingProxyType(
    {"generated": "trainedAlgorithmicMedia", "drawn": "algorithmicMedia", "given": None}
)


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """What a job's outputs say about their origin.

    Attributes:
        name: of the job.
        task: `joint`, `report_to_image` or `image_to_report`.
        date: the job's date, stamped into DICOM; there is no clock.
        spec_sha256: of the job.
        model_sha256: of the weights.
        training_data_terms: terms that come from the data the weights were trained on.
        score_names: of every filter of the job, in column order, without the `score_` prefix.
        image: origin of the images.
        report: origin of the reports, the opening words that a prompt gives aside.
        learned_from: whose data the weights were trained on.
        input_columns: of the input tables that the dataset takes along.
    """

    name: str
    task: Task
    date: datetime.date
    spec_sha256: str
    model_sha256: str
    training_data_terms: tuple[str, ...]
    score_names: tuple[str, ...]
    image: Origin
    report: Origin
    learned_from: LearnedFrom
    input_columns: tuple[str, ...] = ()

    @property
    def digital_source_type(self) -> str | None:
        """IPTC term for the images of the job; None where they were given and their source is not known."""
        return _SOURCE_TYPE[self.image]

    @property
    def phantom(self) -> bool:
        """Whether the images are of the embedded phantom domain: drawings, not anatomy."""
        return self.image == "drawn" or (self.image == "generated" and self.learned_from == "phantoms")

    @property
    def given(self) -> bool:
        """Whether either side was given by people, and may therefore be about somebody."""
        return "given" in (self.image, self.report)

    def mark(self, side: Origin) -> str:
        """The line that every object of a side carries: it is not for diagnosis, and synthetic where it is."""
        return NOT_DIAGNOSTIC if side == "given" else f"SYNTHETIC - {NOT_DIAGNOSTIC}"


def provenance_of(spec: GenerateSpec, facts: ReplicaFacts) -> Provenance:
    """The provenance of a generate job run with this replica."""
    from medim_forge.generator.filters import score_names

    return Provenance(
        name=spec.name,
        task=spec.task,
        date=spec.date,
        spec_sha256=spec.sha256,
        model_sha256=facts.model_sha256,
        training_data_terms=facts.training_data_terms,
        score_names=tuple(score_names(spec)),
        image=_origin(spec, "image_to_report"),
        report=_origin(spec, "report_to_image"),
        learned_from=facts.learned_from,
        input_columns=tuple(getattr(spec.inputs, "keep_columns", ())),
    )


def _origin(spec: GenerateSpec, given_by: Task) -> Origin:
    """The origin of the side that the task `given_by` takes from the job's inputs."""
    if spec.task != given_by:
        return "generated"
    return "drawn" if spec.inputs is not None and spec.inputs.source == "phantoms" else "given"
