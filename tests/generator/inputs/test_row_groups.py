"""Rows of a row group that is read in batches: any order gives the same values, and damage is met once."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from medim_forge.generator.inputs.row_groups import BATCH, ColumnReader

ROWS = 3 * BATCH + 5


@pytest.fixture
def path(tmp_path):
    place = tmp_path / "a.parquet"
    values = [{"bytes": bytes([row % 251]) * 10, "path": None} for row in range(ROWS)]
    pq.write_table(pa.table({"image": values, "other": list(range(ROWS))}), place)
    return place


@pytest.mark.parametrize("rows", [range(ROWS), range(ROWS - 1, -1, -1), [0, ROWS - 1, 1, BATCH, BATCH - 1]])
def test_rows_are_read_in_any_order(path, rows):
    reader = ColumnReader(path, 0, "image")
    assert all(reader.value(row)["bytes"] == bytes([row % 251]) * 10 for row in rows)


def test_rows_in_order_are_decoded_once(path, monkeypatch):
    opened = []
    real = pq.ParquetFile
    monkeypatch.setattr(pq, "ParquetFile", lambda *args: opened.append(args) or real(*args))
    reader = ColumnReader(path, 0, "other")
    assert [reader.value(row) for row in range(ROWS)] == list(range(ROWS))
    assert len(opened) == 1


def test_a_damaged_group_is_tried_once(path, monkeypatch):
    content = bytearray(path.read_bytes())
    content[4:200] = bytes(196)
    path.write_bytes(content)
    reader = ColumnReader(path, 0, "image")
    with pytest.raises((OSError, pa.ArrowException)) as first:
        reader.value(0)
    monkeypatch.setattr(pq, "ParquetFile", None)
    with pytest.raises(type(first.value)) as second:
        reader.value(7)
    assert second.value is first.value
