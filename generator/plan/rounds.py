"""The rounds of a dataset: `rounds/0001.json` and so on, each written once, before the first of its shards is made."""

from __future__ import annotations

import re

import numpy as np

from medim_forge.generator.errors import StoreError
from medim_forge.generator.plan.plan import Plan
from medim_forge.generator.store import Store
from medim_forge.generator.store.documents import explained, read_json, sealed_text

ROUNDS = "rounds"
ROUND_FORMAT = 1
_NAME = re.compile(rf"{ROUNDS}/[0-9]{{4,}}\.json")


def with_rounds(plan: Plan, store: Store) -> Plan:
    """The plan with every round that the dataset has.

    Raises:
        StoreError: a round is missing or broken.
    """
    names = sorted(file for file in store.files(ROUNDS) if _NAME.fullmatch(file))
    for number, name in enumerate(names, start=1):
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
    values = read_json(store, name, _mend(plan, name))
    with explained(f"{store}/{name}", _mend(plan, name)):
        repeats = np.asarray(values["repeats"], np.int64)
        replacements = int(values["replacements"])
        mine = {"format": ROUND_FORMAT, "spec_sha256": plan.spec_sha256, "round": number, "first_shard": plan.shards}
        follows = {key: values[key] for key in mine} == mine
        sound = repeats.ndim == 1 and 0 <= replacements <= len(repeats) > 0
        sound = sound and repeats.min() >= 0 and repeats.max() < plan.planned
    if not (follows and sound):
        raise StoreError(f"{store}/{name}: is of another job, or does not follow the plan. {_mend(plan, name)}")
    return plan.extended(repeats, replacements)


def round_text(plan: Plan) -> str:
    """What the file of the plan's last round holds."""
    last = plan.rounds[-1]
    values = {
        "format": ROUND_FORMAT,
        "spec_sha256": plan.spec_sha256,
        "round": last.number,
        "first_shard": last.first_shard,
        "replacements": last.replacements,
        "repeats": last.repeats.tolist(),
    }
    return sealed_text(values, indent=None)


def round_name(number: int) -> str:
    """The file of a round, relative to the dataset."""
    return f"{ROUNDS}/{number:04d}.json"


def _mend(plan: Plan, name: str) -> str:
    return (
        f"Put the file back, or delete {name} and those behind it, and the shards from {plan.shards} on: they are made "
        "again."
    )
