"""Applies another policy to the stored scores of a finished dataset: `data/`, card and manifest change, not shards."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medim_forge.generator.errors import SpecError, StoreError
from medim_forge.generator.filters import FilterRule, kind_of, policy
from medim_forge.generator.finalise.change import Change, carry_out, whole_dataset
from medim_forge.generator.finalise.manifest import facts_of, policy_of, read_manifest
from medim_forge.generator.jobspec import GenerateSpec
from medim_forge.generator.plan import read_spec
from medim_forge.generator.plan.prompts import check_prompts
from medim_forge.generator.plan.quotas import check_balance
from medim_forge.generator.store import SUCCESS, Store, store_at
from medim_forge.generator.store.folder import differences

# Laid over a job, it leaves what another policy must have in common with it.
_NO_POLICY: dict[str, Any] = {"filters": [], "balance": None}


@dataclass(frozen=True, kw_only=True)
class Refiltered:
    """What a new policy made of a dataset.

    Attributes:
        folder: the dataset.
        before: pairs in `data/` under the old policy.
        data_rows: pairs in `data/` now.
        left_out: pairs that their shard kept and `data/` leaves out, by reason; a pair may have several.
        restored: pairs in `data/` that their shard had dropped.
        warnings: what a person should know before using the dataset.
    """

    folder: str
    before: int
    data_rows: int
    left_out: dict[str, int]
    restored: int
    warnings: tuple[str, ...] = ()


def refilter(out: Path | str | Store, rules: GenerateSpec) -> Refiltered:
    """`data/` holds what the filters of `rules` keep. Nothing is generated; running it again changes nothing.

    Args:
        out: a finished dataset.
        rules: the job that made it, with other filters and quotas.

    Raises:
        StoreError: the folder holds no finished dataset.
        SpecError: the job differs in more than its filters, or one of its filters needs more than stored scores.
    """
    store = store_at(out)
    with whole_dataset(store, "refilter"):
        return _refiltered(store, rules)


def _refiltered(store: Store, rules: GenerateSpec) -> Refiltered:
    """`refilter`, with the dataset for itself."""
    spec, manifest = read_spec(store), read_manifest(store)
    if not store.exists(SUCCESS):
        raise StoreError(f"{store}: is not finished; finish it with `medim run` before you give it other filters")
    found = differences({**spec.fixed(), **_NO_POLICY}, {**rules.fixed(), **_NO_POLICY})
    if found:
        raise SpecError(
            f"{rules.source}: refilter changes `filters` and `balance` only, and this job differs from that of {store} "
            f"in more: {'; '.join(found)}. Take {store}/spec.yaml and change its filters."
        )
    _refuse_other_options(policy(spec), rules)
    check_prompts(rules.prompts, rules.source)
    check_balance(rules, 1)
    unchanged = (spec.filters, spec.balance) == (rules.filters, rules.balance)
    policy_in_force = None if unchanged else policy_of(rules)
    carry_out(store, Change(command="refilter", complete=True, facts=facts_of(manifest, spec), policy=policy_in_force))
    after = read_manifest(store)
    return Refiltered(
        folder=str(store),
        before=manifest["counts"]["data_rows"],
        data_rows=after["counts"]["data_rows"],
        left_out=after["left_out"],
        restored=after["counts"]["restored"],
        warnings=tuple(after["warnings"]),
    )


def _refuse_other_options(stored: Mapping[str, FilterRule], rules: GenerateSpec) -> None:
    """The options that shape scores are those of the stored scores.

    Args:
        stored: the rules under which the scores were measured.
        rules: the job with other filters.

    Raises:
        SpecError: a filter that measures by its options has others.
    """
    for name, rule in policy(rules).items():
        if name in stored and kind_of(name).options_measure and stored[name].options != rule.options:
            raise SpecError(
                f"{rules.source}: filters: {name}: its options cannot be applied to stored scores; change its bounds, "
                "or make the pairs again with `medim run` in a folder of their own."
            )
