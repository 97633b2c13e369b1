"""What is committed: how many pairs of each kind there are, and which places are still open."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medim_forge.generator.dataset import PAIRS_FILE, REJECTED_FILE
from medim_forge.generator.filters import SCORE_PREFIX, score_names
from medim_forge.generator.plan import Plan
from medim_forge.generator.plan.strata import STRATUM_COLUMNS, Stratum, stratum_of
from medim_forge.generator.selection.policy import view_policy
from medim_forge.generator.selection.rows import control_rows
from medim_forge.generator.selection.select import Outcome, Selection, seen_contents
from medim_forge.generator.store import Store, shard_name
from medim_forge.generator.store.tables import read_table

_COLUMNS = ("image_sha256", "report")
_NEAR_COLUMNS = ("image_phash", "report_minhash", "embedding")


@dataclass(kw_only=True)
class Census:
    """What the committed shards of a job hold.

    Attributes:
        data: pairs that `data/` would hold, by stratum.
        yields: the same by position in `prompts` and stratum; empty for a job with inputs.
        open: planned pairs in whose place nothing stands, because a filter wants them made again; sorted.
        sources: bool [planned] by stratum of a quota: planned pairs of which any try's report was of it; for jobs with
            inputs alone.
    """

    data: Counter[Stratum] = field(default_factory=Counter)
    yields: Counter[tuple[int, Stratum]] = field(default_factory=Counter)
    open: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    sources: dict[Stratum, NDArray[np.bool_]] = field(default_factory=dict)


def take_census(store: Store, plan: Plan) -> Census:
    """What the committed shards hold under the filters of the job; images are not read."""
    policy = view_policy(plan.spec, control_rows(store, plan.shards))
    quotas = plan.spec.balance.quotas if plan.spec.balance else ()
    census, filled, wanted = Census(), np.zeros(plan.planned, np.bool_), np.zeros(plan.planned, np.bool_)
    if plan.spec.inputs is not None:
        census.sources = {stratum_of(quota, plan): np.zeros(plan.planned, np.bool_) for quota in quotas}
    draft = store.new_attempt(0, 0)
    try:
        with seen_contents(draft) as seen:
            selection = Selection(policy, plan, seen)
            for row, kept in _rows(store, plan, near=policy.near is not None):
                outcome = selection.decide(row, kept=kept) if row["stage"] == "filter" else None
                place = plan.replaced(row["pair_index"])
                if place is not None:
                    # A place is filled by any row that is taken. Whether it is tried again, its last row says: one that
                    # could not be made does not ask for it.
                    filled[place] |= outcome is not None and outcome.taken
                    wanted[place] = outcome is not None and outcome.regenerate
                if outcome is not None:
                    _count(row, plan, outcome, census)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    census.data, census.open = selection.data, np.flatnonzero(wanted & ~filled).astype(np.int64)
    return census


def _count(row: dict[str, Any], plan: Plan, outcome: Outcome, census: Census) -> None:
    """The row is counted by what its quota is made from: its entry or its input."""
    for stratum in outcome.strata:
        if stratum in census.sources:
            census.sources[stratum][plan.origin(row["pair_index"])] = True
    entry = plan.entry(row["pair_index"])
    if outcome.taken and entry is not None:
        census.yields.update((entry, stratum) for stratum in outcome.strata)


def _rows(store: Store, plan: Plan, *, near: bool) -> Iterator[tuple[dict[str, Any], bool]]:
    """Every row in order, without its image, and whether its shard kept it.

    Args:
        store: of the dataset.
        plan: of the job.
        near: whether the columns by which near-copies are compared are read too.
    """
    scores = [SCORE_PREFIX + name for name in score_names(plan.spec)]
    names = list(dict.fromkeys([*STRATUM_COLUMNS, *_COLUMNS, *(_NEAR_COLUMNS if near else ()), *scores]))
    tables = store.handles(
        f"{shard_name(index)}/{name}" for index in range(plan.shards) for name in (PAIRS_FILE, REJECTED_FILE)
    )
    for _ in range(plan.shards):
        kept = read_table(next(tables), names).to_pylist()
        others = read_table(next(tables), [*names, "stage"]).to_pylist()
        rows = [*(({**row, "stage": "filter"}, True) for row in kept), *((row, False) for row in others)]
        yield from sorted(rows, key=lambda row: int(row[0]["pair_index"]))
