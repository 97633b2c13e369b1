"""The section `filters`: which scores decide what is kept."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field, JsonValue, model_validator

from medim_forge.generator.filters import kind_of
from medim_forge.generator.jobspec.fields import Section
from medim_forge.generator.records import Action


def _known_filter(name: str) -> str:
    """The name, which is that of a filter or of a plugin.

    Raises:
        ValueError: it is neither.
    """
    return kind_of(name).name


class FilterSection(Section):
    """One judgement and its policy; without thresholds it only annotates.

    Attributes:
        name: which filter.
        drop_below: pairs whose main score is below are dropped.
        drop_above: pairs whose main score is above are dropped.
        action: what becomes of such pairs, and of those that `options` exclude: `drop` leaves them out, `regenerate`
            leaves them out and makes them again with other seeds, `keep` counts them and keeps them.
        options: the filter's own settings.
    """

    name: Annotated[str, AfterValidator(_known_filter)]
    drop_below: float | None = None
    drop_above: float | None = None
    action: Action = "drop"
    options: dict[str, JsonValue] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _something_passes(self) -> FilterSection:
        low, high = self.drop_below, self.drop_above
        if low is not None and high is not None and low > high:
            raise ValueError(f"drop_below = {low} is above drop_above = {high}, so every pair would be dropped")
        return self

    @model_validator(mode="after")
    def _bounds_are_in_range(self) -> FilterSection:
        kind = kind_of(self.name)
        if kind.low_is and self.drop_below is not None:
            raise ValueError(f"{self.name}: drop_below would drop what is {kind.low_is}; give drop_above")
        for key in ("drop_below", "drop_above") if kind.unit else ():
            bound = getattr(self, key)
            if bound is not None and not 0 <= bound <= 1:
                raise ValueError(f"{self.name}: {key} = {bound:g}, but its score runs from 0 to 1")
        return self

    @model_validator(mode="after")
    def _action_has_a_bound(self) -> FilterSection:
        kind = kind_of(self.name)
        if kind.never_kept and self.action == "keep":
            raise ValueError(f"{self.name}: action: keep is not possible, because data/ never holds exact copies")
        bounded = self.drop_below is not None or self.drop_above is not None
        bounded = bounded or any(key in self.options for key in kind.bounding)
        if self.action != "drop" and not bounded and not kind.never_kept:
            raise ValueError(f"{self.name}: action: {self.action} has nothing to act on; give drop_below or drop_above")
        return self
