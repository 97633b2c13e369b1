"""The round that a job has to make next: it follows from what is committed.

It depends on the committed shards alone, in order of `pair_index`, and not on replicas, faults or time.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medim_forge.generator.filters.observations import labels, mentions
from medim_forge.generator.jobspec import QuotaSection
from medim_forge.generator.plan import Plan
from medim_forge.generator.plan.plan import deal
from medim_forge.generator.plan.prompts import compose
from medim_forge.generator.plan.strata import Stratum, stratum_of
from medim_forge.generator.selection.census import Census

# What is expected of an entry before it has been tried, worth one pair: it names what is wanted in its words, or not.
PRIOR, OTHER_PRIOR = 0.5, 0.01
# With no success in n tries, a rate above 3 / n is unlikely (95 %).
RULE_OF_THREE = 3


@dataclass(frozen=True, kw_only=True)
class Extra:
    """Pairs to add for a quota.

    Attributes:
        quota: which.
        repeats: planned pairs to try again, in order.
    """

    quota: QuotaSection
    repeats: NDArray[np.int64]


def may_grow(plan: Plan) -> bool:
    """Whether another round is possible at all, whatever a census would find."""
    balance = plan.spec.balance
    if balance is None or balance.budget <= plan.pairs:
        return False
    return any(quota.kept for quota in balance.quotas) or any(rule.action == "regenerate" for rule in plan.spec.filters)


def next_round(plan: Plan, census: Census) -> Plan | None:
    """The plan with the round that brings the job nearer to its balance; None where it is met, or its budget spent.

    Replacements come first, then what quotas lack, by what the prompts have yielded so far: at most as many pairs as
    there are already, for early yields are guesses. The last batch is filled, since an empty row costs like a full one:
    with pairs for quotas, or else with further tries of the places that are open.
    """
    balance = plan.spec.balance
    assert balance is not None
    left = balance.budget - plan.pairs
    if left <= 0:
        return None
    tries = _tries(plan)
    # Open places that may be tried once more, and then what quotas lack, as far as the budget goes.
    again = census.open[tries[census.open] < balance.tries][:left]
    added = _mixed(_shared(_extras(plan, census, left), min(left - len(again), plan.pairs)))
    # What the last batch has room for.
    spare = min(-(len(again) + len(added)) % plan.spec.sampling.batch_size, left - len(again) - len(added))
    if len(added):
        added = np.concatenate([added, np.resize(added, spare)])
    elif len(again):
        again = np.concatenate([again, _further(again, balance.tries - 1 - tries[again], spare)])
    repeats = np.concatenate([again, added])
    return plan.extended(repeats, len(again)) if len(repeats) else None


def _tries(plan: Plan) -> NDArray[np.int64]:
    """How often each planned pair has been made in its own place, the first time included."""
    again = [added.repeats[: added.replacements] for added in plan.rounds]
    return 1 + np.bincount(np.concatenate([np.empty(0, np.int64), *again]), minlength=plan.planned)


def _further(places: NDArray[np.int64], room: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """At most `count` further tries of places, in turn, each no more often than it has room for."""
    turns = [places[room > turn] for turn in range(int(room.max(initial=0)))]
    return np.concatenate([np.empty(0, np.int64), *turns])[:count]


def _shared(extras: list[Extra], room: int) -> list[Extra]:
    """The extras cut to so many pairs in all, each in proportion to what it wants; the first ones get what is over."""
    wanted = sum(len(extra.repeats) for extra in extras)
    if wanted <= room:
        return extras
    counts = [len(extra.repeats) * room // wanted for extra in extras]
    for place in range(room - sum(counts)):
        counts[place] += 1
    cut = (Extra(quota=extra.quota, repeats=extra.repeats[:count]) for extra, count in zip(extras, counts, strict=True))
    return [extra for extra in cut if len(extra.repeats)]


def _extras(plan: Plan, census: Census, left: int) -> list[Extra]:
    """What every quota lacks, beyond what is expected of what the quotas before it add."""
    assert plan.spec.balance is not None
    expected: Counter[Stratum] = Counter()
    found = []
    for quota in plan.spec.balance.quotas:
        stratum = stratum_of(quota, plan)
        lacking = (quota.kept or 0) - census.data[stratum]
        # The root is one standard deviation of what comes out, so that most quotas need one round and not many.
        wanted = lacking + math.isqrt(max(lacking, 0)) - expected[stratum]
        if lacking <= 0 or wanted <= 0:
            continue
        repeats_of = _of_prompts if plan.spec.inputs is None else _of_inputs
        repeats = repeats_of(plan, census, stratum, wanted, expected)
        successes = census.data[stratum]
        if not successes and RULE_OF_THREE * left < plan.pairs:
            continue  # so many tries without one success: what is left will hardly bring one
        if not successes:
            repeats = repeats[: max(plan.spec.sampling.batch_size, plan.pairs // 4)]
        if len(repeats):
            found.append(Extra(quota=quota, repeats=repeats))
    return found


def _of_prompts(
    plan: Plan, census: Census, stratum: Stratum, wanted: int, expected: Counter[Stratum]
) -> NDArray[np.int64]:
    """So many more pairs of the entry that yields most as are likely to do; `expected` learns what else they bring."""
    tried, full = plan.entries(), _full(plan, census)
    # The rate of an entry is its share of successes so far, with what was expected of it counted as one more pair.
    rates = {
        entry: (census.yields[entry, stratum] + prior) / (tried[entry] + 1)
        for entry in range(len(plan.spec.prompts))
        if entry not in full and (prior := _prior(plan, entry, stratum))
    }
    if not rates:
        return np.empty(0, np.int64)
    best = max(rates, key=lambda entry: (rates[entry], -entry))
    count = min(math.ceil(wanted / rates[best]), plan.pairs)
    # These pairs will be of other strata too, as often as the entry's pairs have been so far.
    for (entry, other), made in census.yields.items():
        if entry == best:
            expected[other] += int(count * made / tried[best])
    # The entry's planned pairs are repeated in turn, from the one after the last that was tried.
    planned = plan.of_entry(best)
    return np.resize(np.roll(planned, -(tried[best] % len(planned))), count)


def _full(plan: Plan, census: Census) -> set[int]:
    """The entries of which `data/` may hold no more pairs."""
    assert plan.spec.balance is not None
    return {
        quota.prompt
        for quota in plan.spec.balance.quotas
        if quota.prompt is not None and quota.at_most is not None
        if census.data[stratum_of(quota, plan)] >= quota.at_most
    }


def _prior(plan: Plan, entry: int, stratum: Stratum) -> float:
    """What share of an entry's pairs is expected to be of a stratum before any was made; 0 where none can be."""
    section = plan.spec.prompts[entry]
    if section.domain != stratum.domain or (stratum.kind == "prompt" and stratum.name != str(entry)):
        return 0.0
    prompt = compose(section, 0)
    asks = stratum.kind in ("prompt", "domain") or stratum.name in prompt.findings
    if stratum.kind == "label":
        asks = labels(mentions(prompt.text)).get(stratum.name) == 1
    return PRIOR if asks else OTHER_PRIOR


def _of_inputs(
    plan: Plan, census: Census, stratum: Stratum, wanted: int, expected: Counter[Stratum]
) -> NDArray[np.int64]:
    """So many more tries of the inputs that have given such pairs, those first that were tried least."""
    sources = np.flatnonzero(census.sources[stratum])
    if not len(sources):
        return np.empty(0, np.int64)
    repeats = [added.repeats for added in plan.rounds]
    tries = 1 + np.bincount(np.concatenate([np.empty(0, np.int64), *repeats]), minlength=plan.planned)[sources]
    rate = (census.data[stratum] + PRIOR) / (tries.sum() + 1)
    count = min(math.ceil(wanted / rate), plan.pairs)
    # Some of these inputs have given pairs of other strata too.
    for other, of_other in census.sources.items():
        expected[other] += int(wanted * of_other[sources].mean())
    return np.resize(sources[np.argsort(tries, kind="stable")], count)


def _mixed(extras: list[Extra]) -> NDArray[np.int64]:
    """All of them, every stretch mixed in proportion."""
    if not extras:
        return np.empty(0, np.int64)
    owner = deal([len(extra.repeats) for extra in extras])
    mixed = np.empty(len(owner), np.int64)
    for number, extra in enumerate(extras):
        mixed[owner == number] = extra.repeats
    return mixed
