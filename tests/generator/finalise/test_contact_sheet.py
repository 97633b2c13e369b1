"""The contact sheet: which pairs are on it, and that it survives what a model may write."""

from __future__ import annotations

import numpy as np
import pytest

from medim_forge.generator.dataset.png import decode_png
from medim_forge.generator.dataset.reader import open_dataset
from medim_forge.generator.finalise.contact_sheet import Tile, choose_tiles, contact_sheet
from tests.doubles.pairs import finish_tiny, make_pair

BLUE = (23, 98, 181)


def a_tile(**changes):
    pair = make_pair(0)
    values = {
        "pair_id": pair.pair_id,
        "domain": "chest_xray",
        "image": pair.image,
        "report": pair.report,
        "prompt_chars": pair.prompt_chars,
        "findings": ("nodule",),
    }
    return Tile(**{**values, **changes})


def has(sheet, color):
    return bool((sheet == color).all(axis=2).any())


def test_both_domains_are_on_the_sheet_and_no_more_pairs_than_asked_for(tmp_path):
    finish_tiny(tmp_path)
    dataset = open_dataset(tmp_path)
    assert [tile.domain for tile in choose_tiles(dataset, 4)] == ["chest_xray"] * 2 + ["pathology"] * 2
    assert len(choose_tiles(dataset)) == 9


def test_different_findings_come_before_more_of_the_same(tmp_path):
    finish_tiny(tmp_path)
    tiles = choose_tiles(open_dataset(tmp_path), 8)
    assert len({(tile.domain, tile.findings) for tile in tiles}) == 8


def test_the_sheet_shows_the_pixels_of_its_images():
    image = make_pair(0).image
    sheet = decode_png(contact_sheet([a_tile(image=image)], "title", "synthetic"))
    enlarged = np.repeat(np.repeat(image, 3, axis=0), 3, axis=1)
    places = np.argwhere((sheet[:, :, 0] == enlarged[0, 0]) & (sheet[:, :, 1] == enlarged[0, 0]))
    assert any(
        np.array_equal(sheet[top : top + 288, left : left + 288, 0], enlarged) for top, left in places if top > 80
    )


def test_the_legend_is_whole_however_few_pairs_there_are():
    says = "1 pairs of given images and generated reports, not for diagnostic use."
    sheet = decode_png(contact_sheet([a_tile()], "title", says))
    longer = decode_png(contact_sheet([a_tile()], "title", says + says))
    assert longer.shape[1] > sheet.shape[1] > 720
    # The last words end before the edge.
    assert (sheet[54:80, -4:] == sheet[0, 0]).all()
    assert not (sheet[54:80, -40:] == sheet[0, 0]).all()


def test_given_words_are_told_from_generated_ones():
    title_only = decode_png(contact_sheet([a_tile(prompt_chars=0)], "title", "synthetic"))[84:]
    assert not has(title_only, BLUE)
    assert has(decode_png(contact_sheet([a_tile()], "title", "synthetic"))[84:], BLUE)


@pytest.mark.parametrize(
    "changes",
    [
        {"report": ""},
        {"report": "x" * 500},
        {"report": "word " * 200},
        {"findings": None},
        {"findings": ()},
        {"findings": tuple(f"finding_{number}" for number in range(12))},
        {"image": np.zeros((512, 300, 3), np.uint8)},
        {"image": np.zeros((1, 1), np.uint8)},
        {"domain": "ultrasound"},
    ],
)
def test_unusual_pairs_fit_on_the_sheet(changes):
    sheet = decode_png(contact_sheet([a_tile(), a_tile(**changes)], "title", "synthetic"))
    # The last rows are background: nothing runs out of its card.
    assert (sheet[-10:] == (244, 245, 247)).all()


def test_an_empty_dataset_has_a_sheet():
    assert decode_png(contact_sheet([], "title", "synthetic")).shape[1] == 720


def test_the_same_tiles_are_the_same_bytes():
    assert contact_sheet([a_tile()], "title", "synthetic") == contact_sheet([a_tile()], "title", "synthetic")
