"""Whole jobs with every form of DICOM output: the same bytes each time, verified, reproduced, and damage is seen."""

from __future__ import annotations

import io
from pathlib import Path

import pydicom
import pytest

from medim_forge.generator.audit.reproduce import reproduce
from medim_forge.generator.audit.verify import inspect, verify
from medim_forge.generator.dataset.reader import open_dataset
from medim_forge.generator.errors import VerifyError
from medim_forge.generator.generate.job import run_job
from medim_forge.generator.jobspec.generate import GenerateSpec
from medim_forge.generator.writers.dicom.archive import read_object
from tests.doubles.object_server import keys_below
from tests.doubles.pairs import finish_tiny, make_spec
from tests.doubles.toy_replica import PARTS, content_of, toy_job

FORMS = [
    {"transfer_syntax": "jpeg_ls_lossless"},
    {"transfer_syntax": "jpeg_ls_lossless", "archive": "zip"},
    {"archive": "tar", "imager_pixel_spacing_mm": 0.5, "microns_per_pixel": 0.5},
]


def job(folder: Path, dicom: dict[str, object]) -> GenerateSpec:
    # The checkpoint's path is part of the digest.
    return toy_job(folder.parent, output={"dir": str(folder), "dicom": dicom})


def run(spec: GenerateSpec) -> Path:
    run_job(spec, local=True, on_event=lambda event: None, parts=PARTS)
    return Path(spec.output.dir)


@pytest.mark.parametrize("form", FORMS, ids=str)
def test_a_job_makes_the_same_bytes_twice_which_verify_and_reproduce_accept(tmp_path, form):
    one, two = run(job(tmp_path / "one", form)), run(job(tmp_path / "two", form))
    first = content_of(one)
    assert first == content_of(two)
    objects = [path for path in first if "dicom" in path]
    rows = list(open_dataset(one).rows())
    assert len(rows) >= 4
    if "archive" in form:
        assert {Path(path).name for path in objects} == {f"dicom.{form['archive']}"}
    assert verify(one).dicom_objects == 2 * len(rows)
    for row in rows:
        assert row.dicom_path is not None
        image = pydicom.dcmread(io.BytesIO(read_object(one, row.dicom_path)))
        assert image.PatientID == f"SYN-{row.pair_id}"
    if "archive" in form:
        assert f"shards/<shard>/dicom.{form['archive']}/<pair_id>/image.dcm" in (one / "README.md").read_text()
    again = reproduce(one, rows[0].pair_id, PARTS)
    assert again.files == (rows[0].dicom_path, rows[0].dicom_path.replace("image.dcm", "report.dcm"))


def test_a_dataset_in_jpeg_2000_is_the_same_bytes_twice_and_verified(tmp_path):
    # The toy's images are too small for it.
    spec = make_spec(output={"dir": "out/x", "dicom": {"transfer_syntax": "jpeg_2000_lossless", "archive": "zip"}})
    for name in ("one", "two"):
        finish_tiny(tmp_path / name, spec)
        assert verify(tmp_path / name).problems == ()
    assert content_of(tmp_path / "one") == content_of(tmp_path / "two")


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_a_damaged_archive_is_found_by_verify_and_by_reproduce(tmp_path, kind):
    out = run(job(tmp_path / "out", {"archive": kind}))
    row = next(iter(open_dataset(out).rows()))
    archive = out / "shards" / f"{row.shard:06d}" / f"dicom.{kind}"
    content = bytearray(archive.read_bytes())
    at = (
        content.index(b"Synthetic chest radiograph")
        if row.domain == "chest_xray"
        else content.index(b"Synthetic histo")
    )
    content[at : at + 3] = b"XYZ"
    archive.write_bytes(content)
    problems = inspect(out).problems
    assert any(f"{archive.name}: is not the file that was written" in one for one in problems)
    with pytest.raises(VerifyError, match=r"image\.dcm differs"):
        reproduce(out, row.pair_id, PARTS)
    archive.unlink()
    assert any("DICOM cannot be read (InputError" in one for one in inspect(out).problems)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_archives_in_an_object_store_are_verified_and_reproduced(tmp_path, url, kind):
    spec = toy_job(tmp_path, output={"dir": url, "dicom": {"archive": kind}})
    run_job(spec, local=True, on_event=lambda event: None, parts=PARTS)
    rows = list(open_dataset(url).rows())
    assert any(key.endswith(f"/dicom.{kind}") for key in keys_below(url))
    assert not any(key.endswith(".dcm") for key in keys_below(url))
    report = verify(url)
    assert (report.problems, report.dicom_objects) == ((), 2 * len(rows))
    assert len(reproduce(url, rows[-1].pair_id, PARTS).files) == 2


def test_an_object_of_another_syntax_or_class_than_the_job_says_is_found(tmp_path):
    plain = run(job(tmp_path / "plain", {}))
    for section, words in (
        ({"transfer_syntax": "jpeg_ls_lossless"}, "transfer syntax is 1.2.840.10008.1.2.1, not"),
        ({"sop_class": "secondary_capture"}, "SOP class is"),
        ({"archive": "zip"}, "dicom_path is"),
    ):
        text = (plain / "spec.yaml").read_text()
        changed = text
        for key, value in section.items():
            line = next(one for one in text.splitlines() if one.strip().startswith(f"{key}:"))
            changed = text.replace(line, f"{line.partition(':')[0]}: {value}")
        (plain / "spec.yaml").write_text(changed)
        assert any(words in one for one in inspect(plain).problems)
        (plain / "spec.yaml").write_text(text)
    assert inspect(plain).problems == ()
