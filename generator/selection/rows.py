"""The rows that a selection looks at, read from committed shards."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from medim_forge.generator.dataset import PAIRS_FILE, REJECTED_FILE
from medim_forge.generator.files import Handle
from medim_forge.generator.selection.policy import CONTROL_COLUMNS
from medim_forge.generator.store import Store, shard_name


def control_rows(store: Store, shards: int) -> Iterator[dict[str, Any]]:
    """What mismatched pairs agree, over every judged pair of the dataset."""
    names = (f"{shard_name(index)}/{name}" for index in range(shards) for name in (PAIRS_FILE, REJECTED_FILE))
    for table in store.handles(names):
        yield from pq.read_table(table, columns=list(CONTROL_COLUMNS)).to_pylist()


def judged_table(handle: Handle, names: Sequence[str]) -> pa.Table:
    """The named columns of a shard's table, of the rows that were made and judged."""
    with pq.ParquetFile(handle) as file:
        there = file.schema_arrow.names
        table = file.read(columns=[*names, *(["stage"] if "stage" in there else [])])
    if "stage" in there:
        table = table.filter(pc.equal(table.column("stage"), "filter"))
    return table.select(list(names))
