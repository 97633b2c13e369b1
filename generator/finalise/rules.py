"""The filters and quotas that `medim refilter` put in force: `policy.json`, which outlives a lost manifest."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from medim_forge.generator.errors import StoreError
from medim_forge.generator.files import sha256_hex
from medim_forge.generator.finalise.manifest import MANIFEST, read_manifest
from medim_forge.generator.jobspec import BalanceSection, FilterSection, GenerateSpec
from medim_forge.generator.store import Store, json_text

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
        path.write_text(json_text({**policy, "sha256": _digest(policy)}), encoding="utf-8")


def standing_rules(store: Store, spec: GenerateSpec) -> GenerateSpec | None:
    """The job with the filters that `medim refilter` gave the dataset last; None where its own are in force.

    Raises:
        StoreError: `policy.json` is damaged.
    """
    if store.exists(POLICY):
        return with_policy(spec, _read(store))
    # A dataset of an earlier release has them in its manifest alone.
    policy = read_manifest(store)["refiltered"] if store.exists(MANIFEST) else None
    return None if policy is None else with_policy(spec, policy)


def _read(store: Store) -> dict[str, Any]:
    try:
        values: dict[str, Any] = json.loads(store.read(POLICY))
        if values.pop("sha256") != _digest(values):
            raise ValueError("its digest is another one")
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise StoreError(
            f"{store}/{POLICY}: is damaged ({error}), and it says which filters `medim refilter` put in force. Put it "
            "back, or delete it for the filters of the job itself and run `medim refilter` again."
        ) from error
    return values


def _digest(policy: Mapping[str, Any]) -> str:
    return sha256_hex(json_text(policy).encode())
