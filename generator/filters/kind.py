"""What a filter is: one value that holds all facts about it, from which everything else that names a filter reads them.

Each filter has a file with its `KIND`, and a line in `medim_forge.generator.filters.catalogue`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from medim_forge.generator.contracts import Filter
from medim_forge.generator.filters.options import known_options
from medim_forge.generator.filters.threshold import DefaultRule, FilterRule, Threshold
from medim_forge.generator.records import Pair, Task, Verdict

# What a task is given; a joint task is given neither side.
_GIVEN: Mapping[Task, str] = {"report_to_image": "report", "image_to_report": "image"}


@dataclass(frozen=True, kw_only=True)
class FilterKind:
    """All facts about a filter.

    Attributes:
        name: what job files call it; its main score has the same name.
        scores: what each of its scores means, by name, in the order of the columns; the main score is the first.
        build: makes the filter that a rule asks for, or raises `SpecError` for a wrong option; None where a pair alone
            has nothing to judge.
        sees: what it looks at: the image alone, the report alone, or both.
        options: keys that `options` may hold; None where the filter itself checks them.
        drop_below: least main score that is kept where the job does not name the filter; None for no bound.
        drop_above: greatest main score that is kept where the job does not name the filter; None for no bound.
        unit: whether the main score runs from 0 to 1.
        relative: scores that depend on the other pairs of the shard, each with its value for a pair that is alone.
        whole_dataset: whether its bounds compare pairs over the whole dataset: then no shard drops a pair for them.
        bounding: options that exclude pairs by themselves, without a bound on the main score.
        never_kept: whether `data/` never holds what the filter finds, whatever its bounds are.
        low_is: what a pair of a low score is, where to drop it makes no sense, e.g. `new`.
        options_measure: whether options change the scores, so that other options need the pairs themselves.
    """

    name: str
    scores: Mapping[str, str]
    build: Callable[[FilterRule], Filter | None]
    sees: Literal["image", "report", "pair"]
    options: tuple[str, ...] | None = ()
    drop_below: float | None = None
    drop_above: float | None = None
    unit: bool = False
    relative: Mapping[str, float] = field(default_factory=dict)
    whole_dataset: bool = False
    bounding: tuple[str, ...] = ()
    never_kept: bool = False
    low_is: str = ""
    options_measure: bool = False

    @property
    def default(self) -> DefaultRule:
        """The rule that holds where the job does not name the filter."""
        return DefaultRule(name=self.name, drop_below=self.drop_below, drop_above=self.drop_above)

    def filter_of(self, rule: FilterRule) -> Filter | None:
        """The filter that a rule asks for; None where a pair alone has nothing to judge.

        Raises:
            SpecError: an option is unknown, of the wrong type, or out of range.
        """
        if self.options is not None:
            known_options(self.name, rule.options, self.options)
        return self.build(rule)

    def sees_only_what_is_given(self, task: Task) -> bool:
        """Whether it judges what a task is given, which stays the same however often the pair is made."""
        return _GIVEN.get(task) == self.sees


@dataclass(frozen=True, kw_only=True)
class Measured:
    """A filter that measures a pair, and whose threshold on the main score decides.

    Attributes:
        threshold: kept range of the main score.
        measure: gives the scores of a pair.
    """

    threshold: Threshold
    measure: Callable[[Pair], Mapping[str, float]]

    @property
    def name(self) -> str:
        """What the job file calls the filter."""
        return self.threshold.name

    def judge(self, pair: Pair) -> Verdict:
        """The scores of the pair, and whether the main one is within the threshold."""
        return self.threshold.verdict(self.measure(pair))


def measured_by(measure: Callable[[Pair], Mapping[str, float]]) -> Callable[[FilterRule], Filter]:
    """Builds the filters of a kind that has no options: a function measures pairs, and the rule's bounds decide."""
    return lambda rule: Measured(threshold=Threshold.of(rule), measure=measure)


def nothing_alone(rule: FilterRule) -> None:
    """Builds no filter: a filter that compares pairs has nothing to judge of a pair that is alone."""
    del rule  # its options are none, which has been checked
