"""The job that measures a checkpoint on the embedded domain."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from medim_forge.generator.domains import facts_of
from medim_forge.generator.jobspec.compute import ComputeSection
from medim_forge.generator.jobspec.fields import MOST_PAIRS, Count, Pairs, Section, Seed
from medim_forge.generator.jobspec.header import JobHeader
from medim_forge.generator.jobspec.output import FolderSection
from medim_forge.generator.jobspec.sampling import ModelSection, SamplingSection


class ProbeSection(Section):
    """How the probe that reads findings off images is trained.

    Attributes:
        images: phantoms.
        passes: over them.
    """

    images: Annotated[int, Field(ge=64, le=MOST_PAIRS)] = 8000
    passes: Count = 5


class EvaluateSpec(JobHeader):
    """An evaluation.

    Attributes:
        kind: `evaluate`.
        model: what is measured.
        chest_pairs: chest pairs per task and seed.
        pathology_pairs: pathology pairs per task and seed.
        sampling_seeds: one repetition each.
        sampling: the settings that are measured.
        compute: what the pairs are made on.
        probe: what reads findings off images.
        output: where `evaluation.json` goes.
    """

    kind: Literal["evaluate"]
    model: ModelSection = Field(default_factory=ModelSection)
    chest_pairs: Pairs = 512
    pathology_pairs: Pairs = 256
    sampling_seeds: Annotated[tuple[Seed, ...], Field(strict=False, min_length=2)] = (1, 2)
    sampling: SamplingSection = Field(default_factory=SamplingSection)
    compute: ComputeSection = Field(default_factory=lambda: ComputeSection(replicas=2))
    probe: ProbeSection = Field(default_factory=ProbeSection)
    output: FolderSection

    def pairs_of(self, domain: str) -> int:
        """Pairs per task and sampling seed."""
        key = facts_of(domain).evaluate_key
        assert key is not None, f"an evaluate job has no key for pairs of {domain}"
        return int(getattr(self, key))
