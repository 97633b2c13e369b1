"""Given images in files: a folder of DICOM or pictures, row by row, and broken files quarantined by row."""

from __future__ import annotations

import io
import os
import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pydicom
import pytest
from PIL import Image
from pydicom.data import get_testdata_file

from medim_forge.generator.audit.verify import verify
from medim_forge.generator.dataset import open_dataset
from medim_forge.generator.errors import InputError, SpecError, is_environment
from medim_forge.generator.files import sha256_hex
from medim_forge.generator.generate.job import run_job
from medim_forge.generator.inputs.dicom import read_dicom
from medim_forge.generator.inputs.load import load_inputs, names_of_rows
from medim_forge.generator.inputs.survey import check_headers, survey_inputs
from medim_forge.generator.jobspec import DicomSection
from medim_forge.generator.phantoms import draw
from medim_forge.generator.plan.plan import make_plan
from medim_forge.generator.writers.dicom.writer import DicomWriter
from tests.doubles.pairs import make_pair, make_provenance
from tests.doubles.tiny_jobs import run_here, tiny_job
from tests.doubles.toy_replica import PARTS, toy_job

GOOD = ("CT_small.dcm", "MR_small_jpeg_ls_lossless.dcm", "examples_palette.dcm")
BROKEN = ("MR_truncated.dcm", "rtplan.dcm", "SC_rgb_rle_2frame.dcm")


@pytest.fixture
def folder(tmp_path):
    """Good and broken DICOM files in subfolders, with what lies about on a medium."""
    top = tmp_path / "given"
    (top / "b" / "deep").mkdir(parents=True)
    for index, name in enumerate((*GOOD, *BROKEN)):
        place = (top / "b" / "deep" if index % 2 else top) / f"{index}_{name.removesuffix('.dcm')}"
        shutil.copy(get_testdata_file(name), place)
    (top / "DICOMDIR").write_bytes(b"an index")
    (top / ".hidden").write_bytes(b"")
    return top


@pytest.fixture
def given(spec):
    def make(source, path, **changes):
        section = {"source": source, "path": str(path), "domain": "chest_xray", **changes}
        return spec(task="image_to_report", prompts=None, inputs=section)

    return make


def loaded(job):
    parts = [load_inputs(job, shard) for shard in make_plan(job)]
    return [request for shard, _ in parts for request in shard.requests], [row for _, bad in parts for row in bad]


def pixels(request):
    with Image.open(io.BytesIO(request.given_image)) as image:
        return np.asarray(image)


def test_a_folder_is_read_file_by_file_in_order_of_its_paths(given, folder):
    job = given("dicom", folder)
    plan = make_plan(job)
    assert plan.pairs == len(GOOD) + len(BROKEN)
    requests, bad = loaded(job)
    paths = sorted(path for path in folder.rglob("*_*"))
    good = [path for path in paths if any(name.removesuffix(".dcm") == path.name[2:] for name in GOOD)]
    assert [paths[request.source_row] for request in requests] == good
    for request, path in zip(requests, good, strict=True):
        assert np.array_equal(pixels(request), read_dicom(path.read_bytes()))
    assert len(bad) == len(BROKEN)


def test_a_broken_file_is_quarantined_with_its_row_and_reason_and_its_name_is_shown_to_those_who_ask(given, folder):
    job = given("dicom", folder)
    _, bad = loaded(job)
    assert {row.stage for row in bad} == {"input"}
    for name, words in zip(BROKEN, ("8130 vs 8192 bytes", "RT Plan Storage without pixels", "2 frames"), strict=True):
        path = next(path for path in folder.rglob("*_*") if name.removesuffix(".dcm") in path.name)
        (row,) = (row for row in bad if words in row.error)
        assert row.error.startswith(f"InputError: row {row.request.source_row} ")
        assert path.name not in row.error + row.traceback
        assert names_of_rows(job, [row.request.source_row, 99]) == {row.request.source_row: str(path)}


def test_one_file_a_glob_and_a_limit_name_what_they_say(given, folder):
    one = next(folder.rglob("0_*"))
    assert make_plan(given("dicom", one)).pairs == 1
    assert make_plan(given("dicom", folder / "*_*")).pairs == 3
    assert make_plan(given("dicom", folder / "b" / "deep")).pairs == 3
    assert make_plan(given("dicom", folder, limit=2)).pairs == 2
    assert make_plan(given("dicom", folder, limit=99)).pairs == 6


@pytest.mark.parametrize("source", ["dicom", "images"])
def test_no_file_is_refused_naming_the_path(given, tmp_path, source):
    (tmp_path / "empty").mkdir()
    for path in (tmp_path / "empty", tmp_path / "nothing", tmp_path / "*.dcm"):
        with pytest.raises(SpecError, match=r"inputs\.path = '.*' names no (DICOM file|image)"):
            make_plan(given(source, path))


def test_images_cannot_be_given_where_reports_are_wanted(spec, folder):
    section = {"source": "dicom", "path": str(folder), "domain": "chest_xray"}
    with pytest.raises(SpecError, match="dicom gives images; task: report_to_image takes reports"):
        spec(task="report_to_image", prompts=None, inputs=section)


def test_the_plan_pins_every_file_by_its_content(given, folder):
    def surveyed():
        return survey_inputs(given("dicom", folder))

    before = surveyed()
    assert before.record == {"rows": 6, "sha256": before.manifest.sha256, "burned_in": 0, "identified": 0}
    paths = [Path(path) for path in before.names.paths]
    assert paths == sorted(path for path in folder.rglob("*_*"))
    for row, path in enumerate(paths):
        assert before.manifest.holds(row, (path.stat().st_size, sha256_hex(path.read_bytes())))
    changed = folder / "0_CT_small"
    changed.write_bytes(changed.read_bytes() + b"\0")
    after = surveyed()
    assert after.manifest.sha256 != before.manifest.sha256
    assert [row for row in range(6) if before.manifest.sizes[row] != after.manifest.sizes[row]] == [
        paths.index(changed)
    ]
    (folder / "9_more").write_bytes(b"")
    assert surveyed().record["rows"] == 7


def test_a_folder_of_pictures_leaves_other_files_alone(given, tmp_path):
    folder = tmp_path / "pictures"
    folder.mkdir()
    colour = draw("pathology", 1).image
    Image.fromarray(draw("chest_xray", 1).image).save(folder / "a.png")
    Image.fromarray(colour).save(folder / "b.JPG", "JPEG")
    (folder / "c.png").write_bytes(b"no picture")
    (folder / "labels.csv").write_text("a,b")
    requests, bad = loaded(given("images", folder))
    assert [request.source_row for request in requests] == [0, 1]
    assert np.array_equal(pixels(requests[0]), draw("chest_xray", 1).image)
    [row] = bad
    assert "row 2 cannot be decoded" in row.error


def test_file_names_that_are_no_text_are_refused_by_number(given, tmp_path):
    folder = tmp_path / "pictures"
    folder.mkdir()
    Image.fromarray(draw("chest_xray", 1).image).save(folder / "a.png")
    shutil.copy(folder / "a.png", os.fsdecode(os.fsencode(folder) + b"/m\xfcller.png"))
    with pytest.raises(SpecError, match=r"1 files have names that are no UTF-8 text.*row 1\. Rename them") as caught:
        make_plan(given("images", folder))
    assert str(caught.value).isprintable()


@pytest.fixture(scope="module")
def concerning(tmp_path_factory):
    """Three radiographs: the second has words burned in, the third names its patient."""
    folder = tmp_path_factory.mktemp("concerning")
    content = DicomWriter(make_provenance(), DicomSection()).objects(make_pair(0, "chest_xray"))["image.dcm"]
    for number, (burned, removed) in enumerate([("NO", "YES"), ("YES", "YES"), ("NO", "NO")]):
        dataset = pydicom.dcmread(io.BytesIO(content))
        dataset.BurnedInAnnotation, dataset.PatientIdentityRemoved = burned, removed
        dataset.save_as(folder / f"{number}.dcm")
    return folder


def test_dicom_that_may_be_somebodys_is_warned_about_by_row_or_refused_or_allowed(given, concerning):
    burned, identified = check_headers(given("dicom", concerning))
    assert "1 of 3 images say that words are burned into them" in burned
    assert "row 1;" in burned
    assert "Patient Identity Removed is NO" in identified
    assert "row 2;" in identified
    assert check_headers(given("dicom", concerning, burned_in="allow")) == (identified,)
    assert check_headers(given("dicom", concerning, burned_in="allow", identified="allow")) == ()
    with pytest.raises(SpecError, match=r"inputs\.identified = 'error': 1 of 3 images .* row 2;.* Take them away"):
        check_headers(given("dicom", concerning, identified="error"))
    assert survey_inputs(given("dicom", concerning)).flagged == {"burned_in": (1,), "identified": (2,)}
    unasked = survey_inputs(given("dicom", concerning, burned_in="allow", identified="allow"))
    assert unasked.flagged == {"burned_in": (), "identified": ()}


@pytest.mark.parametrize("policy", ["error", "warn", "allow"])
def test_a_run_refuses_such_dicom_or_says_it_in_log_card_and_manifest(tmp_path, concerning, policy):
    inputs = {
        "source": "dicom",
        "path": str(concerning),
        "domain": "chest_xray",
        "burned_in": policy,
        "identified": policy,
    }
    job, told = toy_job(tmp_path, task="image_to_report", prompts=(), inputs=inputs), []
    out = tmp_path / "out"
    if policy == "error":
        with pytest.raises(SpecError, match=r"inputs\.burned_in = 'error'"):
            run_job(job, local=True, on_event=told.append, parts=PARTS)
        assert not out.exists()
        return
    result = run_job(job, local=True, on_event=told.append, parts=PARTS)
    lines = [event.message for event in told if event.message.startswith("warning: inputs: 1 of 3 images")]
    said = [line for line in result.warnings if line.startswith("1 given images say that")]
    assert len(lines) == len(said) == (2 if policy == "warn" else 0)
    assert ("given images say that words are burned in" in (out / "README.md").read_text()) == (policy == "warn")


def test_a_file_that_vanished_is_an_error_of_the_environment_and_costs_no_row(given, folder):
    job = given("dicom", folder)
    plan = make_plan(job)
    (folder / "0_CT_small").unlink()
    with pytest.raises(InputError, match=r"row 0 cannot be read .No such file or directory") as caught:
        load_inputs(job, plan.shard(0))
    assert is_environment(caught.value)


def test_reports_are_written_for_dicom_images_and_broken_ones_are_named(tmp_path, tiny_checkpoint):
    folder = tmp_path / "given"
    folder.mkdir()
    for index in range(3):
        pair = make_pair(index, "chest_xray")
        content = DicomWriter(make_provenance(), DicomSection(transfer_syntax="jpeg_ls_lossless")).objects(pair)
        (folder / f"{index}.dcm").write_bytes(content["image.dcm"])
    (folder / "3.dcm").write_bytes(content["report.dcm"])
    job = tiny_job(
        tmp_path / "out",
        tiny_checkpoint,
        task="image_to_report",
        prompts=None,
        inputs={"source": "dicom", "path": str(folder), "domain": "chest_xray"},
        compute={"max_quarantined": 1},
        filters=[{"name": "report_form"}, {"name": "image_stats"}],
    )
    result = run_here(job)
    assert (result.counts.pairs, result.counts.quarantined) == (4, 1)
    out = Path(job.output.dir)
    assert verify(out).problems == ()
    rows = list(open_dataset(out).rows())
    assert [row.pair_index for row in rows] == [0, 1, 2]
    for row in rows:
        image = pydicom.dcmread(out / row.dicom_path)
        assert image.Modality == "CR"
        assert image.DerivationDescription == "Resampled from an image given to the generator"
        # What the source says of itself is carried over: it was one of our own synthetic images.
        assert (image.BurnedInAnnotation, image.SyntheticData, image.PatientIdentityRemoved) == ("NO", "YES", "YES")
        assert len(image.SourceImageSequence) == 1
    rejected = [row for path in out.glob("shards/*/_rejected.parquet") for row in pq.read_table(path).to_pylist()]
    assert any("row 3 is a Basic Text SR Storage without pixels" in (row["error"] or "") for row in rejected)
