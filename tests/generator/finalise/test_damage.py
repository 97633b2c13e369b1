from __future__ import annotations

import itertools

import pytest

from medim_forge.generator.dataset import open_dataset
from tests.doubles.damages import DAMAGES, Commands, Found


@pytest.fixture(scope="module")
def commands(tmp_path_factory):
    return Commands(tmp_path_factory.mktemp("damage"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "every"),
    [("run", 29), ("status", 11), ("verify", 23), ("refilter", 29), ("privacy", 140), ("reproduce", 17), ("rows", 17)],
)
def test_a_damaged_file_is_named_mended_or_not_read(commands, command, every):
    """Some of all cases; `benchmarks/damage.py` has them all."""
    found = Found()
    for name, damage in itertools.islice(itertools.product(commands.files, DAMAGES), 3, None, every):
        commands.of(command, name, damage, found)
    assert (found.tracebacks, found.silent, found.unnamed) == ([], [], [])
    assert found.outcomes.total() > 1


def test_a_command_that_reads_what_is_damaged_would_be_noticed(commands, monkeypatch):
    """Control: with the door open, a flipped bit of the data is read, and no word said."""
    found = Found()
    monkeypatch.setattr("medim_forge.generator.dataset.reader.read_group", unchecked)
    png = next(open_dataset(commands.start).rows()).png

    def lighter(path):
        path.write_bytes(path.read_bytes().replace(png, png[:-20] + bytes([png[-20] ^ 1]) + png[-19:]))

    commands.of("rows", "data/train-00000-of-00001.parquet", lighter, found)
    assert found.silent or found.tracebacks


def unchecked(handle, number, columns=None):
    import pyarrow.parquet as pq

    with pq.ParquetFile(handle) as file:
        return file.read_row_group(number, columns=columns)
