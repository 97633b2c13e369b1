"""Judgements of a pair. Every filter scores every pair; the thresholds of the job file decide what is kept.

Filters are pure: they see one `Pair` and nothing else, so the order of pairs, shards and replicas changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from typing import Protocol, runtime_checkable

from medim_forge.generator.contracts import Filter
from medim_forge.generator.errors import RowError, SpecError
from medim_forge.generator.filters import (
    agreement,
    duplicates,
    fluency,
    image_stats,
    labels,
    near_duplicates,
    plugins,
    report_form,
    wording,
)
from medim_forge.generator.filters.duplicates import mark_duplicates as mark_duplicates
from medim_forge.generator.filters.threshold import FilterRule, Threshold
from medim_forge.generator.records import Action, Pair, Verdict

Judge = Callable[[Pair], Verdict]
Decide = Callable[[Mapping[str, float]], tuple[str, ...]]

FILTERS: dict[str, Callable[[FilterRule], Filter]] = {
    image_stats.NAME: image_stats.ImageStats.of,
    report_form.NAME: report_form.ReportForm.of,
    wording.NONWORDS: wording.Nonwords.of,
    wording.REFERENCES: wording.References.of,
    wording.CONTRADICTIONS: wording.Contradictions.of,
    labels.NAME: labels.Labels.of,
    fluency.NAME: fluency.Fluency.of,
    agreement.NAME: agreement.Agreement.of,
    duplicates.NAME: duplicates.Duplicates.of,
    near_duplicates.NAME: near_duplicates.NearDuplicates.of,
}
DEFAULTS: dict[str, FilterRule] = {
    image_stats.NAME: image_stats.DEFAULT,
    report_form.NAME: report_form.DEFAULT,
    **wording.DEFAULTS,
    labels.NAME: labels.DEFAULT,
    fluency.NAME: fluency.DEFAULT,
    agreement.NAME: agreement.DEFAULT,
    duplicates.NAME: duplicates.DEFAULT,
    near_duplicates.NAME: near_duplicates.DEFAULT,
}
SCORES = (
    *image_stats.SCORES,
    *report_form.SCORES,
    *wording.SCORES,
    *labels.SCORES,
    *fluency.SCORES,
    *agreement.SCORES,
    *duplicates.SCORES,
    *near_duplicates.SCORES,
)


class Filtered(Protocol):
    """A job that filters: the part of the spec that the filters read."""

    @property
    def filters(self) -> Sequence[FilterRule]:
        """Entries of `filters:`, in order."""


@runtime_checkable
class Decider(Protocol):
    """A filter whose options weigh stored scores; of the others the threshold on the main score says all."""

    def decide(self, scores: Mapping[str, float]) -> Verdict:
        """The verdict on a pair of these scores."""


def build_filters(spec: Filtered) -> tuple[Filter, ...]:
    """One filter of each kind, in the order of `FILTERS`.

    A filter that the job names follows the job alone (without bounds it only scores); any other has its default policy:
    blank images and exact copies are dropped.

    Raises:
        SpecError: an unknown filter, one named twice, or a wrong option.
    """
    return tuple(FILTERS.get(name, plugins.Plugin.of)(rule) for name, rule in policy(spec).items())


def policy(spec: Filtered) -> dict[str, FilterRule]:
    """The rule of every filter, in the order of `FILTERS`.

    Raises:
        SpecError: an unknown filter, or one named twice.
    """
    rules: dict[str, FilterRule] = {}
    for rule in spec.filters:
        if rule.name not in FILTERS and not rule.name.startswith(plugins.PREFIX):
            close = get_close_matches(rule.name, FILTERS, n=1)
            hint = f" (did you mean {close[0]}?)" if close else ""
            raise SpecError(f"filters: {rule.name!r} is not a known filter{hint}. Known: {', '.join(FILTERS)}.")
        if rule.name in rules:
            raise SpecError(f"filters: {rule.name} is named twice; give both bounds in one entry.")
        rules[rule.name] = rule
    return DEFAULTS | rules


def build_judge(spec: Filtered) -> Judge:
    """The judgement of all filters together, as the job's policy has it.

    A pair is kept when no filter has a reason to drop it. What a filter raises becomes `RowError`, naming both.

    Raises:
        SpecError: an unknown filter, one named twice, or a wrong option.
    """
    filters = build_filters(spec)
    rules = policy(spec)

    def judge(pair: Pair) -> Verdict:
        reasons: list[str] = []
        scores: dict[str, float] = {}
        labels: dict[str, str] = {}
        for one in filters:
            verdict = judged_by(one, pair)
            reasons.extend(verdict.reasons if rules[one.name].action != "keep" else ())
            scores.update(verdict.scores)
            labels.update(verdict.labels)
        return Verdict(kept=not reasons, reasons=tuple(reasons), scores=scores, labels=labels)

    return judge


def build_decide(spec: Filtered, actions: Sequence[Action] = ("drop", "regenerate")) -> Decide:
    """The reasons that some rules have against stored scores, the same that their judgement of the pair would give.

    Near-duplicates are not among them: they are compared anew, see `medim_forge.generator.selection.policy`.

    Args:
        spec: the job.
        actions: of the rules that count; by default of those that leave pairs out.

    Raises:
        SpecError: an unknown filter, one named twice, or a wrong option.
    """
    rules = {
        name: rule for name, rule in policy(spec).items() if name != near_duplicates.NAME and rule.action in actions
    }
    # Plugins are not needed, nor the words of `nonwords`: their numbers are there.
    built = {name: FILTERS[name](rule) for name, rule in rules.items() if name in FILTERS and name != wording.NONWORDS}
    deciders = {name: one for name, one in built.items() if isinstance(one, Decider)}
    thresholds = {name: Threshold.of(rule) for name, rule in rules.items()}

    def decide(scores: Mapping[str, float]) -> tuple[str, ...]:
        reasons: list[str] = []
        for name, threshold in thresholds.items():
            if name not in scores:
                raise SpecError(f"filters: {name}: the dataset has no such score; it was made without this judge.")
            decider = deciders.get(name)
            reasons.extend(decider.decide(scores).reasons if decider else threshold.reasons(scores[name]))
        return tuple(reasons)

    return decide


def judged_by(one: Filter, pair: Pair) -> Verdict:
    """The filter's verdict.

    Raises:
        RowError: the filter raised.
    """
    try:
        return one.judge(pair)
    except Exception as error:
        message = f"filter {one.name} failed on it: {type(error).__name__}: {error}"
        raise RowError(pair.pair_id, message) from error


def score_names(spec: Filtered) -> tuple[str, ...]:
    """Every score that `build_judge` gives, in column order.

    The same for every job, so that datasets can be joined, but for the plugins, which come last.
    """
    return (*SCORES, *(rule.name for rule in spec.filters if rule.name.startswith(plugins.PREFIX)))


def duplicate_threshold(spec: Filtered) -> Threshold:
    """The policy on exact copies, for `mark_duplicates`.

    Raises:
        SpecError: an unknown filter, or one named twice.
    """
    rule = policy(spec)[duplicates.NAME]
    return Threshold(name=rule.name) if rule.action == "keep" else Threshold.of(rule)
