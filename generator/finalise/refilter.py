"""Applies another policy to the stored scores of a finished dataset: `data/`, card and manifest change, not shards."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medim_forge.generator.errors import SpecError, StoreError
from medim_forge.generator.filters.wording import NONWORDS
from medim_forge.generator.finalise.finalise import Totals, finalise
from medim_forge.generator.finalise.manifest import read_manifest
from medim_forge.generator.jobspec import GenerateSpec
from medim_forge.generator.plan import read_spec, stored_plan
from medim_forge.generator.plan.prompts import check_prompts
from medim_forge.generator.plan.quotas import check_balance
from medim_forge.generator.plan.stored import differences
from medim_forge.generator.records import ReplicaFacts
from medim_forge.generator.store import SUCCESS, Store, store_at

_POLICY: dict[str, Any] = {"filters": [], "balance": None}


@dataclass(frozen=True, kw_only=True)
class Refiltered:
    """What a new policy made of a dataset.

    Attributes:
        folder: the dataset.
        before: pairs in `data/` under the old policy.
        totals: under the new one.
        left_out: why pairs that their shard kept are not in `data/`.
        restored: pairs that their shard had dropped.
        warnings: what a person should know before using the dataset.
    """

    folder: str
    before: int
    totals: Totals
    left_out: dict[str, int]
    restored: int
    warnings: tuple[str, ...] = ()

    def __str__(self) -> str:
        """For people."""
        lines = [f"{self.folder}: data/ holds {self.totals.data_rows} pairs, {self.before} before"]
        lines += [f"  left out, {reason}: {count}" for reason, count in self.left_out.items()]
        lines += [f"  taken back: {self.restored}"] if self.restored else []
        lines += [f"  warning: {one}" for one in self.warnings]
        return "\n".join(lines)


def finalise_again(store: Store, spec: GenerateSpec, manifest: Mapping[str, Any], rules: GenerateSpec | None) -> Totals:
    """The dataset, finished anew with all that its manifest says of the replica."""
    facts = ReplicaFacts(
        model_sha256=manifest["model_sha256"],
        device=manifest["run"]["device"],
        versions=manifest["versions"],
        training_data_terms=tuple(manifest["training_data_terms"]),
    )
    done = store.exists(SUCCESS)
    totals = finalise(store, spec, stored_plan(store, spec), facts, rules)
    if done:
        store.mark(SUCCESS)
    return totals


def _counted(spec: GenerateSpec) -> dict[str, Any]:
    """What decides which words count as none: the options of `nonwords`."""
    return next((dict(one.options) for one in spec.filters if one.name == NONWORDS), {})


def refilter(out: Path | str | Store, rules: GenerateSpec) -> Refiltered:
    """`data/` holds what the filters of `rules` keep. Nothing is generated; running it again changes nothing.

    Args:
        out: a finished dataset.
        rules: the job that made it, with other filters and quotas.

    Raises:
        StoreError: the folder holds no finished dataset.
        SpecError: the job differs in more than its filters, or one of these needs more than stored scores.
    """
    store = store_at(out)
    spec, manifest = read_spec(store), read_manifest(store)
    if not store.exists(SUCCESS):
        raise StoreError(f"{store}: is not finished; finish it with `medim run` before you give it other filters")
    found = differences({**spec.fixed(), **_POLICY}, {**rules.fixed(), **_POLICY})
    if found:
        raise SpecError(
            f"{rules.source}: refilter changes `filters` and `balance` only, and this job differs from that of {store} "
            f"in more: {'; '.join(found)}. Take {store}/spec.yaml and change its filters."
        )
    if _counted(spec) != _counted(rules):
        raise SpecError(
            f"{rules.source}: filters: nonwords: its options cannot be applied to stored scores; change drop_above, or "
            "make the pairs again with `medim run` in a folder of their own."
        )
    check_prompts(rules.prompts, rules.source)
    check_balance(rules, 1)
    own = (spec.filters, spec.balance) == (rules.filters, rules.balance)
    totals = finalise_again(store, spec, manifest, None if own else rules)
    store.tidy()
    after = read_manifest(store)
    return Refiltered(
        folder=str(store),
        before=manifest["counts"]["data_rows"],
        totals=totals,
        left_out=after["left_out"],
        restored=after["counts"]["restored"],
        warnings=tuple(after["warnings"]),
    )
