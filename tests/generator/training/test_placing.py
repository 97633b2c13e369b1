from __future__ import annotations

import errno
import os

import numpy as np
import pytest
import torch

from medim_forge.generator.errors import StoreError
from medim_forge.generator.training.arrays import place_arrays, read_arrays
from medim_forge.generator.training.data import draw_corpus
from medim_forge.generator.training.placing import place_file
from medim_forge.generator.training.state import Snapshot

ARRAYS = {"images": np.arange(5000), "reports": np.array(["no edema", "edema"])}


def full(*given, **named):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_arrays_are_read_as_they_were_placed(tmp_path):
    place_arrays(tmp_path / "data" / "some.npz", ARRAYS)
    read = read_arrays(tmp_path / "data" / "some.npz", ("images", "reports"))
    assert all(np.array_equal(read[name], ARRAYS[name]) for name in ARRAYS)
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["some.npz"]


def test_damaged_arrays_are_named_with_the_mend(tmp_path):
    path = tmp_path / "some.npz"
    place_arrays(path, ARRAYS)
    content = path.read_bytes()
    flipped = bytearray(content)
    flipped[len(content) // 2] ^= 1
    for damaged in (b"", content[: len(content) // 2], bytes(flipped), b"[1, 2, 3]"):
        path.write_bytes(damaged)
        with pytest.raises(StoreError, match=r"some\.npz: is damaged \(\w+\)\. Delete it"):
            read_arrays(path, ("images", "reports"))
    place_arrays(path, {"images": ARRAYS["images"]})
    with pytest.raises(StoreError, match=r"some\.npz: is damaged \(KeyError\)"):
        read_arrays(path, ("images", "reports"))


def test_a_corpus_that_was_damaged_is_refused_and_drawn_again_once_it_is_deleted(tmp_path):
    drawn = draw_corpus("chest_xray", 2, 0, tmp_path)
    (path,) = tmp_path.iterdir()
    path.write_bytes(path.read_bytes()[:-50])
    with pytest.raises(StoreError, match="is damaged"):
        draw_corpus("chest_xray", 2, 0, tmp_path)
    path.unlink()
    assert np.array_equal(draw_corpus("chest_xray", 2, 0, tmp_path).images, drawn.images)


def test_a_full_disk_is_one_sentence_and_nothing_half_written_stays(tmp_path, monkeypatch):
    path = tmp_path / "some.npz"
    place_arrays(path, ARRAYS)
    before = path.read_bytes()
    monkeypatch.setattr("numpy.savez", full)
    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(StoreError, match=r"there is no space left.*Make room, and run the job again"):
        place_arrays(path, ARRAYS)
    with pytest.raises(StoreError, match="there is no space left"):
        place_file(tmp_path / "metrics.png", lambda file: file.write(b"png"))
    assert [one.name for one in tmp_path.iterdir()] == ["some.npz"]
    assert path.read_bytes() == before


def test_a_damaged_snapshot_is_named_with_the_mend(tmp_path):
    path, model = tmp_path / "tokenizer" / "snapshot.pt", torch.nn.Linear(2, 2)
    Snapshot(path, {"model": model}).save(3)
    assert Snapshot(path, {"model": model}).load(5) == 3
    for damaged in (b"", path.read_bytes()[:-200], b"[1, 2, 3]"):
        path.write_bytes(damaged)
        with pytest.raises(StoreError, match=r"snapshot\.pt: is damaged \(\w+\)\. Delete it"):
            Snapshot(path, {"model": model}).load(5)
