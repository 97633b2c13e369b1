"""What the folder of a dataset says of its job: `spec.yaml` and `plan.json`, with which every later run must agree."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from medim_forge.generator.errors import SpecError, StoreError
from medim_forge.generator.jobspec import GenerateSpec, parse_spec, to_yaml
from medim_forge.generator.jobspec.document import parse_yaml
from medim_forge.generator.plan.plan import PLAN_FORMAT, Plan, plan_of
from medim_forge.generator.plan.rounds import with_rounds
from medim_forge.generator.store import Store
from medim_forge.generator.store.documents import explained, read_json, sealed_text
from medim_forge.generator.store.folder import differences, refuse


def stored_plan(store: Store, spec: GenerateSpec | None = None) -> Plan:
    """The plan of a dataset, rounds included, by its own files: neither inputs nor weights are needed.

    Args:
        store: of the dataset.
        spec: of its job, where it is known already.

    Raises:
        StoreError: `spec.yaml`, `plan.json` or a round is missing or broken.
    """
    stored, spec = read_plan(store), spec or read_spec(store)
    with explained(f"{store}/plan.json", "Put the job's plan.json back."):
        pairs, spec_sha256, inputs = int(stored["pairs"]), stored["spec_sha256"], stored.get("inputs")
    if spec_sha256 != spec.sha256:
        raise StoreError(
            f"{store}/spec.yaml: is not the spec that plan.json was made for ({spec_sha256[:12]}), but "
            f"{spec.sha256[:12]}: one of them was changed. Put the job's spec.yaml back."
        )
    return with_rounds(plan_of(spec, pairs, inputs), store)


def begun_plan(store: Store, spec: GenerateSpec) -> dict[str, Any] | None:
    """What `plan.json` holds where an earlier run of this very job wrote it; None where none did.

    Raises:
        StoreError: it is damaged.
    """
    if not store.exists("plan.json"):
        return None
    plan = read_plan(store)
    _check_format(store, plan)
    with explained(f"{store}/plan.json", "Put the job's plan.json back."):
        same = plan["spec_sha256"] == spec.sha256
        return {**plan, "pairs": int(plan["pairs"]), "inputs": plan.get("inputs")} if same else None


def claim_dataset(store: Store, spec: GenerateSpec, plan: Mapping[str, Any]) -> None:
    """The place holds `spec.yaml` and `plan.json`, and they agree with this job.

    Args:
        store: of the dataset.
        spec: the job; what its digest covers must agree.
        plan: what `plan.json` holds; all of it must agree.

    Raises:
        StoreError: the place cannot be written, or was made from another spec, other weights or other inputs.
    """
    unclaimed = store.prepare()
    if unclaimed:
        raise StoreError(
            f"{store}: holds {' and '.join(unclaimed)} but no spec.yaml, so nobody can tell what made them. "
            "Give another folder with --out, or put spec.yaml back."
        )
    store.create("spec.yaml", to_yaml(spec))
    store.create("plan.json", sealed_text(plan))
    found = differences(read_spec(store).fixed(), spec.fixed())
    policy = all(line.startswith(("filters:", "balance")) for line in found)
    hint = " `medim refilter` puts other filters and quotas in force without making pairs." if policy else ""
    refuse(store, "spec.yaml is of another spec", found, hint)
    check_plan(store, plan)


def check_plan(store: Store, plan: Mapping[str, Any]) -> None:
    """The dataset's `plan.json` agrees with this plan.

    Raises:
        StoreError: it does not, naming what differs: weights first, for all else may follow from them.
    """
    stored = read_plan(store)
    _check_format(store, stored)
    found = differences(stored, plan)
    weights = [line for line in found if line.startswith("model_sha256:")]
    refuse(store, "plan.json is of other weights", weights)
    refuse(store, "plan.json is of other inputs or library versions", found)


def _check_format(store: Store, plan: Mapping[str, Any]) -> None:
    """The plan was written by this release; what an earlier one wrote is not repeated, for it names files.

    Raises:
        StoreError: it was not.
    """
    if plan.get("format", PLAN_FORMAT) != PLAN_FORMAT:
        raise StoreError(
            f"{store}/plan.json: was written by another release, which planned inputs in another way. Go on with that "
            "release, or give this job a folder of its own with --out."
        )


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
    mend = f"Put the job's plan.json back. Is {store} the output folder of a generate job?"
    return read_json(store, "plan.json", mend)
