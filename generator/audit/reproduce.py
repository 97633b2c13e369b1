"""Makes one pair of a dataset again, from its spec, its plan and the checkpoint, and compares every byte."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow.compute as pc

from medim_forge.generator.dataset import PAIRS_FILE, REJECTED_FILE, open_dataset
from medim_forge.generator.errors import InputError, StoreError, VerifyError
from medim_forge.generator.files import Handle, sha256_hex
from medim_forge.generator.filters import SCORE_PREFIX, drops_for_others, relative_scores
from medim_forge.generator.inputs.manifest import ROWS
from medim_forge.generator.inputs.planned import PlannedInputs, planned_inputs
from medim_forge.generator.jobspec import GenerateSpec
from medim_forge.generator.plan import Plan, make_plan, plan_record, read_plan, read_spec
from medim_forge.generator.plan.rounds import with_rounds
from medim_forge.generator.plan.stored import check_plan
from medim_forge.generator.records import ReplicaFacts
from medim_forge.generator.shards import Parts
from medim_forge.generator.shards.make import run_shard
from medim_forge.generator.shards.worker import imported
from medim_forge.generator.store import SUCCESS, Store, shard_name, store_at
from medim_forge.generator.store.folder import differences
from medim_forge.generator.store.tables import read_table
from medim_forge.generator.writers.dicom.archive import REPORT_FILE, beside, read_object


@dataclass(frozen=True, kw_only=True)
class Reproduced:
    """A pair that was made again and is the same.

    Attributes:
        pair_id: of the pair.
        image_sha256: of its PNG.
        columns: how many columns of its row were compared.
        files: DICOM objects that were compared, relative to the dataset.
    """

    pair_id: str
    image_sha256: str
    columns: int
    files: tuple[str, ...]


def reproduce(out: Path | str | Store, pair_id: str, parts: Parts | None = None) -> Reproduced:
    """The pair can be made again and is what is stored. Needs its own shard and no other.

    Args:
        out: the dataset.
        pair_id: of a kept or dropped pair.
        parts: replica, judge and writers to use instead of the real ones.

    Raises:
        SpecError: the job makes no such pair.
        StoreError: its shard is missing, or the checkpoint is another one than the dataset was made with.
        VerifyError: what is stored is damaged, or what is made now differs; names the pair and what differs.
    """
    parts = parts or Parts()
    store = store_at(out)
    spec, stored_plan = read_spec(store), read_plan(store)
    plan = with_rounds(make_plan(spec, stored_plan.get("pairs")), store)
    pair_index = plan.index_of(pair_id)
    shard = shard_name(plan.shard_of(pair_index))
    stored = _stored(store, shard, pair_id)
    _check_bytes(store, stored)
    facts: ReplicaFacts = imported(parts.facts)(spec)
    # Other library versions may still make the same pair, so they are mentioned only where the pair differs.
    inputs, versions = stored_plan.get("inputs"), stored_plan.get("versions", {})
    check_plan(store, plan_record(plan, model_sha256=facts.model_sha256, versions=versions, inputs=inputs))
    # Without its manifest the input is still compared by the digest in the pair's row.
    planned = planned_inputs(store, inputs if store.exists(ROWS) else None)
    with tempfile.TemporaryDirectory(prefix="medim-") as scratch:
        made = _remade(spec, plan, pair_index, parts, Path(scratch), planned)
        objects, judged = _objects(stored), not drops_for_others(spec, _scores(stored))
        found = [_brief(line) for line in differences(_alone(stored, judged=judged), _alone(made, judged=judged))]
        found += [f"{path} differs" for path in objects if not _same(store, Path(scratch), path)]
    if found:
        others = differences(versions, facts.versions)
        why = f" Library versions differ too: {'; '.join(others)}." if others else ""
        raise VerifyError(
            f"pair {pair_id}: made again, it differs from what {store}/{shard} holds: {'; '.join(found)}.{why} "
            "Reproducing needs the hardware kind and library versions that the manifest records."
        )
    return Reproduced(
        pair_id=pair_id, image_sha256=stored["image_sha256"], columns=len(_alone(stored, judged=judged)), files=objects
    )


def _stored(store: Store, shard: str, pair_id: str) -> dict[str, Any]:
    """The pair's row in its shard.

    Raises:
        StoreError: the shard is missing.
        VerifyError: the pair is not there, or was quarantined.
    """
    folder = f"{store}/{shard}"
    row = _row(lambda name: store.handle(f"{shard}/{name}"), pair_id)
    if row is None:
        raise VerifyError(
            f"pair {pair_id}: is in neither {PAIRS_FILE} nor {REJECTED_FILE} of {folder}; run `medim verify`."
        )
    if row.get("error") is not None:
        raise VerifyError(
            f"pair {pair_id}: was never made, so there is nothing to compare. It was quarantined ({row['stage']}): "
            f"{row['error']}. To try it again, delete {folder} and run the job."
        )
    return row


def _row(handle: Callable[[str], Handle], pair_id: str) -> dict[str, Any] | None:
    """The pair's row among the kept or the rejected pairs of a shard; None where it is in neither.

    Args:
        handle: gives what a table of the shard is read from.
        pair_id: of the pair.

    Raises:
        StoreError: a table is missing or damaged.
    """
    for name in (PAIRS_FILE, REJECTED_FILE):
        table = read_table(handle(name), checked=False)
        found = table.filter(pc.equal(table.column("pair_id"), pair_id)).to_pylist()
        if found:
            return dict(found[0])
    return None


def _check_bytes(store: Store, stored: dict[str, Any]) -> None:
    """The stored PNG, in the shard and in `data/`, has the hash that its row says.

    Raises:
        VerifyError: it has not.
    """
    pair_id = stored["pair_id"]
    copies = {shard_name(stored["shard"]): stored["image"]["bytes"]}
    if store.exists(SUCCESS):
        data = open_dataset(store)
        # Dropped, or an exact copy of another pair: then `data/` does not hold it.
        if (place := data.find(pair_id)) is not None:
            try:
                copies["data"] = data[place].png
            except StoreError as error:
                raise VerifyError(f"pair {pair_id}: its PNG in {store}/data is damaged: {error}") from error
    for where, png in copies.items():
        digest = sha256_hex(png)
        if digest != stored["image_sha256"]:
            raise VerifyError(
                f"pair {pair_id}: its PNG in {store}/{where} is damaged: sha256 {digest}, image_sha256 says "
                f"{stored['image_sha256']}. Delete {store}/{shard_name(stored['shard'])} and run the job again."
            )


def _remade(
    spec: GenerateSpec, plan: Plan, pair_index: int, parts: Parts, scratch: Path, planned: PlannedInputs | None
) -> dict[str, Any]:
    """The pair's row, made now, alone.

    Raises:
        VerifyError: it cannot be made now.
    """
    shard = plan.shard(plan.shard_of(pair_index))
    request = plan.request(pair_index)
    replica = imported(parts.replica)(spec)
    judge, writers = imported(parts.judge)(spec), imported(parts.writers)(spec, replica.facts)
    run_shard(replace(shard, requests=(request,)), spec, replica, judge, writers, scratch, planned=planned)
    row = _row(scratch.joinpath, request.pair_id)
    if row is None or row.get("error") is not None:
        raise VerifyError(f"pair {request.pair_id}: cannot be made now: {row['error'] if row else 'no row'}.")
    return row


def _objects(stored: dict[str, Any]) -> tuple[str, ...]:
    """The DICOM objects of a row, relative to the dataset."""
    place = stored["dicom_path"]
    return () if place is None else (place, beside(place, REPORT_FILE))


def _same(store: Store, scratch: Path, path: str) -> bool:
    """Whether an object of the dataset is that of the shard made in `scratch`."""
    try:
        return read_object(store, path) == read_object(scratch, path.split("/", 2)[2])
    except InputError:
        return False


def _alone(row: dict[str, Any], *, judged: bool) -> dict[str, Any]:
    """What a row says of its pair without regard to the others of its shard.

    Args:
        row: kept or dropped.
        judged: whether the verdict counts, and what follows from it; not where other pairs decided it.
    """
    relative = {SCORE_PREFIX + name for name in relative_scores()}
    if not judged:
        relative |= {"reasons", "stage", "dicom_path", "sop_instance_uid"}
    return {name: value for name, value in row.items() if name not in relative}


def _scores(row: dict[str, Any]) -> dict[str, float]:
    """The scores of a row that are defined, by name."""
    return {
        name.removeprefix(SCORE_PREFIX): value
        for name, value in row.items()
        if name.startswith(SCORE_PREFIX) and value is not None
    }


def _brief(difference: str) -> str:
    """The first 200 characters."""
    return difference if len(difference) <= 200 else f"{difference[:200]}..."
