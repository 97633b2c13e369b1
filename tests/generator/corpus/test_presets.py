"""Every published layout is read from a miniature of it, and every trap of it is met with its words."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from medim_forge.generator.corpus.layout import load_preset, presets
from medim_forge.generator.corpus.reports import NAMES, NO_REPORT, NO_SECTION, UNREADABLE
from medim_forge.generator.corpus.screen import ANOTHER_VIEW, BURNED_IN, NOT_THERE
from medim_forge.generator.corpus.seen import Eye
from medim_forge.generator.corpus.survey import survey
from medim_forge.generator.errors import SpecError
from tests.doubles.corpora import corpus_of, reasons, rows_of

MIMIC = {"preset": "mimic_cxr", "images": "mimic-cxr-jpg", "reports": "mimic-cxr"}
CHEXPERT = {"preset": "chexpert_plus", "path": "chexpert_plus"}
PADCHEST = {"preset": "padchest", "path": "padchest", "images": "padchest/images"}
IU = {"preset": "iu_xray", "path": "iu_xray", "images": "iu_xray/images_normalized"}
PACS = {"preset": "pacs_csv", "images": "pacs/dicom", "table": "pacs/export.csv"}


@pytest.mark.parametrize("name", presets())
def test_a_preset_says_what_it_is_and_what_to_know(name):
    preset = load_preset(name, "preset")
    assert preset.title
    assert preset.places
    assert preset.notes


@pytest.mark.usefixtures("here")
def test_mimic_takes_one_frontal_image_a_study_and_findings_before_impressions():
    kept, out = rows_of({**MIMIC, "phi": {"action": "skip"}}, split={"by": "column"})
    assert reasons(out) == {ANOTHER_VIEW: 12, NOT_THERE: 1, NO_SECTION: 1, NO_REPORT: 1}
    assert [row.view for row in kept] == ["PA", "AP", "AP", "AP", "PA", "AP", "AP", "PA", "AP"]
    assert [row.split for row in kept][:3] == ["train", "validation", "validation"]
    assert kept[0].report == "Heart 0 is normal. There is no effusion since ___."
    assert kept[1].report == "Small left effusion."
    assert len({row.patient for row in kept}) == len(kept) == 9
    assert [row.removed for row in kept] == [True, False, *[True] * 7]


@pytest.mark.usefixtures("here")
def test_of_several_images_of_a_study_the_preferred_or_all_with_one_weight_or_all_are_taken():
    everything = {**MIMIC, "views": []}
    weights = {
        way: [(row.view, row.weight) for row in rows_of({**everything, "per_study": way})[0]][:2]
        for way in ("one", "weighted", "all")
    }
    assert weights["one"] == [("LATERAL", 1.0), ("LATERAL", 1.0)]
    assert weights["weighted"] == [("LATERAL", 0.5), ("PA", 0.5)]
    assert weights["all"] == [("LATERAL", 1.0), ("PA", 1.0)]
    preferred = rows_of({**everything, "views": ["AP", "LATERAL"], "per_study": "one"})[0]
    assert [row.view for row in preferred][:3] == ["LATERAL", "AP", "AP"]


@pytest.mark.usefixtures("here")
def test_the_reports_of_mimic_lie_in_another_release_and_a_source_without_it_is_told_so():
    with pytest.raises(SpecError, match=r"reports is missing; it is the folder of MIMIC-CXR, the other release"):
        corpus_of({"preset": "mimic_cxr", "images": "mimic-cxr-jpg"})
    with pytest.raises(SpecError, match=r"there is no mimic-cxr-2\.\*-metadata\.csv\* in mimic-cxr"):
        corpus_of({"preset": "mimic_cxr", "images": "mimic-cxr", "reports": "mimic-cxr"})


@pytest.mark.usefixtures("here")
def test_chexpert_plus_has_findings_of_a_quarter_so_that_impressions_stand_in_and_suffixes_of_either_release():
    kept, out = rows_of(CHEXPERT, split={"by": "column"})
    assert not out
    assert [row.report for row in kept][:2] == ["Clear lungs, heart 0 normal.", "No acute change, case 1."]
    assert [row.view for row in kept][:2] == ["Frontal", "AP"]
    assert [row.split for row in kept].count("validation") == 1
    assert kept[0].picture.pixels().shape == (28, 24)
    found, left = rows_of({**CHEXPERT, "report": {"section": "findings"}})
    assert (len(found), reasons(left)) == (3, {NO_SECTION: 9})
    assert any("26.6 %" in note for note in corpus_of(CHEXPERT).said(0))


@pytest.mark.usefixtures("here")
def test_padchest_is_windowed_by_percentiles_and_says_so():
    corpus = corpus_of(PADCHEST)
    found = survey(corpus, Eye(32)).sources["padchest"]
    assert (found.rows, sum(found.kept.values()), found.deep) == (12, 7, 7)
    assert found.left_out == {ANOTHER_VIEW: 4, NO_REPORT: 1}
    assert any("windowed by its own percentiles" in note for note in corpus.said(0))
    row = next(row for row in corpus.kept())
    pixels = row.picture.pixels()
    # One hot pixel of 65535 does not make the others dark.
    assert pixels.dtype == np.uint8
    assert np.median(pixels) > 60


@pytest.mark.usefixtures("here")
def test_the_patient_of_indiana_is_its_study_and_removed_words_are_kept_left_out_or_skipped():
    kept, out = rows_of(IU)
    assert reasons(out) == {ANOTHER_VIEW: 12}
    assert kept[0].report == "Heart 1 is normal. No acute pulmonary XXXX."
    assert sum(row.removed for row in kept) == 11
    without = rows_of(IU, text={"removed": "sentence"})[0]
    assert {row.report for row in without} == {f"Heart {uid} is normal." for uid in range(1, 13)}
    assert len(rows_of(IU, text={"removed": "skip"})[0]) == 1
    assert any("there is no patient id" in note for note in corpus_of(IU).said(0))


@pytest.mark.usefixtures("here")
def test_patches_of_one_tcga_patient_stand_on_one_side():
    pathgen = {"preset": "pathgen", "path": "pathgen", "slides": "pathgen/tcga", "domain": "pathology"}
    kept, out = rows_of(pathgen, split={"validation": 0.3, "test": 0.3})
    assert not out
    sides = {row.patient: {other.split for other in kept if other.patient == row.patient} for row in kept}
    assert len(sides) == 12
    assert all(len(splits) == 1 for splits in sides.values())
    assert len({row.split for row in kept}) == 3
    patches = {**pathgen, "preset": None, "kind": "images", "path": "pathgen/patches", "slides": None}
    own = {**patches, "columns": {"patient": "stem"}, "patient_pattern": "^(TCGA-[A-Z0-9]{2}-[A-Z0-9]{4})"}
    cut = rows_of({key: value for key, value in own.items() if value is not None})[0]
    assert {row.patient for row in cut} == set(sides)


@pytest.mark.usefixtures("here")
def test_whole_slides_need_openslide_and_the_error_says_what_else_would_do():
    try:
        import openslide  # noqa: F401
    except ImportError:
        corpus = corpus_of({"preset": "pathgen", "path": "pathgen", "slides": "pathgen/tcga", "domain": "pathology"})
        with pytest.raises(SpecError, match="pip install openslide-python openslide-bin; or cut the patches"):
            survey(corpus, Eye(32))


@pytest.mark.usefixtures("here")
def test_a_pacs_export_meets_images_by_accession_number_and_leaves_out_burned_in_words_and_names():
    kept, out = rows_of({**PACS, "phi": {"action": "skip"}})
    assert reasons(out) == {BURNED_IN: 1, ANOTHER_VIEW: 1, NAMES: 1, NO_REPORT: 1}
    assert kept[0].report == "Herz 0 normal groß. Kein Erguss."
    assert kept[0].picture.pixels().shape == (28, 24)
    named = next(row for row in out if row.reason == NAMES)
    assert dict(named.phi) == {"DICOM value": 1}
    masked = rows_of({**PACS, "phi": {"action": "mask"}})[0]
    assert [row.report for row in masked if row.phi] == ["Herz 6 normal groß. Kein Erguss. Frau ___ wurde informiert."]


@pytest.mark.usefixtures("here")
def test_structured_reports_are_flattened_by_their_headings_and_the_last_one_counts():
    kept, out = rows_of({"preset": "dicom_sr", "path": "sr"})
    assert reasons(out) == {UNREADABLE: 1, NO_REPORT: 1}
    assert [row.report for row in kept][:4] == [
        *(f"Heart {patient} is normal. No effusion." for patient in range(3)),
        "Heart 3 is enlarged. Cardiomegaly.",
    ]
    said = corpus_of({"preset": "dicom_sr", "path": "sr"}).said(0)
    assert "1 encapsulated PDF, which are no text" in said


def test_a_folder_whose_reports_are_pdf_alone_is_refused(holdings, tmp_path):
    shutil.copytree(holdings / "sr" / "p08", tmp_path / "p08")
    with pytest.raises(SpecError, match="its 1 encapsulated PDF are pictures of pages and no text"):
        corpus_of({"preset": "dicom_sr", "path": str(tmp_path)})


def test_a_preset_of_ones_own_is_a_copy_with_other_names(holdings, tmp_path):
    mine = presets()["chexpert_plus"].read_text().replace("df_chexpert_plus_*.csv*", "table.csv")
    (tmp_path / "ours.yaml").write_text(mine)
    shutil.copytree(holdings / "chexpert_plus", tmp_path / "data")
    (tmp_path / "data" / "df_chexpert_plus_240401.csv").rename(tmp_path / "data" / "table.csv")
    source = {"preset": str(tmp_path / "ours.yaml"), "name": "ours", "path": str(tmp_path / "data")}
    assert len(rows_of(source)[0]) == 12
    (tmp_path / "ours.yaml").write_text(mine.replace("kind: table", "kind: tabel"))
    with pytest.raises(SpecError, match=r"kind = 'tabel' is not known \(did you mean table\?\)"):
        corpus_of(source)
    with pytest.raises(SpecError, match=r"is neither a preset nor a file \(did you mean mimic_cxr\?\)"):
        corpus_of({**MIMIC, "preset": "mimic_cxt"})
