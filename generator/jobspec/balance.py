"""The section `balance`: how many pairs of which kind a dataset is to hold, and how much may be spent on it."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from medim_forge.generator.jobspec.fields import DomainName, Label, Pairs, Section, Text, named_twice


class QuotaSection(Section):
    """How many pairs of one kind `data/` is to hold. One of `domain`, `finding`, `label` and `prompt` says which kind.

    Attributes:
        domain: of the pairs, whatever they show.
        finding: that the embedded domain's labeler reads in the report.
        label: CheXpert observation that a chest report asserts.
        prompt: position of an entry in `prompts`, from 0.
        kept: at least so many; None for no need.
        at_most: later pairs are left out of `data/`; None for no bound.
    """

    domain: DomainName | None = None
    finding: Text | None = None
    label: Label | None = None
    prompt: Annotated[int, Field(ge=0)] | None = None
    kept: Pairs | None = None
    at_most: Pairs | None = None

    @model_validator(mode="after")
    def _one_kind_and_a_number(self) -> QuotaSection:
        given = {"domain": self.domain, "finding": self.finding, "label": self.label, "prompt": self.prompt}
        named = [name for name, value in given.items() if value is not None]
        if len(named) != 1:
            raise ValueError(
                f"names {' and '.join(named) or 'none'} of domain, finding, label and prompt; name one: it says what "
                "is counted"
            )
        if self.kept is None and self.at_most is None:
            raise ValueError("asks for nothing; give kept (at least so many), at_most, or both")
        if self.kept is not None and self.at_most is not None and self.at_most < self.kept:
            raise ValueError(f"at_most = {self.at_most} is below kept = {self.kept}")
        return self

    def __str__(self) -> str:
        """The kind, as errors, cards and commands call it."""
        if self.prompt is not None:
            return f"prompt {self.prompt}"
        if self.domain is not None:
            return f"domain {self.domain}"
        return f"finding {self.finding}" if self.finding is not None else f"label {self.label}"


class BalanceSection(Section):
    """What a job makes beyond its plan, round by round, until `data/` holds what it should or the budget ends.

    Attributes:
        budget: pairs to make in all, planned ones included.
        tries: how often a planned pair is made at most, the first time included, before its place is given up.
        quotas: what `data/` is to hold. Beside them, what a filter with `action: regenerate` drops is made again.
    """

    budget: Pairs
    tries: Annotated[int, Field(ge=2, le=1000)] = 10
    quotas: Annotated[tuple[QuotaSection, ...], Field(strict=False)] = ()

    @model_validator(mode="after")
    def _each_kind_once(self) -> BalanceSection:
        if twice := named_twice([str(quota) for quota in self.quotas]):
            raise ValueError(f"quotas names {twice} twice; give both bounds in one entry")
        for quota in self.quotas:
            if quota.kept is not None and quota.kept > self.budget:
                raise ValueError(f"quotas: {quota}: kept = {quota.kept} is above budget = {self.budget}")
        prompts = sum(quota.kept or 0 for quota in self.quotas if quota.prompt is not None)
        if prompts > self.budget:
            raise ValueError(f"quotas of prompts want {prompts} pairs in all, above budget = {self.budget}")
        return self
