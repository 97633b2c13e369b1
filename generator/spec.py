"""Job specs: what a YAML file may say, checked before anything starts."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import yaml
from pydantic import Field, ValidationError, model_validator

from generator.errors import SpecError
from generator.records import Task
from generator.spec_augment import AugmentSpec
from generator.spec_balance import BalanceSection
from generator.spec_errors import explain, suggestion
from generator.spec_evaluate import EvaluateSpec
from generator.spec_header import JobHeader
from generator.spec_inputs import FileInputs, InputsSection
from generator.spec_sections import (
    ComputeSection,
    FilterSection,
    IsoDate,
    ModelSection,
    OutputSection,
    PromptSection,
    SamplingSection,
)
from generator.spec_train import TrainSpec
from generator.spec_yaml import read_yaml

__all__ = [
    "KINDS",
    "AugmentSpec",
    "EvaluateSpec",
    "GenerateSpec",
    "JobSpec",
    "TrainSpec",
    "load_spec",
    "parse_spec",
    "to_yaml",
]


# Filters that see what a task is given, and nothing that it makes.
GIVEN_SIDE: Mapping[str, tuple[str, ...]] = {
    "report_to_image": ("report_form", "nonwords", "references", "contradictions", "labels", "fluency"),
    "image_to_report": ("image_stats",),
}


class GenerateSpec(JobHeader):
    """A job that makes image-report pairs.

    Attributes:
        kind: `generate`.
        date: stamped into DICOM; there is no clock.
        model: which weights.
        task: `joint` makes both sides from `prompts`; the others make one side from the other, given by `inputs`.
        prompts: what to ask for (`joint`).
        inputs: given reports or images (`report_to_image`, `image_to_report`).
        sampling: how the reverse process runs.
        compute: what it runs on.
        filters: policies; every filter scores every pair, named here or not.
        balance: what is made beyond the plan; None for nothing.
        output: where the dataset goes.
    """

    free_keys: ClassVar[dict[str, tuple[str, ...]]] = {
        "compute": (
            "replicas",
            "gpus_per_replica",
            "shard_deadline_s",
            "placement_deadline_s",
            "max_retries",
            "max_quarantined",
        ),
        "output": ("dir",),
    }

    kind: Literal["generate"]
    date: IsoDate
    model: ModelSection = Field(default_factory=ModelSection)
    task: Task
    prompts: Annotated[tuple[PromptSection, ...], Field(strict=False)] = ()
    inputs: InputsSection | None = None
    sampling: SamplingSection = Field(default_factory=SamplingSection)
    compute: ComputeSection = Field(default_factory=ComputeSection)
    filters: Annotated[tuple[FilterSection, ...], Field(strict=False)] = ()
    balance: BalanceSection | None = None
    output: OutputSection

    @model_validator(mode="after")
    def _task_has_its_source(self) -> GenerateSpec:
        if self.task == "joint":
            if self.inputs is not None:
                raise ValueError("inputs is for report_to_image and image_to_report; task: joint takes prompts")
            if not self.prompts:
                raise ValueError("prompts is empty; task: joint needs at least one {domain, pairs}")
        else:
            if self.prompts:
                raise ValueError(f"prompts is for task: joint; task: {self.task} takes inputs")
            if self.inputs is None:
                raise ValueError(
                    f"inputs is missing; task: {self.task} needs one, e.g. {{source: parquet, path, domain}}"
                )
            if self.task == "report_to_image" and isinstance(self.inputs, FileInputs):
                raise ValueError(
                    f"inputs.source: {self.inputs.source} gives images; task: report_to_image takes reports, from "
                    "parquet or phantoms"
                )
        return self

    @model_validator(mode="after")
    def _each_filter_once(self) -> GenerateSpec:
        names = [one.name for one in self.filters]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"filters names {', '.join(twice)} twice; give both bounds in one entry")
        return self

    @model_validator(mode="after")
    def _balance_can_be_met(self) -> GenerateSpec:
        again = [one.name for one in self.filters if one.action == "regenerate"]
        if self.balance is None:
            if again:
                raise ValueError(
                    f"filters: {again[0]} has action: regenerate, which needs a bound on what it may cost: add "
                    "balance: {budget: PAIRS}, planned pairs included"
                )
            return self
        for name in again:
            if name in GIVEN_SIDE.get(self.task, ()):
                raise ValueError(
                    f"filters: {name} has action: regenerate, but judges what task: {self.task} is given, which stays "
                    "the same however often the pair is made; use action: drop"
                )
        if not again and not self.balance.quotas:
            raise ValueError("balance asks for nothing; give it quotas, or a filter action: regenerate")
        entries = len(self.prompts)
        for place, quota in enumerate(self.balance.quotas):
            if quota.prompt is not None and quota.prompt >= entries:
                known = f"prompts has entries 0 to {entries - 1}" if entries else f"task: {self.task} has no prompts"
                raise ValueError(f"balance.quotas[{place}].prompt = {quota.prompt}, but {known}")
        return self

    @model_validator(mode="after")
    def _scales_are_known(self) -> GenerateSpec:
        dicom = self.output.dicom
        domains = {one.domain for one in self.prompts} | ({self.inputs.domain} if self.inputs else set())
        if dicom is None:
            return self
        for name, domain in (("imager_pixel_spacing_mm", "chest_xray"), ("microns_per_pixel", "pathology")):
            if getattr(dicom, name) is None:
                continue
            if domain not in domains:
                raise ValueError(f"output.dicom.{name} is of {domain} images, and this job has none")
            if self.task == "image_to_report":
                raise ValueError(
                    f"output.dicom.{name} is of generated images; task: image_to_report resizes given ones, each by a "
                    "factor of its own"
                )
        if dicom.imager_pixel_spacing_mm is not None and self.model.checkpoint == "phantom":
            raise ValueError(
                "output.dicom.imager_pixel_spacing_mm: model.checkpoint: phantom has its own; leave it out"
            )
        return self


JobSpec = GenerateSpec | TrainSpec | AugmentSpec | EvaluateSpec
KINDS: Mapping[str, type[JobSpec]] = {
    "generate": GenerateSpec,
    "train": TrainSpec,
    "augment": AugmentSpec,
    "evaluate": EvaluateSpec,
}


def load_spec(path: Path | str, out: str | None = None) -> JobSpec:
    """The job of a YAML file.

    Args:
        path: the file.
        out: replaces `output.dir`.

    Raises:
        SpecError: the file cannot be read, or holds an unknown key, a wrong type or an impossible value.
    """
    values = read_yaml(Path(path))
    if out is not None:
        section = values.get("output")
        values["output"] = {**(section if isinstance(section, dict) else {}), "dir": out}
    return parse_spec(values, source=str(path))


def parse_spec(values: Mapping[str, Any], source: str) -> JobSpec:
    """The job that `values` describe.

    Args:
        values: the content of a job file.
        source: what to call it in errors.

    Raises:
        SpecError: an unknown key, a wrong type or an impossible value.
    """
    kind = values.get("kind")
    if not isinstance(kind, str) or kind not in KINDS:
        said = (
            "kind is missing" if kind is None else f"kind = {kind!r} is not a kind of job{suggestion(str(kind), KINDS)}"
        )
        raise SpecError(f"{source}: {said}. Known: {', '.join(KINDS)}.")
    try:
        return KINDS[kind].model_validate(values).named(source)
    except ValidationError as error:
        raise SpecError(explain(error, KINDS[kind], source)) from error


def to_yaml(spec: JobSpec) -> str:
    """The whole spec as YAML with every default written out; `load_spec` of it gives an equal spec."""
    return yaml.safe_dump(spec.model_dump(mode="json"), sort_keys=False, allow_unicode=True, width=120)
