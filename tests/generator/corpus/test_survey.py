"""All is read: images that do not decode, copies on two sides, deep images, people; a marker is in no figure."""

from __future__ import annotations

import shutil

import pytest
from PIL import Image

from medim_forge.generator.corpus.record import HoldingError
from medim_forge.generator.corpus.seen import Eye
from medim_forge.generator.corpus.survey import NOT_AN_IMAGE, survey
from medim_forge.generator.jobspec.data_job import SeenSection
from tests.doubles.corpora import corpus_of
from tests.doubles.holdings import folder_of_images

EYE = Eye(32)


@pytest.fixture
def folder(tmp_path):
    folder_of_images(tmp_path)
    return tmp_path / "folder"


def survey_of(folder, eye=EYE, **rules):
    return survey(corpus_of({"kind": "images", "path": str(folder), "columns": {"patient": "folder"}}, **rules), eye)


def test_people_and_pairs_are_counted_by_side(folder):
    found = survey_of(folder, split={"validation": 0.2, "test": 0.2})
    census = found.sources["images"]
    assert (census.rows, sum(census.kept.values()), found.stops) == (12, 12, [])
    assert sum(patients for patients, _ in found.people.values()) == 12
    assert sum(studies for _, studies in found.people.values()) == 12
    assert {split: patients for split, (patients, _) in found.people.items()} == {
        split: census.kept[split] for split in found.people
    }
    assert (found.by_domain, found.weights) == ({"chest_xray": 12}, {"chest_xray": 12.0})
    assert len(found.shown) == 12


def test_an_image_that_does_not_decode_is_left_out_and_named_by_its_number(folder):
    (folder / "patient03" / "scan.png").write_bytes(b"\x89PNG but not really")
    census = survey_of(folder).sources["images"]
    assert census.left_out == {NOT_AN_IMAGE: 1}
    assert census.named == {NOT_AN_IMAGE: [3]}


def test_a_file_that_the_system_does_not_give_stops_instead(folder, monkeypatch):
    from medim_forge.generator.corpus import pictures

    def away(path):
        raise OSError(116, "Stale file handle", str(path))

    monkeypatch.setattr(pictures, "read_file", away)
    with pytest.raises(
        HoldingError, match=r"row 0 of images \(\w{16}\) cannot be read \(Stale file handle\)"
    ) as caught:
        survey_of(folder)
    assert "patient00" not in str(caught.value)


def test_a_copy_on_another_side_is_refused_by_both_rows_and_one_on_its_own_side_counted(folder):
    for number in range(12):
        shutil.copytree(folder / f"patient{number:02}", folder / f"patient{number + 50}")
    found = survey_of(folder, split={"validation": 0.3, "test": 0.3})
    assert " has the same image as row " in found.stops[0]
    assert found.stops[-1].endswith("rows: the same image on two sides of the split")
    assert int(found.stops[-1].split()[0]) + found.same_side == 12
    assert found.same_side > 0


def test_pairs_to_look_at_come_from_all_sources_in_turn(folder):
    few = {"kind": "images", "name": "few", "path": str(folder), "columns": {"patient": "folder"}, "limit": 2}
    many = {**few, "name": "many", "limit": 9}
    found = survey(corpus_of(many, few), EYE, shown=6)
    assert [row.source for row in found.shown] == ["many", "few", "many", "few", "many", "many"]


def test_the_model_sees_images_at_its_size_and_reports_in_its_slots(folder, tiny_checkpoint):
    eye = Eye.of(SeenSection(checkpoint=str(tiny_checkpoint)))
    assert eye.slots is not None
    row = survey_of(folder).shown[0]
    sizes = next(one for one in eye.slots.config.image_tokenizers if "chest_xray" in one.domains)
    assert eye.image(row.picture.pixels(), "chest_xray").shape[:2] == (sizes.resolution, sizes.resolution)
    long = "Heart is normal. " * 60
    assert eye.report(long, "skip") is None
    cut, by_sentence = eye.report(long, "cut"), eye.report(long, "cut_sentence")
    assert by_sentence.endswith(".")
    for text in (cut, by_sentence):
        assert eye.ids(text) <= eye.room
        assert long.startswith(text)
    assert eye.ids(f"{cut} Heart is normal.") > eye.room


def test_without_a_checkpoint_the_domain_or_the_picture_says_whether_there_is_colour(folder):
    red = Image.new("RGB", (20, 10), "red")
    import numpy as np

    pixels = np.asarray(red)
    assert EYE.image(pixels, "pathology").shape == (32, 32, 3)
    assert EYE.image(pixels, "chest_xray").shape == (32, 32)
    assert EYE.image(pixels, "dermatoscopy").shape == (32, 32, 3)
    assert (EYE.image(pixels, "pathology")[0] == 0).all()


def test_reports_that_do_not_fit_are_left_out_cut_or_refused(folder, tiny_checkpoint):
    (folder / "patient05" / "scan.txt").write_text("Heart is normal. " * 60)
    eye = Eye.of(SeenSection(checkpoint=str(tiny_checkpoint)))
    assert survey_of(folder, eye).sources["images"].cut == 1
    skipped = survey_of(folder, eye, text={"too_long": "skip"})
    assert sum(skipped.sources["images"].left_out.values()) == 1
    assert skipped.stops == []
    refused = survey_of(folder, eye, text={"too_long": "error"})
    assert refused.stops == ["1 rows: its report is longer than the slots of the model"]


def test_a_corpus_that_leaves_nobody_to_learn_from_is_refused(folder):
    found = survey_of(folder, text={"min_words": 50})
    assert found.stops == ["nobody is left to learn from"]
