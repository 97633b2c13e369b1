"""The job that trains image tokenizers and a backbone on phantoms, from scratch or from a checkpoint."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from medim_forge.generator.errors import suggestion
from medim_forge.generator.jobspec.fields import Count, Place, Section, Share, Threads
from medim_forge.generator.jobspec.header import JobHeader
from medim_forge.generator.jobspec.output import FolderSection
from medim_forge.generator.phantoms import DOMAINS

Rate = Annotated[float, Field(gt=0, lt=1)]


def _one_of_each(numbers: dict[str, int]) -> dict[str, int]:
    """The numbers, one for each domain that phantoms are drawn of, in the order of those.

    Raises:
        ValueError: one is missing, or is of no such domain.
    """
    for domain in numbers:
        if domain not in DOMAINS:
            hint = suggestion(domain, DOMAINS)
            raise ValueError(f"{domain} is not a known key{hint}. Known: {', '.join(DOMAINS)}")
    for domain in DOMAINS:
        if domain not in numbers:
            raise ValueError(f"{domain} is missing; add it")
    return {domain: numbers[domain] for domain in DOMAINS}


# A number for each domain that phantoms are drawn of.
PerDomain = Annotated[dict[str, Count], AfterValidator(_one_of_each)]


class TrainTokenizerSection(Section):
    """How the image tokenizers learn.

    Attributes:
        images: phantoms of each domain.
        steps: optimiser steps per domain.
        batch: images per step.
        rate: learning rate.
        cooldown_steps: the last steps, over which the rate falls to 0.
    """

    images: PerDomain
    steps: PerDomain
    batch: Count = 16
    rate: Rate = 2e-3
    cooldown_steps: Count = 450


class MixSection(Section):
    """Shares of the kinds of corrupted rows, of which the first five sum to 1; see `model.loss.CorruptionMix`.

    Attributes:
        joint: rows whose report and image are noised at one time.
        report_given: rows whose report is visible and whose image is noised.
        report_absent: rows whose report is masked and whose image is noised.
        image_given: rows whose image is visible and whose report is noised.
        image_absent: rows whose image is masked and whose report is noised.
        opening_kept: of rows with a noised report, those whose opening stays visible.
        ending_masked: of rows with a noised report, those in which everything after the opening is masked.
        reading_order: of rows with the image given or absent, those whose report is masked from some slot on.
        reading_end: of these, those whose end is masked too.
    """

    joint: Share = 0.25
    report_given: Share = 0.30
    report_absent: Share = 0.05
    image_given: Share = 0.25
    image_absent: Share = 0.15
    opening_kept: Share = 0.8
    ending_masked: Share = 0.15
    reading_order: Share = 0.0
    reading_end: Share = 0.0


class StageSection(Section):
    """One stretch of backbone training; the next one starts from its averaged weights.

    Attributes:
        steps: optimiser steps.
        warmup: first steps, over which the rate rises.
        cooldown_steps: last steps, over which the rate falls to 0.
        rate: learning rate of this stage; None takes the backbone's.
        mix: corruption.
    """

    steps: Count
    warmup: Count = 200
    cooldown_steps: Count = 500
    rate: Rate | None = None
    mix: MixSection = Field(default_factory=MixSection)


class TrainBackboneSection(Section):
    """How the backbone learns.

    Attributes:
        images: phantoms of each domain.
        rows: pairs of each domain per step.
        rate: learning rate.
        compile: compile the step; worth its minute on a long run, needs a C++ compiler.
        stages: one after another.
    """

    images: PerDomain
    rows: PerDomain
    rate: Rate = 2e-3
    compile: bool = True
    stages: Annotated[tuple[StageSection, ...], Field(strict=False, min_length=1)]


class TrainSpec(JobHeader):
    """A training job.

    Attributes:
        kind: `train`.
        start_from: checkpoint folder, or `phantom`, whose image tokenizers are kept and whose backbone is trained on;
            None for from scratch.
        tokenizer: the image tokenizers.
        backbone: the backbone.
        device: torch device.
        threads: CPU threads.
        snapshot_every: steps between restart points.
        output: where restart points and the checkpoint go.
    """

    kind: Literal["train"]
    start_from: Place | None = None
    tokenizer: TrainTokenizerSection
    backbone: TrainBackboneSection
    device: Literal["cpu", "cuda"] = "cpu"
    threads: Threads = 2
    snapshot_every: Count = 100
    output: FolderSection
