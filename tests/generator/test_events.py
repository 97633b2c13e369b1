from __future__ import annotations

import tracemalloc

from medim_forge.generator.events import JobEvent, Progress, note
from medim_forge.generator.records import Counts, FileRecord, ShardRecord


def record(index: int, **counts: int) -> ShardRecord:
    return ShardRecord(
        index=index,
        spec_sha256="s",
        model_sha256="m",
        counts=Counts(
            shards=1,
            pairs=4,
            kept=counts.get("kept", 3),
            dropped=counts.get("dropped", 1),
            quarantined=counts.get("quarantined", 0),
            rejects={"agreement<0": 1} if counts.get("dropped", 1) else {},
        ),
        files=tuple(FileRecord(path=f"dicom/{index}-{file}/image.dcm", size=9, sha256="0" * 64) for file in range(8)),
    )


def test_counts_go_on_from_what_earlier_runs_committed():
    events: list[JobEvent] = []
    progress = Progress(3, 12, events.append)
    progress.count(record(0))
    progress.replicas = 2
    progress.committed(record(1, kept=2, dropped=1, quarantined=1))
    last = events[-1]
    assert (last.done.shards, last.planned.shards, last.done.pairs, last.planned.pairs) == (2, 3, 8, 12)
    assert (last.done.kept, last.done.dropped, last.done.quarantined, last.replicas) == (5, 2, 1, 2)
    assert last.done.rejects == {"agreement<0": 2}
    assert progress.quarantined == {1: 1}


def test_what_it_holds_does_not_grow_with_shards_or_their_files():
    progress = Progress(40_000, 160_000, lambda event: None)
    progress.committed(record(0))
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    for index in range(1, 5000):
        progress.committed(record(index))
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    # 5,000 records with their files are about 13 MB.
    assert after - before < 1_000_000


def test_a_message_has_counts_only_where_it_is_about_pairs():
    assert note("step 100") == JobEvent(kind="note", message="step 100")
    assert note("step 100").done is None
