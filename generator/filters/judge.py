"""All filters of a job together: the judgement of a pair, and the same decisions on stored scores."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, runtime_checkable

from medim_forge.generator.contracts import Filter
from medim_forge.generator.errors import RowError, SpecError
from medim_forge.generator.filters.catalogue import FILTERS, kind_of
from medim_forge.generator.filters.kind import FilterKind
from medim_forge.generator.filters.threshold import FilterRule, Threshold
from medim_forge.generator.records import Action, Pair, Verdict

Judge = Callable[[Pair], Verdict]
Decide = Callable[[Mapping[str, float]], tuple[str, ...]]


class Filtered(Protocol):
    """A job that filters: the part of the spec that the filters read."""

    @property
    def filters(self) -> Sequence[FilterRule]:
        """Entries of `filters:`, in order."""


@runtime_checkable
class Decider(Protocol):
    """A filter whose options weigh stored scores; for all others the threshold on the main score decides."""

    def decide(self, scores: Mapping[str, float]) -> Verdict:
        """The verdict on a pair of these scores."""


def policy(spec: Filtered) -> dict[str, FilterRule]:
    """The rule of every filter, in the order of `FILTERS`, and after them those of the job's plugins.

    A filter that the job names follows the job alone (without bounds it only scores); any other has its default rule:
    blank images and exact copies are dropped.

    Raises:
        SpecError: an unknown filter, or one named twice.
    """
    rules: dict[str, FilterRule] = {}
    for rule in spec.filters:
        try:
            kind_of(rule.name)
        except ValueError as error:
            raise SpecError(f"filters: {rule.name!r} {error}.") from error
        if rule.name in rules:
            raise SpecError(f"filters: {rule.name} is named twice; give both bounds in one entry.")
        rules[rule.name] = rule
    return {name: kind.default for name, kind in FILTERS.items()} | rules


def build_filters(spec: Filtered) -> tuple[Filter, ...]:
    """The filters that judge a pair alone, one of each kind, under the job's rules and in their order.

    Raises:
        SpecError: an unknown filter, one named twice, or a wrong option.
    """
    built = (kind_of(name).filter_of(rule) for name, rule in policy(spec).items())
    return tuple(filter_ for filter_ in built if filter_ is not None)


def build_judge(spec: Filtered) -> Judge:
    """The judgement of all filters together, as the job's policy has it.

    A pair is kept when no filter has a reason to drop it. Scores that depend on other pairs are those of a pair that is
    alone. What a filter raises becomes `RowError`, naming both.

    Raises:
        SpecError: an unknown filter, one named twice, or a wrong option.
    """
    rules = policy(spec)
    kinds = {name: kind_of(name) for name in rules}
    filters = {name: kinds[name].filter_of(rule) for name, rule in rules.items()}

    def judge(pair: Pair) -> Verdict:
        reasons: list[str] = []
        scores: dict[str, float] = {}
        labels: dict[str, str] = {}
        for name, filter_ in filters.items():
            if filter_ is not None:
                verdict = judged_by(filter_, pair)
                reasons.extend(verdict.reasons if rules[name].action != "keep" else ())
                scores.update(verdict.scores)
                labels.update(verdict.labels)
            scores.update(kinds[name].relative)
        return Verdict(kept=not reasons, reasons=tuple(reasons), scores=scores, labels=labels)

    return judge


def judged_by(filter_: Filter, pair: Pair) -> Verdict:
    """The filter's verdict.

    Raises:
        RowError: the filter raised.
    """
    try:
        return filter_.judge(pair)
    # A plugin may raise anything; whatever it is, this pair is quarantined and the rest go on.
    except Exception as error:
        message = f"filter {filter_.name} failed on it: {type(error).__name__}: {error}"
        raise RowError(pair.pair_id, message) from error


def build_decide(spec: Filtered, actions: Sequence[Action] = ("drop", "regenerate")) -> Decide:
    """The reasons that some rules have against stored scores, the same that their judgement of the pair would give.

    Filters that compare pairs over the whole dataset are not among them; see `medim_forge.generator.selection.policy`.

    Args:
        spec: the job.
        actions: of the rules that count; by default of those that leave pairs out.

    Raises:
        SpecError: an unknown filter, one named twice, or a wrong option.
    """
    kinds = {name: kind_of(name) for name, rule in policy(spec).items() if rule.action in actions}
    rules = {name: rule for name, rule in policy(spec).items() if name in kinds and not kinds[name].whole_dataset}
    reasons = {name: _reasons_of(kinds[name], rule) for name, rule in rules.items()}

    def decide(scores: Mapping[str, float]) -> tuple[str, ...]:
        found: list[str] = []
        for name, reasons_against in reasons.items():
            if name not in scores:
                raise SpecError(f"filters: {name}: the dataset has no such score; it was made without this filter.")
            found.extend(reasons_against(scores))
        return tuple(found)

    return decide


def _reasons_of(kind: FilterKind, rule: FilterRule) -> Decide:
    """The reasons of one rule against stored scores."""
    # Where options only measure, what they measured is stored: nothing is built, and no plugin is loaded.
    decider: object = None if kind.options_measure else kind.filter_of(rule)
    if isinstance(decider, Decider):
        return lambda scores: decider.decide(scores).reasons
    threshold = Threshold.of(rule)
    return lambda scores: threshold.reasons(scores[kind.name])


def drops_for_others(spec: Filtered, scores: Mapping[str, float]) -> bool:
    """Whether a pair of these scores was dropped by its shard for what it is to the other pairs of the shard.

    Args:
        spec: the job that made the pair.
        scores: of the pair, those that depend on other pairs among them.

    Raises:
        SpecError: an unknown filter, or one named twice.
    """
    rules = policy(spec)
    return any(
        Threshold.of(rules[name]).reasons(scores[name])
        for name, kind in FILTERS.items()
        if name in kind.relative and not kind.whole_dataset and rules[name].action != "keep"
    )


def score_names(spec: Filtered) -> tuple[str, ...]:
    """Every score that `build_judge` gives, in column order.

    They are the same for every job, so that datasets can be joined, but for those of plugins, which come last.
    """
    own = (score for kind in FILTERS.values() for score in kind.scores)
    return (*own, *(rule.name for rule in spec.filters if rule.name not in FILTERS))
