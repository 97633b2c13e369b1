"""How far a job is, by what its folder holds: no running cluster is asked, and nothing is written."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from medim_forge.generator.finalise import read_manifest
from medim_forge.generator.finalise.change import read_change
from medim_forge.generator.finalise.whole import what_is_lost
from medim_forge.generator.plan import read_plan, stored_plan
from medim_forge.generator.records import Counts
from medim_forge.generator.store import PENDING, SUCCESS, Store, store_at


@dataclass(frozen=True, kw_only=True)
class Status:
    """What a dataset holds at this moment.

    Attributes:
        out: the dataset.
        name: of the job.
        done: what is committed.
        planned: shards and pairs.
        seconds: of work in the committed shards, over all replicas.
        attempts: of the committed shards; more than shards where some were tried again.
        finished: whether `_SUCCESS` is there.
        rounds: beyond the planned pairs.
        data_rows: pairs in `data/`; None where the dataset is not finished.
        refiltered: whether filters and quotas are those of a later `medim refilter`.
        warnings: what a person should know before using the dataset.
        pending: the command on the whole dataset that is at work or was interrupted; empty for none.
        lost: which file of a finished dataset is missing or of another size; empty for none.
    """

    out: str
    name: str
    done: Counts
    planned: Counts
    seconds: float
    attempts: int
    finished: bool
    rounds: int = 0
    data_rows: int | None = None
    refiltered: bool = False
    warnings: tuple[str, ...] = ()
    pending: str = ""
    lost: str = ""


def status(out: Path | str | Store) -> Status:
    """What the dataset holds.

    Raises:
        StoreError: the folder is no dataset, or a committed shard is damaged.
    """
    store = store_at(out)
    name, done, seconds, attempts = read_plan(store)["name"], Counts(), 0.0, 0
    for record in store.committed():
        done += record.counts
        seconds += float(record.run.get("seconds", 0))
        attempts += int(record.run.get("attempt", 1))
    plan = stored_plan(store)  # after the records: a running job adds a round before its first shard
    marked = store.exists(SUCCESS)
    lost = what_is_lost(store) if marked else ""
    finished = marked and not lost
    manifest = read_manifest(store) if finished else {}
    return Status(
        out=str(store),
        name=name,
        done=done,
        planned=Counts(shards=plan.shards, pairs=plan.pairs),
        seconds=seconds,
        attempts=attempts,
        finished=finished,
        rounds=len(plan.rounds),
        data_rows=manifest["counts"]["data_rows"] if finished else None,
        refiltered=manifest.get("refiltered") is not None,
        warnings=tuple(manifest.get("warnings", ())),
        pending=read_change(store).command if store.exists(PENDING) else "",
        lost=lost,
    )
