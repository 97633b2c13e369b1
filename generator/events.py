"""What a running job says: one value per thing that happened, for whoever shows or logs it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from medim_forge.generator.records import ShardRecord

Kind = Literal["opened", "committed", "failed", "note", "finalising"]


@dataclass(frozen=True, kw_only=True)
class JobEvent:
    """Something happened; the counts are those of the whole dataset after it.

    Attributes:
        kind: `opened` (with what earlier runs committed), `committed` (a shard), `failed` (an attempt), `note` or
            `finalising`.
        message: one line.
        shards_done: committed shards.
        shards_total: planned shards.
        pairs_done: pairs of committed shards: kept, dropped or quarantined.
        pairs_total: planned pairs.
        kept: of `pairs_done`.
        dropped: of `pairs_done`.
        quarantined: of `pairs_done`.
        rejects: dropped pairs by reason; a pair may have several.
        replicas: that are loaded and at work.
        record: of the shard that was committed, without its files.
    """

    kind: Kind
    message: str
    shards_done: int
    shards_total: int
    pairs_done: int
    pairs_total: int
    kept: int
    dropped: int
    quarantined: int
    rejects: Mapping[str, int] = field(default_factory=dict)
    replicas: int = 0
    record: ShardRecord | None = None


OnEvent = Callable[[JobEvent], None]


def note(message: str, *, done: int = 0, total: int = 0) -> JobEvent:
    """Something that is no matter of shards and pairs, with a count of its own in the place of shards."""
    return JobEvent(
        kind="note",
        message=message,
        shards_done=done,
        shards_total=total,
        pairs_done=0,
        pairs_total=0,
        kept=0,
        dropped=0,
        quarantined=0,
    )


class Progress:
    """Counts what is committed, and tells. It holds sums, so its size does not grow with shards or pairs.

    Args:
        shards: planned.
        pairs: planned.
        records: what earlier runs committed.
        on_event: who is told.
    """

    def __init__(self, shards: int, pairs: int, records: Iterable[ShardRecord], on_event: OnEvent) -> None:
        self._shards, self._pairs, self._on_event = shards, pairs, on_event
        self._sums: Counter[str] = Counter()
        self._rejects: Counter[str] = Counter()
        self._sick: dict[int, int] = {}
        self.replicas = 0
        for record in records:
            self._count(record)

    @property
    def sick(self) -> dict[int, int]:
        """Quarantined rows of every committed shard that has some, by index."""
        return dict(sorted(self._sick.items()))

    def grown(self, shards: int, pairs: int) -> None:
        """So many shards and pairs are planned now."""
        self._shards, self._pairs = shards, pairs

    def committed(self, record: ShardRecord) -> None:
        """The shard counts as committed, and that was told."""
        self._count(record)
        counts = f"{record.kept} kept, {record.dropped} dropped, {record.quarantined} quarantined"
        self.tell("committed", f"shard {record.index}: {counts}", record)

    def tell(self, kind: Kind, message: str, record: ShardRecord | None = None) -> None:
        """It was told."""
        self._on_event(
            JobEvent(
                kind=kind,
                message=message,
                shards_done=self._sums["shards"],
                shards_total=self._shards,
                pairs_done=self._sums["pairs"],
                pairs_total=self._pairs,
                kept=self._sums["kept"],
                dropped=self._sums["dropped"],
                quarantined=self._sums["quarantined"],
                rejects=dict(self._rejects),
                replicas=self.replicas,
                record=record,
            )
        )

    def _count(self, record: ShardRecord) -> None:
        self._sums["shards"] += 1
        for name in ("pairs", "kept", "dropped", "quarantined"):
            self._sums[name] += getattr(record, name)
        self._rejects.update(record.rejects)
        if record.quarantined:
            self._sick[record.index] = record.quarantined
