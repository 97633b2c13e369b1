"""The rows of a dataset that could not be made, in order, with what was wrong."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from medim_forge.generator.dataset import REJECTED_FILE
from medim_forge.generator.store import Store, shard_name
from medim_forge.generator.store.tables import read_table


@dataclass(frozen=True, kw_only=True)
class Lost:
    """A row that was quarantined.

    Attributes:
        source_row: of the job's inputs.
        error: what was wrong.
    """

    source_row: int
    error: str


def lost_inputs(store: Store) -> Iterator[Lost]:
    """The quarantined rows of the inputs in order, of all committed shards; a shard's at a time.

    Raises:
        StoreError: a table of a shard cannot be read.
    """
    for record in store.committed():
        if not record.counts.quarantined:
            continue
        name = f"{shard_name(record.index)}/{REJECTED_FILE}"
        for row in read_table(store.handle(name), ["source_row", "error"]).to_pylist():
            if row["error"] is not None and row["source_row"] is not None:
                yield Lost(source_row=row["source_row"], error=row["error"])
