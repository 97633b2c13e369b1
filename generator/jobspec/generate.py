"""The job that makes pairs."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from medim_forge.generator.domains import DOMAINS, SCALE_KEYS
from medim_forge.generator.errors import suggestion
from medim_forge.generator.filters import kind_of
from medim_forge.generator.jobspec.balance import BalanceSection
from medim_forge.generator.jobspec.compute import ComputeSection
from medim_forge.generator.jobspec.fields import IsoDate, named_twice
from medim_forge.generator.jobspec.filters import FilterSection
from medim_forge.generator.jobspec.header import JobHeader
from medim_forge.generator.jobspec.inputs import FileInputs, InputsSection, PromptSection
from medim_forge.generator.jobspec.output import OutputSection
from medim_forge.generator.jobspec.sampling import ModelSection, SamplingSection
from medim_forge.generator.phantoms import FIELD_CM
from medim_forge.generator.records import Task
from medim_forge.model.folders import EMBEDDED


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
            "max_failed_share",
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

    @property
    def domains(self) -> tuple[str, ...]:
        """The domains of the job's pairs, in the order of the table of domains; others follow by name."""
        own = [section.domain for section in self.prompts] if self.inputs is None else [self.inputs.domain]
        return (*(domain for domain in DOMAINS if domain in own), *sorted(set(own) - set(DOMAINS)))

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
    def _domains_are_known(self) -> GenerateSpec:
        """Of the embedded checkpoint it is known here what it has; `medim plan` asks any other one."""
        if self.model.checkpoint not in EMBEDDED:
            return self
        named = [(f"prompts[{place}]", section.domain) for place, section in enumerate(self.prompts)]
        named += [("inputs", self.inputs.domain)] if self.inputs is not None else []
        for key, domain in named:
            if domain not in DOMAINS:
                near = suggestion(domain, DOMAINS)
                raise ValueError(
                    f"{key}.domain = {domain!r} is not known{near}. Known: {', '.join(DOMAINS)}, unless "
                    "model.checkpoint has a domain of its own"
                )
        return self

    @model_validator(mode="after")
    def _each_filter_once(self) -> GenerateSpec:
        if twice := named_twice([section.name for section in self.filters]):
            raise ValueError(f"filters names {twice} twice; give both bounds in one entry")
        return self

    @model_validator(mode="after")
    def _balance_can_be_met(self) -> GenerateSpec:
        again = [section.name for section in self.filters if section.action == "regenerate"]
        if self.balance is None:
            if again:
                raise ValueError(
                    f"filters: {again[0]} has action: regenerate, which needs a bound on what it may cost: add "
                    "balance: {budget: PAIRS}, planned pairs included"
                )
            return self
        for name in again:
            if kind_of(name).sees_only_what_is_given(self.task):
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
        for name in () if dicom is None else SCALE_KEYS:
            if getattr(dicom, name) is None:
                continue
            scaled = [domain for domain, facts in DOMAINS.items() if facts.dicom.scale_key == name]
            if not set(scaled) & set(self.domains):
                raise ValueError(f"output.dicom.{name} is of {' or '.join(scaled)} images, and this job has none")
            if self.task == "image_to_report":
                raise ValueError(
                    f"output.dicom.{name} is of generated images; task: image_to_report resizes given ones, each by a "
                    "factor of its own"
                )
            if self.model.checkpoint in EMBEDDED and any(domain in FIELD_CM for domain in scaled):
                raise ValueError(
                    f"output.dicom.{name}: model.checkpoint: {self.model.checkpoint} has its own; leave it out"
                )
        return self
