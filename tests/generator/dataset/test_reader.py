"""Reading a finished dataset back: by position, by id, in order, in parts, and in worker processes."""

from __future__ import annotations

import pickle
import shutil
from itertools import chain

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from medim_forge.generator.dataset import Dataset, open_dataset
from medim_forge.generator.errors import StoreError
from tests.doubles.pairs import finish_tiny, make_pair


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("dataset")
    finish_tiny(out)
    return out


@pytest.fixture
def many_groups(folder, tmp_path):
    """The same rows in row groups of 2 in two files."""
    (source,) = (folder / "data").iterdir()
    table = pq.read_table(source)
    (tmp_path / "data").mkdir()
    pq.write_table(table.slice(0, 5), tmp_path / "data" / "a.parquet", row_group_size=2)
    pq.write_table(table.slice(5), tmp_path / "data" / "b.parquet", row_group_size=2)
    return open_dataset(tmp_path)


def test_a_row_holds_the_pair_that_was_made(folder):
    row, pair = open_dataset(folder)[1], make_pair(1)
    assert (row.pair_id, row.seed, row.report, row.domain) == (pair.pair_id, 2**62 + 1, pair.report, "pathology")
    assert row.image_codes == tuple(pair.image_codes.tolist())
    assert row.report_logprob == -0.5625
    assert row.scores["agreement"] == 0.5
    assert row.findings_asked == ()
    assert row.findings_report
    assert row.synthetic is True
    assert np.array_equal(row.pixels(), pair.image)


def test_rows_come_in_order_and_by_domain(folder):
    dataset = open_dataset(folder)
    assert [row.pair_index for row in dataset.rows()] == [0, 1, 2, 3, 4, 6, 7, 9, 10]
    assert [row.pair_index for row in dataset.rows("pathology")] == [1, 3, 7, 9]
    assert list(dataset.reports("pathology")) == [row.report for row in dataset.rows("pathology")]
    images = list(dataset.images("chest_xray"))
    assert [image.shape for image in images] == [(96, 96)] * 5


def test_positions_reach_every_row_of_every_file_and_row_group(many_groups):
    in_order = list(many_groups.rows())
    assert len(many_groups) == 9
    assert [many_groups[index] for index in range(9)] == in_order
    assert [many_groups[index] for index in (8, 0, -1, -9)] == [in_order[index] for index in (8, 0, 8, 0)]
    with pytest.raises(IndexError, match="row 9 of a dataset of 9 rows"):
        many_groups[9]
    with pytest.raises(IndexError):
        many_groups[-10]


def test_a_row_group_that_was_just_used_is_not_read_again(many_groups, monkeypatch):
    reads = []
    read = pq.ParquetFile.read_row_group
    monkeypatch.setattr(pq.ParquetFile, "read_row_group", lambda *args, **kept: reads.append(1) or read(*args, **kept))
    for index in (0, 1, 0, 1):
        many_groups[index]
    assert len(reads) == 1
    for index in (2, 4, 5, 7, 0):
        many_groups[index]
    assert len(reads) == 6


@pytest.mark.parametrize("parts", [1, 2, 3, 7])
def test_parts_give_every_row_once(many_groups, parts):
    shares = [[row.pair_index for row in many_groups.rows(part=part, parts=parts)] for part in range(parts)]
    assert sorted(chain(*shares)) == [0, 1, 2, 3, 4, 6, 7, 9, 10]


def test_a_part_that_does_not_exist_is_refused(many_groups):
    with pytest.raises(ValueError, match="part 2 of 2 parts"):
        next(many_groups.rows(part=2, parts=2))


def test_a_pair_is_found_by_its_id_in_any_row_group(many_groups):
    for row in many_groups.rows():
        assert many_groups.row(row.pair_id) == row


def test_an_id_that_was_not_kept_says_where_to_look(folder):
    with pytest.raises(StoreError, match=r"no pair 3f2a9c1b-0000005 among 9 kept pairs.*_rejected\.parquet"):
        open_dataset(folder).row("3f2a9c1b-0000005")


def test_a_dataset_travels_to_a_worker_without_what_it_has_read(folder):
    dataset = open_dataset(folder)
    fresh = len(pickle.dumps(dataset))
    dataset[0]
    assert len(pickle.dumps(dataset)) == fresh
    copy = pickle.loads(pickle.dumps(dataset))  # noqa: S301 - our own bytes
    assert copy[3] == dataset[3]


def test_a_folder_without_data_is_no_dataset(tmp_path):
    with pytest.raises(StoreError, match=r"there is no data/\*\.parquet, so no finished dataset"):
        open_dataset(tmp_path)


def test_a_file_of_another_schema_version_is_refused(tmp_path):
    pq.write_table(pa.table({"pair_id": ["a"]}), tmp_path / "x.parquet")
    with pytest.raises(StoreError, match="schema version is none, this release reads 1"):
        Dataset([tmp_path / "x.parquet"])


def test_a_file_that_is_not_parquet_is_named(tmp_path):
    (tmp_path / "x.parquet").write_bytes(b"nothing")
    with pytest.raises(StoreError, match=r"x\.parquet: cannot be read \(Parquet"):
        Dataset([tmp_path / "x.parquet"])


def test_a_part_of_a_dataset_does_not_pass_for_the_whole(folder, tmp_path):
    out = tmp_path / "out"
    shutil.copytree(folder, out)
    path = out / "data" / "train-00000-of-00001.parquet"
    other = path.with_name("train-00001-of-00001.parquet")
    shutil.copy(path, other)
    with pytest.raises(StoreError, match=rf"{other.name}: is not what was written: it is not in the manifest"):
        open_dataset(out)
    path.unlink()
    with pytest.raises(StoreError, match=rf"{path.name}: is not what was written: it is missing\. Delete data/"):
        open_dataset(out)
    pq.write_table(pq.read_table(other).slice(0, 3), path)
    other.unlink()
    with pytest.raises(StoreError, match=rf"{path.name}: is not what was written: it has \d+ bytes, and had \d+"):
        open_dataset(out)
