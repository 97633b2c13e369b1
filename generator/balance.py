"""What a job has to make beyond its plan: a look at all that is committed, and the round that follows from it.

Both depend on the committed shards alone, in order of `pair_index`: not on replicas, faults or time.
"""

from __future__ import annotations

import math
import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from generator.data_view import control_rows
from generator.filters import score_names
from generator.filters.observations import labels, mentions
from generator.plan import Plan, deal
from generator.prompts import compose
from generator.schema import SCORE_PREFIX
from generator.selection import Selection, judged_table, remembering
from generator.spec_balance import QuotaSection
from generator.store import Store, shard_name
from generator.strata import STRATUM_COLUMNS, Stratum, stratum_of
from generator.view_policy import view_policy
from generator.writers.parquet import PAIRS_FILE, REJECTED_FILE

_COLUMNS = ("image_sha256", "image_phash", "report", "embedding")
# What is expected of an entry before it has been tried, worth one pair: it names what is wanted in its words, or not.
PRIOR, OTHER_PRIOR = 0.5, 0.01


@dataclass(kw_only=True)
class Census:
    """What the committed shards of a job hold.

    Attributes:
        data: pairs that `data/` would hold, by stratum.
        yields: the same by position in `prompts` and stratum; empty for a job with inputs.
        open: planned pairs in whose place nothing stands yet, though a filter asks for it to be made again, sorted.
        sources: bool [planned] by stratum of a quota: planned pairs of which any try's report was of it; for jobs with
            inputs alone.
    """

    data: Counter[Stratum] = field(default_factory=Counter)
    yields: Counter[tuple[int, Stratum]] = field(default_factory=Counter)
    open: list[int] = field(default_factory=list)
    sources: dict[Stratum, NDArray[np.bool_]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Extra:
    """Pairs to add for a quota.

    Attributes:
        quota: which.
        repeats: planned pairs to try again, in order.
    """

    quota: QuotaSection
    repeats: NDArray[np.int64]


def take_census(store: Store, plan: Plan) -> Census:
    """A look at every committed shard, under the filters of the job; images are not read."""
    policy = view_policy(plan.spec, control_rows(store, plan.shards))
    quotas = plan.spec.balance.quotas if plan.spec.balance else ()
    census, waiting = Census(), set[int]()
    if plan.spec.inputs is not None:
        census.sources = {stratum_of(one, plan): np.zeros(plan.planned, np.bool_) for one in quotas}
    draft = store.new_attempt(0, 0)
    try:
        with remembering(draft) as seen:
            selection = Selection(policy, plan, seen)
            for row, kept in _rows(store, plan):
                outcome = selection.decide(row, kept=kept)
                index = row["pair_index"]
                if (place := plan.replaced(index)) is not None:
                    (waiting.add if outcome.again else waiting.discard)(place)
                for one in outcome.strata:
                    if one in census.sources:
                        census.sources[one][plan.origin(index)] = True
                entry = plan.entry(index)
                if outcome.taken and entry is not None:
                    census.yields.update((entry, one) for one in outcome.strata)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    census.data, census.open = selection.data, sorted(waiting)
    return census


def next_round(plan: Plan, census: Census) -> Plan | None:
    """The plan with the round that brings the job nearer to its balance; None where it is met, or its budget spent.

    Replacements come first, then what quotas lack, by what the prompts have yielded so far. A round makes at most as
    many pairs as there are already, for early yields are guesses, and fills its last batch where a quota asks.
    """
    assert plan.spec.balance is not None
    left = plan.spec.balance.budget - plan.pairs
    if left <= 0:
        return None
    replacements = np.asarray(census.open[:left], np.int64)
    room = min(left - len(replacements), plan.pairs)
    extras = [one for one in _extras(plan, census) if len(one.repeats)]
    wanted = sum(len(one.repeats) for one in extras)
    if wanted > room:
        extras = [Extra(quota=one.quota, repeats=one.repeats[: len(one.repeats) * room // wanted]) for one in extras]
        extras = [one for one in extras if len(one.repeats)] or [
            Extra(quota=one.quota, repeats=one.repeats[:room]) for one in extras[:1] if room
        ]
    added = _mixed(extras)
    batch = plan.spec.sampling.batch_size
    spare = min(-(len(replacements) + len(added)) % batch, left - len(replacements) - len(added)) if len(added) else 0
    repeats = np.concatenate([replacements, added, np.resize(added, spare)])
    return plan.extended(repeats, len(replacements)) if len(repeats) else None


def _extras(plan: Plan, census: Census) -> list[Extra]:
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
        repeats = _of_prompts if plan.spec.inputs is None else _of_inputs
        found.append(Extra(quota=quota, repeats=repeats(plan, census, stratum, wanted, expected)))
    return found


def _of_prompts(
    plan: Plan, census: Census, stratum: Stratum, wanted: int, expected: Counter[Stratum]
) -> NDArray[np.int64]:
    """So many more pairs of the entry that yields most as are likely to do; `expected` learns what else they bring."""
    tried = plan.entries()
    rates = {
        entry: (census.yields[entry, stratum] + prior) / (tried[entry] + 1)
        for entry in range(len(plan.spec.prompts))
        if (prior := _prior(plan, entry, stratum))
    }
    best = max(rates, key=lambda entry: (rates[entry], -entry))
    count = min(math.ceil(wanted / rates[best]), plan.pairs)
    for (entry, other), made in census.yields.items():
        if entry == best:
            expected[other] += int(count * made / tried[best])
    planned = plan.of_entry(best)
    return np.resize(np.roll(planned, -(tried[best] % len(planned))), count)


def _prior(plan: Plan, entry: int, stratum: Stratum) -> float:
    """What share of an entry's pairs is expected to be of a stratum before any was made; 0 where none can be."""
    section = plan.spec.prompts[entry]
    if section.domain != stratum.domain or (stratum.kind == "prompt" and stratum.name != str(entry)):
        return 0.0
    prompt = compose(section, 0)
    asks = stratum.kind == "prompt" or stratum.name in prompt.findings
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
    repeats = [one.repeats for one in plan.rounds]
    tries = 1 + np.bincount(np.concatenate([np.empty(0, np.int64), *repeats]), minlength=plan.planned)[sources]
    rate = (census.data[stratum] + PRIOR) / (tries.sum() + 1)
    count = min(math.ceil(wanted / rate), plan.pairs)
    expected[stratum] += wanted
    return np.resize(sources[np.argsort(tries, kind="stable")], count)


def _mixed(extras: list[Extra]) -> NDArray[np.int64]:
    """All of them, every stretch mixed in proportion."""
    if not extras:
        return np.empty(0, np.int64)
    owner = deal([len(one.repeats) for one in extras])
    mixed = np.empty(len(owner), np.int64)
    for number, one in enumerate(extras):
        mixed[owner == number] = one.repeats
    return mixed


def _rows(store: Store, plan: Plan) -> Iterator[tuple[dict[str, Any], bool]]:
    """Every judged row in order, without its image, and whether its shard kept it."""
    scores = [SCORE_PREFIX + name for name in score_names(plan.spec)]
    names = list(dict.fromkeys([*STRATUM_COLUMNS, *_COLUMNS, *scores]))
    sources = store.sources(
        f"{shard_name(index)}/{name}" for index in range(plan.shards) for name in (PAIRS_FILE, REJECTED_FILE)
    )
    for _ in range(plan.shards):
        kept, dropped = (judged_table(next(sources), names).to_pylist() for _ in range(2))
        rows = [*((row, True) for row in kept), *((row, False) for row in dropped)]
        yield from sorted(rows, key=lambda row: int(row[0]["pair_index"]))
