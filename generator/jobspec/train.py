"""The job that trains image tokenizers and a backbone on phantoms, from scratch or from a checkpoint."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, field_validator, model_validator

from medim_forge.generator.errors import suggestion
from medim_forge.generator.jobspec.fields import Count, Place, Section, Share, Threads
from medim_forge.generator.jobspec.header import JobHeader
from medim_forge.generator.jobspec.output import FolderSection
from medim_forge.generator.phantoms import DOMAINS

Rate = Annotated[float, Field(gt=0, lt=1)]
Decay = Annotated[float, Field(ge=0, lt=1)]
Kind = Literal["report|image", "report", "image|report", "image"]


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

    @model_validator(mode="after")
    def _enough(self) -> TrainTokenizerSection:
        for domain, images in self.images.items():
            if self.batch > images:
                raise ValueError(
                    f"images.{domain} is {images}, and a step takes {self.batch}: give more images or a smaller batch"
                )
        return self


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


class OptimiserSection(Section):
    """How weights follow their gradients.

    Attributes:
        name: `muon` for Muon on the matrices of the layers and AdamW on the rest, or `adamw` for AdamW on all.
        betas: of AdamW.
        eps: of AdamW.
        weight_decay: of all weights; None for the optimiser's own.
        clip: the largest norm of the gradient; None for no clipping.
        ema: decay of the averaged weights, which are the ones that are kept; None for none.
    """

    name: Literal["muon", "adamw"] = "muon"
    betas: Annotated[tuple[Decay, Decay], Field(strict=False)] = (0.9, 0.98)
    eps: Annotated[float, Field(gt=0, le=1e-2)] = 1e-8
    weight_decay: Annotated[float, Field(ge=0, le=1)] | None = None
    clip: Annotated[float, Field(gt=0, le=1e6)] | None = 1.0
    ema: Decay | None = 0.998


class StopSection(Section):
    """When training ends before its last step.

    Attributes:
        patience: looks at held-out pairs one after another, in which none of the losses was lower than ever before.
        on: the losses; None for those of both sides given the other one.
    """

    patience: Count = 3
    on: Annotated[tuple[Kind, ...], Field(strict=False)] | None = None

    @field_validator("on")
    @classmethod
    def _some(cls, losses: tuple[Kind, ...] | None) -> tuple[Kind, ...] | None:
        if losses is not None and (not losses or len(set(losses)) != len(losses)):
            raise ValueError("name at least one loss, and none twice")
        return losses


class SaveSection(Section):
    """Which restart points are kept.

    Attributes:
        keep: so many of the newest.
        keep_every: those of these multiples of steps too; None for no others.
    """

    keep: Count = 2
    keep_every: Count | None = None


class StageSection(Section):
    """One stretch of backbone training; the next one starts from its averaged weights.

    Attributes:
        steps: optimiser steps.
        warmup: first steps, over which the rate rises.
        cooldown_steps: last steps, over which the rate falls to 0.
        rate: learning rate of this stage; None takes the backbone's.
        schedule: shape of the rate: `cooldown`, `cosine`, `constant`, or `paper` for cosines that restart.
        cycle: steps of the first cosine of `paper`; each is twice as long as the one before.
        mix: corruption of the objective `mixture`.
    """

    steps: Count
    warmup: Count = 200
    cooldown_steps: Count = 500
    rate: Rate | None = None
    schedule: Literal["cooldown", "cosine", "constant", "paper"] = "cooldown"
    cycle: Count = 10_000
    mix: MixSection = Field(default_factory=MixSection)


class TrainBackboneSection(Section):
    """How the backbone learns.

    Attributes:
        images: phantoms of each domain.
        rows: pairs of each domain per step.
        rate: learning rate.
        objective: `mixture`, which teaches all tasks and the end of reports, or `official`, the published one.
        optimiser: how weights follow their gradients.
        precision: `bf16` for products in bfloat16 with float32 weights, or `fp32`.
        rows_at_once: rows that go through the network at a time, for less memory and the same gradient; None for all.
        checkpointing: compute layers again in the backward pass instead of keeping them: less memory, a third slower.
        compile: compile the step; worth its minute on a long run, needs a C++ compiler.
        stop: when to end a stage early; None for never.
        stages: one after another.
    """

    images: PerDomain
    rows: PerDomain
    rate: Rate = 2e-3
    objective: Literal["mixture", "official"] = "mixture"
    optimiser: OptimiserSection = Field(default_factory=OptimiserSection)
    precision: Literal["bf16", "fp32"] = "bf16"
    rows_at_once: Count | None = None
    checkpointing: bool = False
    compile: bool = True
    stop: StopSection | None = None
    stages: Annotated[tuple[StageSection, ...], Field(strict=False, min_length=1)]

    @model_validator(mode="after")
    def _enough(self) -> TrainBackboneSection:
        for domain, images in self.images.items():
            if self.rows[domain] > images:
                raise ValueError(
                    f"images.{domain} is {images}, and a step takes {self.rows[domain]} rows of it: give more images, "
                    f"or a smaller rows.{domain}"
                )
        return self


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
        snapshot_every: steps between restart points, at which held-out pairs are looked at.
        save: which restart points of the backbone are kept.
        output: where restart points and the checkpoint go.
    """

    kind: Literal["train"]
    start_from: Place | None = None
    tokenizer: TrainTokenizerSection
    backbone: TrainBackboneSection
    device: Literal["cpu", "cuda"] = "cpu"
    threads: Threads = 2
    snapshot_every: Count = 100
    save: SaveSection = Field(default_factory=SaveSection)
    output: FolderSection
