"""A domain is a row of one table: no other file names one, and a made-up row goes all the way to `data/`."""

from __future__ import annotations

import ast
import io
import re
from collections.abc import Iterator
from pathlib import Path

import pydicom
import pytest
from pydicom.uid import (
    BasicTextSRStorage,
    DigitalXRayImageStorageForPresentation,
    SecondaryCaptureImageStorage,
    VLWholeSlideMicroscopyImageStorage,
)

from medim_forge.generator import phantoms
from medim_forge.generator.audit.reproduce import reproduce
from medim_forge.generator.audit.verify import verify
from medim_forge.generator.dataset.reader import Row, open_dataset
from medim_forge.generator.domains import DOMAINS, DicomFacts, DomainFacts
from medim_forge.generator.errors import SpecError
from medim_forge.generator.generate.job import run_job
from medim_forge.generator.jobspec import parse_spec
from medim_forge.generator.jobspec.document import read_yaml
from medim_forge.generator.phantoms.grammar import Grammar, Keyword, Sentence
from medim_forge.generator.writers.dicom.archive import beside, read_object
from tests.doubles.toy_replica import PARTS, toy_job

ROOT = Path(__file__).resolve().parents[2]
HOMES = ("generator/domains.py", "generator/phantoms/")
FUNDUS = DomainFacts(
    title="Fundus photographs",
    tags=("ophthalmology",),
    colour=True,
    opening="The image is a photograph of the fundus.",
    images_by="embedding",
    dicom=DicomFacts(study="fundus photograph", report_title=("18748-4", "LN", "Diagnostic Imaging Report")),
)
HAND = DomainFacts(
    title="Hand radiographs",
    colour=False,
    dicom=DicomFacts(
        family="radiograph",
        study="hand radiograph",
        report_title=("18748-4", "LN", "Diagnostic Imaging Report"),
        report_template="2000",
        body_part="HAND",
        region=("85562004", "SCT", "Hand"),
        scale_key="imager_pixel_spacing_mm",
    ),
)
CYTOLOGY = DomainFacts(
    title="Smears",
    colour=True,
    stained=True,
    dicom=DicomFacts(
        family="slide",
        study="smear",
        report_title=("11526-1", "LN", "Pathology study"),
        scale_key="microns_per_pixel",
    ),
)
ONE = [{"domain": "fundus", "pairs": 1}]
HAND_GRAMMAR = Grammar(
    domain="hand_xray",
    findings=("fracture_of_scaphoid",),
    slots=("bones", "heading", "item"),
    required=frozenset({"bones", "heading"}),
    sentences=(
        Sentence("Upright PA view, and the scaphoid is broken.", "bones", "body", ("fracture_of_scaphoid",)),
        Sentence("The bones are whole.", "bones", "body", denies=frozenset({"fracture_of_scaphoid"})),
        Sentence("Impression:", "heading", "heading"),
        Sentence("Broken scaphoid.", "item", "impression", ("fracture_of_scaphoid",)),
    ),
    keywords=(Keyword("fracture_of_scaphoid", r"\bscaphoid\b"),),
)


def named_domains(file: Path) -> Iterator[str]:
    """Where code, docstrings apart, names a domain: as a text, a variable, a parameter, an attribute or a key."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef)
    docstrings = {id(node.body[0].value) for node in ast.walk(tree) if isinstance(node, documented) and is_text(node)}
    for node in ast.walk(tree):
        said = {
            ast.Constant: lambda found: found.value if id(found) not in docstrings else None,
            ast.Name: lambda found: found.id,
            ast.Attribute: lambda found: found.attr,
            ast.arg: lambda found: found.arg,
            ast.keyword: lambda found: found.arg,
        }.get(type(node), lambda _: None)(node)
        if said in DOMAINS or (isinstance(said, str) and "chest_xray" in said):
            yield f"{file.relative_to(ROOT)}:{node.lineno}: {said}"


def is_text(node: ast.Module | ast.ClassDef | ast.FunctionDef) -> bool:
    return bool(node.body) and isinstance(node.body[0], ast.Expr) and isinstance(node.body[0].value, ast.Constant)


def test_no_file_but_the_table_and_the_phantoms_names_a_domain():
    files = sorted((ROOT / "generator").rglob("*.py"))
    others = [file for file in files if not file.relative_to(ROOT).as_posix().startswith(HOMES)]
    assert [place for file in others for place in named_domains(file)] == []
    templates = sorted((ROOT / "generator" / "templates").glob("*.j2"))
    assert templates
    assert not [file for file in templates if re.search(r"""["'](chest_xray|pathology)["']""", file.read_text())]


def test_a_domain_that_is_named_is_noticed():
    assert len(list(named_domains(ROOT / "generator" / "domains.py"))) >= len(DOMAINS)


@pytest.fixture
def third(monkeypatch):
    """The table has three more rows; one of them has a grammar, none has phantoms."""
    for name, row in {"fundus": FUNDUS, "hand_xray": HAND, "cytology": CYTOLOGY}.items():
        monkeypatch.setitem(DOMAINS, name, row)
    monkeypatch.setitem(phantoms.GRAMMARS, "hand_xray", HAND_GRAMMAR)
    monkeypatch.setitem(phantoms.FINDINGS, "hand_xray", HAND_GRAMMAR.findings)


def made(folder: Path, **changes: object) -> list[Row]:
    """The rows of a job's `data/`, read back; the dataset is verified, and no row was quarantined."""
    spec = toy_job(folder, filters=[{"name": "image_stats", "drop_below": 0.5}], **changes)
    result = run_job(spec, local=True, on_event=lambda event: None, parts=PARTS)
    out = Path(spec.output.dir)
    assert result.counts.quarantined == 0
    assert verify(out).problems == ()
    return list(open_dataset(out).rows())


def dicom(folder: Path, row: Row) -> tuple[pydicom.Dataset, pydicom.Dataset]:
    assert row.dicom_path is not None
    paths = (row.dicom_path, beside(row.dicom_path, "report.dcm"))
    image, report = (pydicom.dcmread(io.BytesIO(read_object(folder / "out", path))) for path in paths)
    return image, report


def test_a_row_alone_makes_a_domain(tmp_path, third):
    prompts = [{"domain": "fundus", "pairs": 3}, {"domain": "chest_xray", "pairs": 2}]
    rows = made(tmp_path, prompts=prompts, output={"dir": str(tmp_path / "out"), "dicom": {}})
    assert sorted(row.domain for row in rows) == ["chest_xray"] * 2 + ["fundus"] * 3
    row = next(row for row in rows if row.domain == "fundus")
    assert len(reproduce(tmp_path / "out", row.pair_id, PARTS).files) == 2
    assert row.prompt == FUNDUS.opening
    assert row.pixels().shape == (16, 16, 3)
    assert row.findings_report == ()
    unmeasured = ("label_edema", "labels", "chroma", "tissue")
    assert [row.scores[name] for name in unmeasured] == [None] * 4
    assert row.scores["contradictions"] == 0
    image, report = dicom(tmp_path, row)
    assert (image.SOPClassUID, image.Modality) == (SecondaryCaptureImageStorage, "OT")
    assert (image.PhotometricInterpretation, image.ColorSpace) == ("RGB", "SRGB")
    assert "BodyPartExamined" not in image
    assert "SpecimenDescriptionSequence" not in image
    assert report.SOPClassUID == BasicTextSRStorage
    assert image.StudyDescription == report.StudyDescription == f"Synthetic {FUNDUS.dicom.study}"
    card = (tmp_path / "out" / "README.md").read_text()
    assert "- radiology\n- ophthalmology\n" in card
    assert (tmp_path / "out" / "contact_sheet.png").exists()


def test_a_row_with_a_grammar_makes_a_domain_with_findings(tmp_path, third):
    prompts = [{"domain": "hand_xray", "findings": ["fracture_of_scaphoid"], "pairs": 4}]
    quotas = [{"finding": "fracture_of_scaphoid", "kept": 4}, {"domain": "hand_xray", "kept": 4}]
    rows = made(
        tmp_path,
        prompts=prompts,
        balance={"budget": 8, "quotas": quotas},
        output={"dir": str(tmp_path / "out"), "dicom": {"imager_pixel_spacing_mm": 0.2}},
    )
    assert [row.findings_report for row in rows] == [("fracture_of_scaphoid",)] * 4
    assert {row.findings_asked for row in rows} == {("fracture_of_scaphoid",)}
    image, report = dicom(tmp_path, rows[0])
    assert (image.SOPClassUID, image.BodyPartExamined) == (DigitalXRayImageStorageForPresentation, "HAND")
    assert (image.ViewPosition, list(image.ImagerPixelSpacing)) == ("PA", [0.2, 0.2])
    assert image.AnatomicRegionSequence[0].CodeMeaning == "Hand"
    assert report.ConceptNameCodeSequence[0].CodeValue == "18748-4"


def test_a_slide_of_another_domain_is_a_slide(tmp_path, third):
    prompts = [{"domain": "cytology", "text": "A smear of cells.", "pairs": 2}]
    rows = made(tmp_path, prompts=prompts, output={"dir": str(tmp_path / "out"), "dicom": {"microns_per_pixel": 0.25}})
    assert [row.prompt for row in rows] == ["A smear of cells."] * 2
    assert rows[0].scores["tissue"] is not None
    image, _ = dicom(tmp_path, rows[0])
    assert image.SOPClassUID == VLWholeSlideMicroscopyImageStorage
    assert image.SpecimenDescriptionSequence[0].SpecimenShortDescription == "Synthetic, no tissue"


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        (
            {"model": {"checkpoint": "phantom"}, "prompts": [{"domain": "fundos", "pairs": 1}]},
            r"prompts\[0\].domain = 'fundos' is not known \(did you mean fundus\?\)"),
        ({"prompts": [{"domain": 7, "pairs": 1}]}, r"prompts\[0\].domain = 7: give text"),
        ({"prompts": ONE, "output": {"dir": "x", "dicom": {"microns_per_pixel": 1.0}}},
         "output.dicom.microns_per_pixel is of pathology or cytology images, and this job has none"),
        ({"task": "report_to_image", "prompts": (), "inputs": {"source": "phantoms", "domain": "fundus", "pairs": 1}},
         "inputs.domain = 'fundus': has no phantoms; they are drawn of chest_xray and pathology"),
    ],
)  # fmt: skip
def test_a_job_file_is_told_which_domains_there_are(tmp_path, third, changes, match):
    with pytest.raises(SpecError, match=match):
        toy_job(tmp_path, **changes)


def test_a_name_that_no_table_knows_is_made_filtered_and_written(tmp_path):
    prompts = [{"domain": "our_mammograms", "text": "Both breasts.", "pairs": 3}, {"domain": "pathology", "pairs": 1}]
    rows = made(tmp_path, prompts=prompts, output={"dir": str(tmp_path / "out"), "dicom": {}})
    assert sorted(row.domain for row in rows) == ["our_mammograms"] * 3 + ["pathology"]
    row = next(row for row in rows if row.domain == "our_mammograms")
    assert row.prompt == "Both breasts."
    assert row.findings_report == ()
    assert row.scores["chroma"] == 0
    image, report = dicom(tmp_path, row)
    assert (image.SOPClassUID, image.Modality) == (SecondaryCaptureImageStorage, "OT")
    assert (image.PhotometricInterpretation, image.SamplesPerPixel) == ("MONOCHROME2", 1)
    assert image.StudyDescription == report.StudyDescription == "Synthetic our mammograms"


@pytest.mark.parametrize("name", ["Chest_xray", "chest-xray", "1st", "a/b", "", "x" * 64, "mammo\x1b[31m"])
def test_what_cannot_be_a_name_is_refused(tmp_path, name):
    with pytest.raises(SpecError, match=r"prompts\[0\].domain = .*is no name of a domain"):
        toy_job(tmp_path, prompts=[{"domain": name, "pairs": 1}])


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"prompts": [{"domain": "fundus", "findings": ["drusen"], "pairs": 1}]}, "no grammar; ask in words"),
        ({"prompts": [{"domain": "hand_xray", "findings": ["nodule"], "pairs": 1}]}, "Known: fracture_of_scaphoid."),
        ({"prompts": ONE, "balance": {"budget": 1, "quotas": [{"label": "edema", "kept": 1}]}}, "pairs of fundus"),
        ({"prompts": ONE, "balance": {"budget": 1, "quotas": [{"finding": "nodule", "kept": 1}]}},
         "'nodule' is not a finding of fundus"),
    ],
)  # fmt: skip
def test_what_a_domain_lacks_cannot_be_asked_for(tmp_path, third, changes, match):
    with pytest.raises(SpecError, match=match):
        run_job(toy_job(tmp_path, **changes), local=True, on_event=lambda event: None, parts=PARTS)


@pytest.mark.parametrize(
    ("images", "match"),
    [
        ({"chest_xray": 16}, "tokenizer.images: pathology is missing; add it"),
        (
            {"chest_xray": 16, "pathology": 16, "fundus": 16},
            "tokenizer.images: fundus is not a known key. Known: ",
        ),
        ({"chest_xray": 16, "pathology": 0}, "tokenizer.images.pathology = 0: give at least 1"),
    ],
)
def test_a_training_job_has_a_number_for_every_domain_that_is_drawn(repository, third, images, match):
    job = read_yaml(repository / "jobs" / "train_phantom.yaml")
    job["tokenizer"]["images"] = images
    with pytest.raises(SpecError, match=match):
        parse_spec(job, source="train.yaml")
