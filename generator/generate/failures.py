"""What a job says of rows that could not be made, and when it stops because of them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from itertools import islice

from medim_forge.generator.dataset import REJECTED_FILE
from medim_forge.generator.errors import QuarantineError
from medim_forge.generator.events import Progress
from medim_forge.generator.jobspec import GenerateSpec
from medim_forge.generator.store import Store, shard_name
from medim_forge.generator.store.tables import read_table

# A share of fewer rows says nothing yet.
LEAST_ROWS = 32
# Shards whose errors are read for a message, errors that it names, and characters of each.
_SHARDS, _ERRORS, _LENGTH = 50, 3, 300
# What differs between rows that fail for the same reason: quoted text, ids, numbers.
_OF_THE_ROW = re.compile(r"'[^']*'|\"[^\"]*\"|\b[0-9a-f]{8}-\d{7}\b|\d+")
_HOW_ON = "To try them again, mend the cause, delete those shard folders and run the same command;"


def stop_where_most_fail(store: Store, spec: GenerateSpec, progress: Progress) -> None:
    """The job may go on: enough of the rows that were tried can be made, or the job allows what failed.

    Args:
        store: of the dataset.
        spec: of the job.
        progress: what is committed and planned.

    Raises:
        QuarantineError: more than `compute.max_failed_share` of at least 32 rows failed, and rows are left to make.
    """
    done, compute = progress.done, spec.compute
    within = done.quarantined <= max(compute.max_quarantined, compute.max_failed_share * done.pairs)
    if within or done.pairs < LEAST_ROWS or done.pairs >= progress.planned.pairs:
        return
    raise QuarantineError(
        f"{store}: stopped early, because {done.quarantined} of the {done.pairs} rows tried so far failed, "
        f"compute.max_failed_share = {compute.max_failed_share:g}. {what_failed(store, progress.quarantined)} "
        f"They are first in shards {first_shards(progress.quarantined)}. {_HOW_ON} to go on whatever fails, set "
        "max_failed_share: 1."
    )


def too_many_quarantined(store: Store, spec: GenerateSpec, progress: Progress) -> QuarantineError | None:
    """The error of a job that has made all it can, and whose dataset lacks more rows than it allows; None for none."""
    found, done, allowed = progress.quarantined, progress.done, spec.compute.max_quarantined
    total = sum(found.values())
    if total <= allowed:
        return None
    rest = "All else is made." if total < done.pairs else "No row could be made, so data/ is empty."
    return QuarantineError(
        f"{store}: {total} rows were quarantined, compute.max_quarantined = {allowed}; they are in shards/*/"
        f"_rejected.parquet with their errors, first in shards {first_shards(found)}. {what_failed(store, found)} "
        f"{rest} {_HOW_ON} to accept them, raise max_quarantined."
    )


def first_shards(quarantined: Iterable[int]) -> str:
    """The indices of the first shards with such rows."""
    return ", ".join(str(index) for index in islice(quarantined, 10))


def what_failed(store: Store, quarantined: Iterable[int]) -> str:
    """The most frequent errors of quarantined rows in words, each with its count and one of its messages.

    Args:
        store: of the dataset.
        quarantined: indices of shards that have such rows; the first of them are read.
    """
    counts: Counter[str] = Counter()
    examples: dict[str, str] = {}
    for table in store.handles(f"{shard_name(index)}/{REJECTED_FILE}" for index in islice(quarantined, _SHARDS)):
        for row in read_table(table, ["stage", "error"]).to_pylist():
            if row["stage"] != "filter":
                kind = _OF_THE_ROW.sub("*", row["error"])
                counts[kind] += 1
                examples.setdefault(kind, row["error"])
    named = [f"{count} x {_shortened(examples[kind])}" for kind, count in counts.most_common(_ERRORS)]
    return f"The most frequent errors: {'; '.join(named)}."


def _shortened(message: str) -> str:
    return message if len(message) <= _LENGTH else f"{message[:_LENGTH]}..."
