"""What a running job says: one value per thing that happened, for whoever shows or logs it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

from generator.records import ShardRecord


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
        record: of the shard that was committed.
    """

    kind: Literal["opened", "committed", "failed", "note", "finalising"]
    message: str
    shards_done: int
    shards_total: int
    pairs_done: int
    pairs_total: int
    kept: int
    dropped: int
    quarantined: int
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
    """Counts what is committed, and tells.

    Args:
        shards: planned.
        pairs: planned.
        records: what earlier runs committed.
        on_event: who is told.
    """

    def __init__(self, shards: int, pairs: int, records: Iterable[ShardRecord], on_event: OnEvent) -> None:
        self._shards = shards
        self._pairs = pairs
        self._records = {record.index: record for record in records}
        self._on_event = on_event

    @property
    def records(self) -> list[ShardRecord]:
        """Of the committed shards, by index."""
        return [record for _, record in sorted(self._records.items())]

    def committed(self, record: ShardRecord) -> None:
        """The shard counts as committed, and that was told."""
        self._records[record.index] = record
        counts = f"{record.kept} kept, {record.dropped} dropped, {record.quarantined} quarantined"
        self.tell("committed", f"shard {record.index}: {counts}", record)

    def tell(
        self,
        kind: Literal["opened", "committed", "failed", "note", "finalising"],
        message: str,
        record: ShardRecord | None = None,
    ) -> None:
        """It was told."""
        done = self._records.values()
        self._on_event(
            JobEvent(
                kind=kind,
                message=message,
                shards_done=len(done),
                shards_total=self._shards,
                pairs_done=sum(one.pairs for one in done),
                pairs_total=self._pairs,
                kept=sum(one.kept for one in done),
                dropped=sum(one.dropped for one in done),
                quarantined=sum(one.quarantined for one in done),
                record=record,
            )
        )
