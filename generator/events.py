"""What a running job reports: one value per thing that happened, for whoever shows or logs it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from medim_forge.generator.records import Counts, ShardRecord

Kind = Literal["opened", "committed", "failed", "note", "step", "finalising"]


@dataclass(frozen=True, kw_only=True)
class JobEvent:
    """Something happened in a job; the counts are those of the whole dataset after it.

    Attributes:
        kind: `opened` (with what earlier runs committed), `committed` (a shard), `failed` (an attempt), `note`, `step`
            (one of very many, which is counted and not told) or `finalising`.
        message: one line.
        done: what is committed; None where the event is not about shards and pairs, as in training.
        planned: shards and pairs that the job will have; None where `done` is.
        steps: how many steps of an experiment are done, and of how many; None elsewhere.
        replicas: that are loaded and at work.
        record: of the shard that was committed, without its files.
    """

    kind: Kind
    message: str
    done: Counts | None = None
    planned: Counts | None = None
    steps: tuple[int, int] | None = None
    replicas: int = 0
    record: ShardRecord | None = None


OnEvent = Callable[[JobEvent], None]


def note(message: str, steps: tuple[int, int] | None = None) -> JobEvent:
    """An event that is not about shards and pairs.

    Args:
        message: one line.
        steps: how many steps of an experiment are done, and of how many.
    """
    return JobEvent(kind="note", message=message, steps=steps)


def stepped(done: int, steps: int) -> JobEvent:
    """One of very many steps is done.

    Args:
        done: steps.
        steps: of the whole.
    """
    return JobEvent(kind="step", message="", steps=(done, steps))


class Progress:
    """Counts what is committed and reports it. It holds sums, so its size does not grow with shards or pairs.

    Args:
        shards: planned.
        pairs: planned.
        on_event: is called with every event.

    Attributes:
        done: what is committed.
        planned: shards and pairs that the job will have.
        replicas: that are loaded and at work.
        watch: is called after every committed shard, and ends the job where it raises.
    """

    def __init__(self, shards: int, pairs: int, on_event: OnEvent) -> None:
        self._on_event = on_event
        self.done, self.planned = Counts(), Counts(shards=shards, pairs=pairs)
        self._quarantined: dict[int, int] = {}
        self.replicas = 0
        self.watch: Callable[[], None] = lambda: None

    @property
    def quarantined(self) -> dict[int, int]:
        """Quarantined rows of every committed shard that has some, by index."""
        return dict(sorted(self._quarantined.items()))

    def grown(self, shards: int, pairs: int) -> None:
        """So many shards and pairs are planned from now on."""
        self.planned = Counts(shards=shards, pairs=pairs)

    def count(self, record: ShardRecord) -> None:
        """The shard is counted; nothing is reported."""
        self.done += record.counts
        if record.counts.quarantined:
            self._quarantined[record.index] = record.counts.quarantined

    def committed(self, record: ShardRecord) -> None:
        """The shard is counted, and the event reported."""
        self.count(record)
        counts = record.counts
        became = f"{counts.kept} kept, {counts.dropped} dropped, {counts.quarantined} quarantined"
        self.report("committed", f"shard {record.index}: {became}", record)
        self.watch()

    def report(self, kind: Kind, message: str, record: ShardRecord | None = None) -> None:
        """The event is reported, with the counts of this moment."""
        self._on_event(
            JobEvent(
                kind=kind,
                message=message,
                done=self.done,
                planned=self.planned,
                replicas=self.replicas,
                record=record,
            )
        )
