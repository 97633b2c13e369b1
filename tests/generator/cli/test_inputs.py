"""Rows of inputs are named by number; what they are called is shown to those who ask, and kept nowhere.

A marker stands in folder names, file names, DICOM elements and report texts, readable and damaged ones, so that
whatever repeats any of them is seen.
"""

from __future__ import annotations

import shutil
import sys
import warnings
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pydicom
import pytest
from PIL import Image

from medim_forge.generator.audit.verify import verify
from medim_forge.generator.cli import commands as cli
from medim_forge.generator.cli.inputs import numbers_of
from medim_forge.generator.jobspec import DicomSection, to_yaml
from medim_forge.generator.phantoms import draw
from medim_forge.generator.writers.dicom.writer import DicomWriter
from tests.doubles.pairs import make_pair, make_provenance
from tests.doubles.toy_replica import PARTS, toy_job

MARK = "ZZPLANTED"
TEXTS = (
    "PatientName",
    "PatientID",
    "StudyDescription",
    "AccessionNumber",
    "InstitutionName",
    "ImageComments",
    "BurnedInAnnotation",
    "SOPInstanceUID",
)
# What damages a DICOM object in a way that messages could repeat: a value of an element that is read.
WRONG = ({"PhotometricInterpretation": MARK}, {"VOILUTFunction": MARK, "WindowCenter": "1", "WindowWidth": "2"})


@pytest.fixture
def medim(monkeypatch, capfd):
    """Runs a command on the toy replica: `medim("run", path)` -> (exit code, standard output, standard error)."""
    monkeypatch.setattr("medim_forge.generator.generate.job.Parts", lambda: PARTS)

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["medim", *map(str, arguments)])
        with pytest.raises(SystemExit) as leaving:
            cli.main()
        captured = capfd.readouterr()
        return leaving.value.code, captured.out, captured.err

    return call


def radiographs(place: Path) -> None:
    """Six DICOM files: two that are read, two with a wrong value, one cut off, and one that is a text."""
    place.mkdir(parents=True)
    content = DicomWriter(make_provenance(), DicomSection()).objects(make_pair(0, "chest_xray"))["image.dcm"]
    for number, wrong in enumerate(({}, {"SpecificCharacterSet": MARK}, *WRONG)):
        path = place / f"{MARK}_{number}.dcm"
        path.write_bytes(content)
        dataset = pydicom.dcmread(path)
        with warnings.catch_warnings(), pydicom.config.disable_value_validation():
            warnings.simplefilter("ignore")
            for keyword, value in (dict.fromkeys(TEXTS, MARK) | wrong).items():
                setattr(dataset, keyword, value)
            dataset.save_as(path)
    (place / f"{MARK}_4.dcm").write_bytes((place / f"{MARK}_0.dcm").read_bytes()[:-100])
    (place / f"{MARK}_5.dcm").write_text(MARK)


def pictures(place: Path) -> None:
    """Six files called pictures: two that are, and four that are damaged or something else."""
    place.mkdir(parents=True)
    for number in range(2):
        Image.fromarray(draw("chest_xray", number).image).save(place / f"{MARK}_{number}.png")
        (place / f"{MARK}_{number}.txt").write_text(MARK)
    whole = (place / f"{MARK}_0.png").read_bytes()
    (place / f"{MARK}_2.png").write_bytes(whole[:2000])
    (place / f"{MARK}_3.png").write_text(MARK)
    (place / f"{MARK}_4.png").write_bytes(whole[:33] + MARK.encode() * 9)
    (place / f"{MARK}_5.tif").write_bytes(b"II*\0" + MARK.encode() * 9)


def table(place: Path) -> None:
    """Six rows of images, with reports: two that are read, and four that hold something else."""
    place.mkdir(parents=True)
    whole = [np.random.default_rng(seed).integers(0, 255, (9, 9), np.uint8) for seed in range(2)]
    cells = []
    for pixels in whole:
        Image.fromarray(pixels).save(place / "x.png")
        cells.append((place / "x.png").read_bytes())
    (place / "x.png").unlink()
    values = [*cells, MARK.encode(), cells[0][:-30] + MARK.encode(), None, b""]
    images = [{"bytes": value, "path": f"{MARK}_{row}.png"} for row, value in enumerate(values)]
    pq.write_table(pa.table({"image": images, "report": [MARK] * 6}), place / f"{MARK}.parquet", row_group_size=2)


def planted_in(folder: Path) -> list[str]:
    """The files of a folder whose name or bytes hold the marker."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    assert files
    # Parquet compresses what it holds.
    found = [str(pq.read_table(path).to_pylist()) if path.suffix == ".parquet" else "" for path in files]
    return [
        path.name
        for path, text in zip(files, found, strict=True)
        if MARK in str(path.relative_to(folder)) + text or MARK.encode() in path.read_bytes()
    ]


@pytest.mark.parametrize(
    ("source", "make"),
    [("dicom", radiographs), ("images", pictures), ("parquet", table)],
    ids=["dicom", "images", "table"],
)
def test_what_is_planted_in_the_inputs_is_shown_to_those_who_ask_and_kept_nowhere(
    tmp_path, medim, caplog, source, make
):
    make(tmp_path / "given" / MARK)
    caplog.clear()
    spec = toy_job(
        tmp_path,
        task="image_to_report",
        prompts=(),
        inputs={
            "source": source,
            "path": f"{tmp_path}/given/{'*/*' if source == 'parquet' else ''}",
            "domain": "chest_xray",
        },
        compute={"max_quarantined": 4},
        output={"dir": str(tmp_path / "out"), "dicom": {}},
    )
    path = tmp_path / "toy.yaml"
    path.write_text(to_yaml(spec))
    code, out, err = medim("run", path, "--local")
    assert code == 0, err
    assert "4 quarantined" in out
    assert MARK not in out + err + caplog.text
    assert planted_in(tmp_path / "out") == ["inputs_names.parquet"]
    assert verify(tmp_path / "out").problems == ()
    _, out, _ = medim("run", path, "--local", "--show-inputs")
    assert out.count(f"quarantined: {tmp_path}/given/{MARK}/{MARK}") == 4
    assert planted_in(tmp_path / "out") == ["inputs_names.parquet"]


def test_an_error_names_the_row_and_what_it_is_called_where_that_is_asked_for(tmp_path, medim, monkeypatch):
    place = tmp_path / "given"
    pictures(place)
    inputs = {"source": "images", "path": str(place), "domain": "chest_xray"}
    spec = toy_job(tmp_path, task="image_to_report", prompts=(), inputs=inputs, compute={"max_retries": 0})
    path = tmp_path / "toy.yaml"
    path.write_text(to_yaml(spec))
    read = Path.read_bytes

    def failing(file):
        if file.name == f"{MARK}_1.png":
            raise OSError(5, f"Failed to open local file '{file}'", str(file))
        return read(file)

    monkeypatch.setattr(Path, "read_bytes", failing)
    code, out, err = medim("run", path, "--local")
    assert code == 1
    assert "row 1 cannot be read (Input/output error)" in out + err
    assert MARK not in out + err
    code, out, err = medim("run", path, "--local", "--show-inputs")
    assert code == 1
    assert f"row 1 is {place}/{MARK}_1.png" in out + err


def test_a_table_that_cannot_be_used_is_named_where_that_is_asked_for(tmp_path, medim):
    table(tmp_path / "given")
    (tmp_path / "given" / f"{MARK}_2.parquet").write_text(MARK)
    inputs = {"source": "parquet", "path": f"{tmp_path}/given", "domain": "chest_xray"}
    path = tmp_path / "toy.yaml"
    path.write_text(to_yaml(toy_job(tmp_path, task="image_to_report", prompts=(), inputs=inputs)))
    code, out, err = medim("plan", path)
    assert code == 1
    assert "table 1 is not Parquet" in err
    assert MARK not in out + err
    _, _, err = medim("plan", path, "--show-inputs")
    assert f"table 1 is {tmp_path}/given/{MARK}_2.parquet" in err


def test_files_that_came_and_went_are_named_where_that_is_asked_for(tmp_path, medim):
    place, out = tmp_path / "given", tmp_path / "out"
    place.mkdir()
    for number in range(4):
        Image.fromarray(draw("chest_xray", number).image).save(place / f"{MARK}_{number}.png")
    inputs = {"source": "images", "path": str(place), "domain": "chest_xray"}
    path = tmp_path / "toy.yaml"
    path.write_text(to_yaml(toy_job(tmp_path, task="image_to_report", prompts=(), inputs=inputs)))
    assert medim("run", path, "--local")[0] == 0
    shutil.rmtree(out / "shards" / "000001")
    (place / f"{MARK}_1.png").rename(place / f"{MARK}_7.png")
    code, printed, err = medim("run", path, "--local")
    assert code == 1
    assert "1 files came, 1 went (row 1), 0 changed" in err
    assert MARK not in printed + err
    _, _, err = medim("run", path, "--local", "--show-inputs")
    assert f"row 1 is {place}/{MARK}_1.png" in err
    assert f"came: {place}/{MARK}_7.png" in err


def test_rows_that_messages_name_are_found_in_their_order():
    assert numbers_of("row", "4 of 9 reports (rows 7, 2, 30, ...): row 2 is empty; 8 rows more") == [7, 2, 30]


def test_names_and_columns_that_a_job_keeps_are_in_its_tables_and_the_card_says_so(tmp_path, medim):
    table(tmp_path / "given")
    inputs = {"source": "parquet", "path": f"{tmp_path}/given", "domain": "chest_xray", "limit": 2}
    kept = {"keep_names": True, "keep_columns": ["report"]}
    spec = toy_job(tmp_path, task="image_to_report", prompts=(), inputs=inputs | kept)
    path = tmp_path / "toy.yaml"
    path.write_text(to_yaml(spec))
    assert medim("run", path, "--local")[0] == 0
    rows = pq.read_table(tmp_path / "out" / "data").to_pylist()
    assert {row["source_name"] for row in rows} <= {f"{MARK}_0.png", f"{MARK}_1.png"}
    assert {row["input_report"] for row in rows} == {MARK}
    card = (tmp_path / "out" / "README.md").read_text()
    assert "`source_name` holds the names of the inputs" in card
    assert "there are `input_report`, as they were given" in card
