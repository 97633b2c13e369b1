"""The rounds of a dataset: `rounds/0001.json` and so on, each written once, before the first of its shards is made."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from medim_forge.generator.errors import SpecError, StoreError
from medim_forge.generator.jobspec import GenerateSpec, parse_spec, to_yaml
from medim_forge.generator.jobspec.load import parse_yaml
from medim_forge.generator.plan.plan import Plan, plan_of
from medim_forge.generator.store import Store
from medim_forge.generator.store.protocol import json_text

ROUNDS = "rounds"
ROUND_FORMAT = 1
_NAME = re.compile(rf"{ROUNDS}/[0-9]{{4,}}\.json")


def stored_plan(store: Store, spec: GenerateSpec | None = None) -> Plan:
    """The plan of a dataset, rounds included, by its own files: neither inputs nor weights are needed.

    Args:
        store: of the dataset.
        spec: of its job, where it is known already.

    Raises:
        StoreError: `spec.yaml`, `plan.json` or a round is missing or broken.
    """
    pairs = read_plan(store).get("pairs")
    if not isinstance(pairs, int) or pairs < 1:
        raise StoreError(f"{store}/plan.json: pairs is {pairs!r}, not a number of pairs. Put the job's plan.json back.")
    return with_rounds(plan_of(spec or read_spec(store), pairs), store)


def with_rounds(plan: Plan, store: Store) -> Plan:
    """The plan with every round that the dataset has.

    Raises:
        StoreError: a round is missing or broken.
    """
    for number, name in enumerate(sorted(one for one in store.files(ROUNDS) if _NAME.fullmatch(one)), start=1):
        if name != round_name(number):
            raise StoreError(f"{store}/{round_name(number)}: is missing, and {name} is there. {_mend(plan, name)}")
        plan = with_round(plan, store, number)
    return plan


def with_round(plan: Plan, store: Store, number: int) -> Plan:
    """The plan with its next round, as the dataset holds it.

    Raises:
        StoreError: the round is missing or broken, or does not follow the plan.
    """
    name = round_name(number)
    try:
        values: dict[str, Any] = json.loads(store.read(name))
        repeats = np.asarray(values["repeats"], np.int64)
        replacements = int(values["replacements"])
        mine = {"format": ROUND_FORMAT, "spec_sha256": plan.spec_sha256, "round": number, "first_shard": plan.shards}
        follows = {key: values[key] for key in mine} == mine
        sound = repeats.ndim == 1 and 0 <= replacements <= len(repeats) > 0
        sound = sound and repeats.min() >= 0 and repeats.max() < plan.planned
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise StoreError(f"{store}/{name}: cannot be read ({error!r}). {_mend(plan, name)}") from error
    if not (follows and sound):
        raise StoreError(f"{store}/{name}: is of another job, or does not follow the plan. {_mend(plan, name)}")
    return plan.extended(repeats, replacements)


def _mend(plan: Plan, name: str) -> str:
    return (
        f"Put the file back, or delete {name} and those behind it, and the shards from {plan.shards} on: they are made "
        "again."
    )


def round_text(plan: Plan) -> str:
    """What the file of the plan's last round holds."""
    last = plan.rounds[-1]
    head = {"format": ROUND_FORMAT, "spec_sha256": plan.spec_sha256, "round": last.number}
    values = {
        **head,
        "first_shard": last.first_shard,
        "replacements": last.replacements,
        "repeats": last.repeats.tolist(),
    }
    return json.dumps(values) + "\n"


def round_name(number: int) -> str:
    """The file of a round, relative to the dataset."""
    return f"{ROUNDS}/{number:04d}.json"


def claim_dataset(store: Store, spec: GenerateSpec, plan: Mapping[str, Any]) -> None:
    """The place holds `spec.yaml` and `plan.json`, and they agree with this job.

    Args:
        store: of the dataset.
        spec: the job; what its digest covers must agree.
        plan: what `plan.json` holds; all of it must agree.

    Raises:
        StoreError: the place cannot be written, or was made from another spec, other weights or other inputs.
    """
    strangers = store.prepare()
    if strangers:
        raise StoreError(
            f"{store}: holds {' and '.join(strangers)} but no spec.yaml, so nobody can tell what made them. "
            "Give another folder with --out, or put spec.yaml back."
        )
    store.create("spec.yaml", to_yaml(spec))
    store.create("plan.json", json_text(plan))
    _refuse(store, "spec.yaml is of another spec", differences(read_spec(store).fixed(), spec.fixed()))
    check_plan(store, plan)


def check_plan(store: Store, plan: Mapping[str, Any]) -> None:
    """The dataset's `plan.json` agrees with this plan.

    Raises:
        StoreError: it does not, naming what differs: weights first, for all else may follow from them.
    """
    found = differences(read_plan(store), plan)
    weights = [one for one in found if one.startswith("model_sha256:")]
    _refuse(store, "plan.json is of other weights", weights)
    _refuse(store, "plan.json is of other inputs or library versions", found)


def read_spec(store: Store) -> GenerateSpec:
    """The job that made the dataset.

    Raises:
        StoreError: `spec.yaml` is missing, unreadable, or of another kind of job.
    """
    source = f"{store}/spec.yaml"
    try:
        spec = parse_spec(parse_yaml(store.read("spec.yaml"), source), source=source)
    except (OSError, SpecError) as error:
        raise StoreError(f"{store}: is not a dataset of this version: {error}") from error
    if not isinstance(spec, GenerateSpec):
        raise StoreError(f"{source}: kind = {spec.kind}, not generate. Give the folder of a generate job.")
    return spec


def read_plan(store: Store) -> dict[str, Any]:
    """What `plan.json` holds.

    Raises:
        StoreError: it is missing or not a JSON mapping.
    """
    path = f"{store}/plan.json"
    try:
        plan = json.loads(store.read("plan.json"))
    except (OSError, ValueError) as error:
        raise StoreError(
            f"{path}: cannot be read ({error}). Is {store} the output folder of a generate job?"
        ) from error
    if not isinstance(plan, dict):
        raise StoreError(f"{path}: holds {type(plan).__name__}, not a mapping. Put the job's plan.json back.")
    return plan


def differences(old: Mapping[str, Any], new: Mapping[str, Any], prefix: str = "") -> list[str]:
    """`dotted.key: old -> new` for every leaf that differs, sorted by key."""
    found = []
    for key in sorted({*old, *new}):
        before, after = old.get(key), new.get(key)
        if isinstance(before, Mapping) and isinstance(after, Mapping):
            found += differences(before, after, f"{prefix}{key}.")
        elif before != after:
            found.append(f"{prefix}{key}: {before!r} -> {after!r}")
    return found


def _refuse(store: Store, what: str, found: list[str]) -> None:
    if found:
        policy = all(one.startswith(("filters:", "balance")) for one in found)
        hint = " `medim refilter` puts other filters and quotas in force without making pairs." if policy else ""
        raise StoreError(
            f"{store}: {what} than this job; different: {'; '.join(found)}. "
            f"Give this job a folder of its own with --out, or put back what has changed.{hint}"
        )
