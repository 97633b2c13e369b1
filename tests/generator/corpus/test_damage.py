"""Damaged holdings end in rows that are left out, or in an error of ours that repeats nothing of them."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from medim_forge.generator.corpus.pictures import FilePicture, PartPicture
from medim_forge.generator.corpus.seen import Eye
from medim_forge.generator.corpus.survey import survey
from medim_forge.generator.errors import InputError, MedimError
from tests.doubles.corpora import corpus_of

OWN = {"kind": "table", "columns": {"image": "file", "report": "text", "patient": "who"}}
DAMAGED = {
    "own/pairs.csv": {**OWN, "path": "own/pairs.csv"},
    "own/pairs.json": {**OWN, "path": "own/pairs.json"},
    "own/pairs.jsonl": {**OWN, "path": "own/pairs.jsonl"},
    "own/images/3.png": {**OWN, "path": "own/pairs.csv"},
    "tars/shard-00000.tar": {"kind": "webdataset", "path": "tars", "columns": {"patient": "patient"}},
    "hf/data/train-00000-of-00001.parquet": {"kind": "parquet", "path": "hf", "columns": {"patient": "patient_id"}},
    "pacs/export.csv": {"preset": "pacs_csv", "images": "pacs/dicom", "table": "pacs/export.csv"},
    "pacs/dicom/06": {"preset": "pacs_csv", "images": "pacs/dicom", "table": "pacs/export.csv"},
    "sr/p03/later.dcm": {"preset": "dicom_sr", "path": "sr"},
    "mimic-cxr-jpg/mimic-cxr-2.0.0-split.csv.gz": {
        "preset": "mimic_cxr",
        "images": "mimic-cxr-jpg",
        "reports": "mimic-cxr",
    },
}


def flipped(content: bytes, generator: np.random.Generator) -> bytes:
    places = generator.integers(0, len(content), 40)
    changed = bytearray(content)
    for place in places:
        changed[place] = generator.integers(256)
    return bytes(changed)


WAYS = {
    "flipped": flipped,
    "cut": lambda content, generator: content[: int(generator.integers(len(content)))],
    "emptied": lambda content, generator: b"",
    "noise": lambda content, generator: generator.bytes(300),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", DAMAGED)
def test_damage_is_told_and_nothing_of_a_person_repeated(name, way, holdings, tmp_path, monkeypatch, recwarn, capfd):
    for top in {name.split("/")[0], "mimic-cxr"} if "mimic" in name else {name.split("/")[0]}:
        shutil.copytree(holdings / top, tmp_path / top)
    content = (holdings / name).read_bytes()
    damaged = WAYS[way](content, np.random.default_rng(list(f"{name}{way}".encode())))
    assert damaged != content
    (tmp_path / name).write_bytes(damaged)
    monkeypatch.chdir(tmp_path)
    said = ""
    try:
        found = survey(corpus_of(DAMAGED[name]), Eye(16))
    except MedimError as error:
        said = str(error)
    else:
        (census,) = found.sources.values()
        assert census.rows == sum(census.kept.values()) + sum(census.left_out.values())
    said += "".join(capfd.readouterr()) + " ".join(str(one.message) for one in recwarn.list)
    assert [secret for secret in ("Marker", "Heart", "Herz", "Jane") if secret in said] == []


def test_a_file_larger_than_any_image_is_refused_before_it_is_read(tmp_path):
    path = tmp_path / "large.png"
    with path.open("wb") as file:
        file.truncate(2**40)  # sparse: to read it would take a tebibyte of memory
    for picture in (FilePicture(path), PartPicture(path, 512, 2**39)):
        with pytest.raises(InputError, match=r"holds [\d,]+ bytes, and an image may have [\d,]+. Give a smaller one"):
            picture.content()
