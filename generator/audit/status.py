"""How far a job is, by what its folder holds: no running cluster is asked, and nothing is written."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from medim_forge.generator.finalise import read_manifest
from medim_forge.generator.plan import read_plan, stored_plan
from medim_forge.generator.store import SUCCESS, Store, store_at


@dataclass(frozen=True, kw_only=True)
class Status:
    """What a dataset holds at this moment.

    Attributes:
        out: the dataset.
        name: of the job.
        shards_done: committed.
        shards_total: planned.
        pairs_total: planned.
        kept: passed every filter.
        dropped: judged and dropped.
        quarantined: could not be made.
        rejects: dropped pairs by reason, most frequent first; a pair may have several.
        seconds: of work in the committed shards, over all replicas.
        attempts: of the committed shards; more than shards where some were tried again.
        finished: whether `_SUCCESS` is there.
        rounds: beyond the planned pairs.
        data_rows: pairs in `data/`; None where the dataset is not finished.
        refiltered: whether filters and quotas are those of a later `medim refilter`.
        warnings: what a person should know before using the dataset.
    """

    out: str
    name: str
    shards_done: int
    shards_total: int
    pairs_total: int
    kept: int
    dropped: int
    quarantined: int
    rejects: dict[str, int]
    seconds: float
    attempts: int
    finished: bool
    rounds: int = 0
    data_rows: int | None = None
    refiltered: bool = False
    warnings: tuple[str, ...] = ()

    @property
    def pairs_done(self) -> int:
        """Pairs of committed shards."""
        return self.kept + self.dropped + self.quarantined

    def __str__(self) -> str:
        """For people, one fact per line."""
        judged = self.kept + self.dropped
        rate = f" ({self.kept / judged:.1%} of judged)" if judged else ""
        state = "finished" if self.finished else "not finished; run its job again to go on"
        retried = self.attempts - self.shards_done
        rows = [
            ("dataset", f"{self.name}, {state}"),
            (
                "shards",
                f"{self.shards_done} of {self.shards_total}" + (f", {retried} attempts repeated" if retried else ""),
            ),
            ("pairs", f"{self.pairs_done} done, {self.pairs_total - self.pairs_done} left"),
            ("kept", f"{self.kept}{rate}"),
            ("dropped", f"{self.dropped}"),
            *((f"  {reason}", f"{count}") for reason, count in self.rejects.items()),
            ("quarantined", f"{self.quarantined}"),
            *([("rounds", f"{self.rounds} beyond the planned pairs")] if self.rounds else []),
            ("work", f"{self.seconds:.1f} s in committed shards"),
            *([("data", f"{self.data_rows} pairs")] if self.data_rows is not None else []),
            *([("policy", "of a later `medim refilter`, not the job's")] if self.refiltered else []),
            *(("warning", line) for line in self.warnings),
        ]
        width = max(len(key) for key, _ in rows)
        return "\n".join(f"{key:<{width}}  {value}" for key, value in rows)


def status(out: Path | str | Store) -> Status:
    """What the dataset holds.

    Raises:
        StoreError: the folder is no dataset, or a committed shard is damaged.
    """
    store = store_at(out)
    name, records = read_plan(store)["name"], list(store.committed())
    plan = stored_plan(store)  # after the records: a running job adds a round before its first shard
    rejects: Counter[str] = Counter()
    for record in records:
        rejects.update(record.rejects)
    finished = store.exists(SUCCESS)
    manifest = read_manifest(store) if finished else {}
    return Status(
        out=str(store),
        name=name,
        shards_done=len(records),
        shards_total=plan.shards,
        pairs_total=plan.pairs,
        kept=sum(record.kept for record in records),
        dropped=sum(record.dropped for record in records),
        quarantined=sum(record.quarantined for record in records),
        rejects=dict(rejects.most_common()),
        seconds=sum(float(record.run.get("seconds", 0)) for record in records),
        attempts=sum(int(record.run.get("attempt", 1)) for record in records),
        finished=finished,
        rounds=len(plan.rounds),
        data_rows=manifest["counts"]["data_rows"] if finished else None,
        refiltered=manifest.get("refiltered") is not None,
        warnings=tuple(manifest.get("warnings", ())),
    )
