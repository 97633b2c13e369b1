"""The rows that a selection looks at, read from committed shards."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from medim_forge.generator.dataset import PAIRS_FILE, REJECTED_FILE
from medim_forge.generator.errors import StoreError
from medim_forge.generator.files import Handle
from medim_forge.generator.selection.policy import CONTROL_COLUMNS
from medim_forge.generator.store import Store, shard_name
from medim_forge.generator.store.tables import read_table, schema_of


def control_rows(store: Store, shards: int) -> Iterator[dict[str, Any]]:
    """What mismatched pairs agree, over every judged pair of the dataset."""
    names = (f"{shard_name(index)}/{name}" for index in range(shards) for name in (PAIRS_FILE, REJECTED_FILE))
    for table in store.handles(names):
        yield from read_table(table, CONTROL_COLUMNS).to_pylist()


def judged_table(handle: Handle, schema: pa.Schema) -> pa.Table:
    """The columns of `schema` of a shard's table, of the rows that were made and judged.

    A column that may be null and came after the shard was made is null.

    Raises:
        StoreError: the table lacks another column.
    """
    there = set(schema_of(handle).names)
    lacking = [field.name for field in schema if field.name not in there and not field.nullable]
    if lacking:
        raise StoreError(f"{handle}: has no column {', '.join(lacking)}; use the release that made the dataset")
    table = read_table(handle, [name for name in (*schema.names, "stage") if name in there])
    if "stage" in there:
        table = table.filter(pc.equal(table.column("stage"), "filter"))
    columns = [
        table.column(field.name) if field.name in there else pa.nulls(table.num_rows, field.type) for field in schema
    ]
    return pa.table(columns, names=schema.names).cast(schema)
