"""Who made a dataset, in the words that every output carries."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from medim_forge import __version__
from medim_forge.generator.records import ReplicaFacts, Task

if TYPE_CHECKING:
    from medim_forge.generator.jobspec import GenerateSpec

SOFTWARE = "MeDiM Forge"
SOFTWARE_VERSION = __version__
INTENDED_USE = (
    "Research, data augmentation and software testing. "
    "Not for diagnosis, not as sole evidence for the validation of a device, not for re-identification."
)
NOT_DIAGNOSTIC = "SYNTHETIC - NOT FOR DIAGNOSTIC USE"

# IPTC digital source types, http://cv.iptc.org/newscodes/digitalsourcetype/. Every checkpoint is a trained model, the
# embedded one too. An image that was given to the job is not generated: only its pair is partly so.
_SOURCE_TYPE: Mapping[Task, str] = MappingProxyType(
    {
        "joint": "trainedAlgorithmicMedia",
        "report_to_image": "trainedAlgorithmicMedia",
        "image_to_report": "compositeWithTrainedAlgorithmicMedia",
    }
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
        phantom: whether the images are of the embedded phantom domain: drawings, not anatomy.
    """

    name: str
    task: Task
    date: datetime.date
    spec_sha256: str
    model_sha256: str
    training_data_terms: tuple[str, ...]
    score_names: tuple[str, ...]
    phantom: bool

    @property
    def digital_source_type(self) -> str:
        """IPTC term for the images of the job."""
        return _SOURCE_TYPE[self.task]

    @property
    def image_given(self) -> bool:
        """Whether images come from the job's inputs; otherwise they are generated."""
        return self.task == "image_to_report"


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
        phantom=_phantom(spec),
    )


def _phantom(spec: GenerateSpec) -> bool:
    """Whether the images of the job are of the embedded phantoms."""
    if spec.task == "image_to_report":
        return spec.inputs is not None and spec.inputs.source == "phantoms"
    return spec.model.checkpoint == "phantom"
