"""The filters and quotas that `medim refilter` put in force: `policy.json`, which outlives a lost manifest."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any

from medim_forge.generator.errors import StoreError
from medim_forge.generator.finalise.manifest import read_manifest
from medim_forge.generator.jobspec import BalanceSection, FilterSection, GenerateSpec
from medim_forge.generator.store import Store
from medim_forge.generator.store.documents import explained, read_json, sealed_text

POLICY = "policy.json"


def with_policy(spec: GenerateSpec, policy: Mapping[str, Any]) -> GenerateSpec:
    """The job with the filters and quotas that `manifest.policy_of` had of another one."""
    balance = policy["balance"]
    return spec.model_copy(
        update={
            "filters": tuple(FilterSection.model_validate(section) for section in policy["filters"]),
            "balance": None if balance is None else BalanceSection.model_validate(balance),
        }
    )


def write_rules(store: Store, policy: Mapping[str, Any] | None) -> None:
    """The dataset says which filters and quotas are in force; nothing where they are those of its job."""
    if policy is None:
        store.remove(POLICY)
        return
    with store.draft(POLICY) as path:
        path.write_text(sealed_text(policy), encoding="utf-8")


def standing_rules(store: Store, spec: GenerateSpec) -> GenerateSpec | None:
    """The job with the filters that `medim refilter` gave the dataset last; None where its own are in force.

    Where `policy.json` is lost, the manifest says the same.

    Raises:
        StoreError: `policy.json` is damaged.
    """
    if not store.exists(POLICY):
        with contextlib.suppress(StoreError):
            policy = read_manifest(store)["refiltered"]
            return None if policy is None else with_policy(spec, policy)
        return None
    mend = (
        "It says which filters `medim refilter` put in force. Put it back, or delete it for the filters of the job "
        "itself and run `medim refilter` again."
    )
    policy = read_json(store, POLICY, mend)
    with explained(f"{store}/{POLICY}", mend):
        return with_policy(spec, policy)
