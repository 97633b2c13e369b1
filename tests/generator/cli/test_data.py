"""`medim data` fits a terminal, writes nothing but its sheet, and nothing of a person is in what it says."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import yaml
from PIL import Image

from medim_forge.generator.cli import commands as cli
from tests.doubles.holdings import dicom_sr, folder_of_images, make, mimic_cxr, pacs_csv, padchest, tables

TERMS = {"domain": "chest_xray", "terms": ["Internal, IRB 2026-117"], "deidentified": False}
PACS = {"preset": "pacs_csv", "images": "pacs/dicom", "table": "pacs/export.csv", **TERMS}


@pytest.fixture
def holding(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return make(tmp_path, (pacs_csv, dicom_sr, folder_of_images, mimic_cxr, padchest, tables))


@pytest.fixture
def medim(holding, monkeypatch, capsys):
    """Runs `medim data` on sources; exit code, output, errors."""

    def run(*sources, options=(), **rules):
        job = {"kind": "data", "data": {"sources": list(sources), **rules}, "model": {"resolution": 32}}
        (holding / "job.yaml").write_text(yaml.safe_dump(job))
        before = {path: path.stat().st_mtime_ns for path in holding.rglob("*")}
        monkeypatch.setattr(sys, "argv", ["medim", "data", "job.yaml", *options])
        with pytest.raises(SystemExit) as leaving:
            cli.main()
        said = capsys.readouterr()
        new = {path for path in holding.rglob("*") if path.stat().st_mtime_ns != before.get(path)} - {holding}
        assert new <= {holding / "sheet.png"}
        return leaving.value.code, said.out, said.err

    return run


def test_the_tables_fit_a_terminal_and_account_for_every_row(medim):
    mimic = {"preset": "mimic_cxr", "images": "mimic-cxr-jpg", "reports": "mimic-cxr", **TERMS}
    chest = {"preset": "padchest", "path": "padchest", "images": "padchest/images", **TERMS}
    code, out, err = medim(mimic, chest, {"kind": "phantoms", "domain": "pathology", "pairs": 2})
    assert (code, err) == (0, "")
    assert [line for line in out.splitlines() if len(line) > 80] == []
    for words in (
        "rows          24",
        "is of a view that is not asked for",
        "windowed      7 images of more than 8 bits",
        "terms         Internal, IRB 2026-117",
        "you state     they are not de-identified",
        "removed       8 reports have marks in place of removed words",
        "Reports lie in another release",
        "by patient: validation 0.05, test 0.05",
    ):
        assert words in out, words
    assert "Chest radiographs       16 pairs, 88.9% by their weights" in out


def test_a_sheet_shows_pairs_to_its_owner_alone(medim, holding):
    code, out, _ = medim({**PACS, "phi": {"action": "mask"}}, options=("--sheet", "sheet.png"))
    assert code == 0
    assert "9 pairs, readable by you alone; nothing else was written" in out
    assert (holding / "sheet.png").stat().st_mode & 0o777 == 0o600
    with Image.open(holding / "sheet.png") as sheet:
        assert min(sheet.size) > 300
        assert np.asarray(sheet).std() > 10
        assert "XML:com.adobe.xmp" not in sheet.info  # nothing on it was generated


def test_what_the_job_must_not_go_on_with_is_said_after_the_tables_with_how_to_mend_it(medim):
    code, out, err = medim(PACS)
    assert code == 1
    assert "names?        1 reports: DICOM value 1" in out
    assert "1 rows: its report has words that look as if they named a person" in err
    assert "then take phi: {action: skip} or {action: mask}" in err


@pytest.mark.parametrize("action", ["error", "skip", "mask"])
def test_nothing_of_a_person_is_in_output_errors_or_sheet_names(medim, action, holding):
    (holding / "folder" / "patient03" / "scan.png").write_bytes(b"Marker")
    (holding / "folder" / "patient04" / "scan.txt").write_text("Seen by Dr. Marker, Marker@x.org, on 2026-01-02.")
    folder = {"kind": "images", "path": "folder", "columns": {"patient": "folder"}, **TERMS, "phi": {"action": action}}
    structured = {"preset": "dicom_sr", "path": "sr", **TERMS, "phi": {"action": action}}
    _, out, err = medim(folder, structured, {**PACS, "phi": {"action": action}}, options=("--sheet", "sheet.png"))
    assert "rows          12" in out
    for secret in ("Marker", "patient0", "P006", "Jane", "19500203", "1.2.3.", "Heart", "Herz", "scan"):
        assert secret not in out + err, secret


@pytest.mark.parametrize("options", [(), ("--sheet", "nowhere/sheet.png")])
def test_bad_input_is_one_line(medim, options):
    source = {"kind": "images", "path": "folder" if options else "nowhere", "patients": "unknown", **TERMS}
    code, _, err = medim(source, options=options)
    assert code == 1
    assert err.startswith("medim: ")
    assert len(err.splitlines()) == 1


def test_other_commands_say_that_such_a_job_makes_nothing(holding, monkeypatch, capsys):
    job = {"kind": "data", "name": "x", "data": {"sources": [{"kind": "phantoms", "domain": "chest_xray", "pairs": 1}]}}
    (holding / "job.yaml").write_text(yaml.safe_dump(job))
    monkeypatch.setattr(sys, "argv", ["medim", "run", "job.yaml"])
    with pytest.raises(SystemExit):
        cli.main()
    assert "kind: data makes nothing; `medim data` looks at its pairs" in capsys.readouterr().err
