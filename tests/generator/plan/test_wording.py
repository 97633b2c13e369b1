"""Prompts, openings and given reports are compared with the checkpoint before anything runs."""

from __future__ import annotations

import json
import shutil

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from medim_forge.generator.errors import SpecError
from medim_forge.generator.phantoms import draw
from medim_forge.generator.plan.wording import check_words
from medim_forge.model.folders import EMBEDDED
from tests.doubles.pairs import make_spec


def spec_of(**changes):
    return make_spec(model={"checkpoint": "phantom"}, **changes)


def given(tmp_path, reports, **changes):
    pq.write_table(pa.table({"report": reports}), tmp_path / "reports.parquet")
    inputs = {"source": "parquet", "path": str(tmp_path / "reports.parquet"), "domain": "chest_xray"}
    return spec_of(task="report_to_image", inputs=inputs, prompts=[], **changes)


GOOD = [draw("chest_xray", seed).report for seed in range(3)]
LONG = "Zq " * 40 + "end."


@pytest.mark.parametrize(
    "text", ["Chest  x.", " Chest x.", "Chest x. ", "Chest\tx.\n", "Chest\u00a0\u2003x.", "Chest x."]
)
def test_blanks_of_a_prompt_are_single_ones(text):
    spec = spec_of(prompts=[{"domain": "chest_xray", "text": text, "pairs": 1}])
    assert spec.prompts[0].text == "Chest x."
    assert check_words(spec) == ()


def test_a_prompt_with_unknown_characters_is_refused_with_its_place():
    good = {"domain": "chest_xray", "pairs": 1}
    with pytest.raises(SpecError, match=r"prompts\[1\]\.text: .*does not know: \['é', '→'\]"):
        check_words(spec_of(prompts=[good, {**good, "text": "Cardiomégalie → no."}]))
    with pytest.raises(SpecError, match=r"prompts\[0\]\.text: prompt of \d+ ids does not fit the 24 report slots"):
        check_words(spec_of(prompts=[{**good, "text": LONG}]))


def test_an_opening_for_given_images_is_checked_as_a_prompt_is():
    inputs = {"source": "phantoms", "domain": "chest_xray", "pairs": 2}
    assert check_words(spec_of(task="image_to_report", prompts=[], inputs={**inputs, "opening": " "})) == ()
    with pytest.raises(SpecError, match=r"inputs\.opening: .*does not know: \['é'\]"):
        check_words(spec_of(task="image_to_report", prompts=[], inputs={**inputs, "opening": "é"}))


def test_a_domain_that_the_checkpoint_lacks_is_refused(tmp_path):
    shutil.copytree(EMBEDDED["phantom"], tmp_path / "half")
    config = json.loads((tmp_path / "half" / "config.json").read_text())
    config["layout"]["codebooks"] = config["layout"]["codebooks"][:1]
    config["image_tokenizers"] = config["image_tokenizers"][:1]
    (tmp_path / "half" / "config.json").write_text(json.dumps(config))
    spec = make_spec(model={"checkpoint": str(tmp_path / "half")}, prompts=[{"domain": "pathology", "pairs": 1}])
    with pytest.raises(SpecError, match=r"prompts\[0\]\.domain: domain 'pathology' has no codebook"):
        check_words(spec)


def test_given_reports_that_fit_need_no_warning(tmp_path):
    assert check_words(given(tmp_path, GOOD)) == ()


def test_some_given_reports_that_do_not_fit_are_counted_and_named(tmp_path):
    long, strange, empty = check_words(given(tmp_path, [*GOOD, LONG, "Größe\nnormal.", None, LONG * 2]))
    assert "2 of 7 reports do not fit 24 slots; longest" in long
    assert ", row 6 (rows 3, 6)" in long
    assert r"1 of 7 reports have characters that the tokenizer lacks: ['\n', 'ß', 'ö'] (row 4)" in strange
    assert "1 of 7 rows hold no report that can be read (row 5)" in empty


def test_given_reports_none_of_which_fits_are_an_error(tmp_path):
    with pytest.raises(SpecError, match=r"no row can be used: 2 of 3 reports do not fit .*; 1 of 3 reports have char"):
        check_words(given(tmp_path, [LONG, LONG, "ü"]))
