from __future__ import annotations

import shutil

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from medim_forge.generator.errors import StoreError
from medim_forge.generator.store.tables import footer_of, read_batches, read_group, read_table, schema_of
from medim_forge.generator.writers.parquet import open_parquet

NOISE = np.random.default_rng(0)
TABLE = pa.table({"pair_id": [f"{number:08x}" for number in range(200)], "png": [NOISE.bytes(300) for _ in range(200)]})
READERS = {
    "table": read_table,
    "group": lambda path: [read_group(path, number) for number in range(footer_of(path).num_row_groups)],
    "batches": lambda path: list(read_batches(path, 16)),
}


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "pairs.parquet"
    with open_parquet(path, TABLE.schema) as writer:
        writer.write_table(TABLE, row_group_size=64)
    return path


def whole(read):
    """What a reader gave, as one table."""
    match read:
        case pa.Table():
            return read
        case [pa.Table(), *_]:
            return pa.concat_tables(read)
        case _:
            return pa.Table.from_batches(read)


@pytest.mark.parametrize("reader", READERS)
def test_a_table_is_read_as_it_was_written(reader, path):
    assert whole(READERS[reader](path)).equals(TABLE)


@pytest.mark.parametrize("reader", READERS)
def test_a_flipped_bit_is_never_read_as_data(reader, path):
    content, errors = path.read_bytes(), []
    places = range(0, len(content), 499)
    for place in places:
        damaged = bytearray(content)
        damaged[place] ^= 1 << place % 8
        path.write_bytes(damaged)
        try:
            assert whole(READERS[reader](path)).equals(TABLE), place
        except StoreError as error:
            errors.append(str(error))
    assert len(errors) > 0.9 * len(places)
    assert all("pairs.parquet: cannot be read (" in error and "medim run" in error for error in errors)


def test_a_bit_that_no_checksum_holds_would_be_read_as_data(path):
    pq.write_table(TABLE, path, compression="none", use_dictionary=False)
    content = bytearray(path.read_bytes())
    content[content.index(TABLE.column("png")[5].as_py()) + 20] ^= 1
    path.write_bytes(content)
    assert not read_table(path).equals(TABLE)


def emptied(path):
    path.write_bytes(b"")


def truncated(path):
    path.write_bytes(path.read_bytes()[:-40])


def other(path):
    path.write_text('{"rows": 3}')


def missing(path):
    path.unlink()


def folder(path):
    path.unlink()
    shutil.copytree(path.parent, path)


@pytest.mark.parametrize("damage", [emptied, truncated, other, missing, folder])
@pytest.mark.parametrize("reader", [*READERS.values(), schema_of, footer_of])
def test_a_damaged_table_is_named_with_its_mend(reader, damage, path):
    damage(path)
    with pytest.raises(StoreError, match=r"pairs\.parquet: cannot be read \(.+\)\. `medim verify` names"):
        reader(path)


def test_a_table_without_a_column_is_another_one(path):
    with pytest.raises(StoreError, match=r"it has no column seed, shard\)"):
        read_table(path, ["pair_id", "seed", "shard"])
    with pytest.raises(StoreError, match="Ask for it again"):
        read_table(path, ["seed"], mend="Ask for it again.")


def test_a_flipped_bit_in_the_footer_takes_no_row_away(path):
    """The footer has no checksum; it says the number of rows twice."""
    content, told = path.read_bytes(), []
    for place in range(len(content) - 8 - int.from_bytes(content[-8:-4], "little"), len(content) - 8):
        damaged = bytearray(content)
        damaged[place] ^= 4
        path.write_bytes(damaged)
        try:
            footer = footer_of(path)
        except StoreError as error:
            told.append(str(error))
        else:
            parts = [footer.row_group(number).num_rows for number in range(footer.num_row_groups)]
            assert sum(parts) == footer.num_rows == len(TABLE), place
    assert any("its parts have" in line for line in told)
