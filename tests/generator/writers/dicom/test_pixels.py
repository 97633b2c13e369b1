"""The samples that are stored: luminance, and radiographs without the padding that made them square."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medim_forge.generator.phantoms import draw
from medim_forge.generator.writers.dicom.pixels import Bars, padding_bars, stored_pixels

PADDING = (122, 117, 104)


def padded(top=0, bottom=0, left=0, right=0, noise=0, size=128):
    """A textured picture with bars, RGB."""
    rng = np.random.default_rng(5)
    image = np.full((size, size, 3), PADDING, np.uint8)
    inner = rng.integers(0, 256, (size - top - bottom, size - left - right, 1), np.uint8)
    image[top : size - bottom, left : size - right] = inner
    return (image + rng.integers(-noise, noise + 1, image.shape)).clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize(
    "bars", [{"left": 21, "right": 22}, {"top": 20, "bottom": 20}, {"left": 30}, {"left": 21, "right": 22, "noise": 5}]
)
def test_padding_bars_are_found_and_cut_off(bars):
    image = padded(**bars)
    bars = {side: width for side, width in bars.items() if side != "noise"}
    found = padding_bars("chest_xray", image)
    assert found == Bars(**bars)
    stored = stored_pixels("chest_xray", image)
    assert stored.shape == (128 - found.top - found.bottom, 128 - found.left - found.right)
    # The whole picture is still there.
    assert stored[0].std() > 20
    assert stored[:, -1].std() > 20


def test_a_border_column_that_the_decoder_bent_does_not_hide_the_bar():
    image = padded(left=21, right=22, noise=2)
    image[:, -1] = (112, 113, 89)  # as in a published sample
    assert padding_bars("chest_xray", image) == Bars(left=21, right=22)


def test_padding_of_a_grey_image_is_found_by_its_level():
    grey = padded(left=16, right=16)[:, :, 1]
    assert padding_bars("chest_xray", grey) == Bars(left=16, right=16)
    assert stored_pixels("chest_xray", grey).shape == (128, 96)


@pytest.mark.parametrize("level", [(0, 0, 0), (255, 255, 255), (160, 160, 160), (117, 116, 60)])
def test_film_borders_and_other_flat_margins_stay(level):
    image = padded(left=20, right=20)
    image[:, :20] = image[:, -20:] = level
    assert not padding_bars("chest_xray", image)
    assert stored_pixels("chest_xray", image).shape == (128, 128)


def test_a_strip_too_narrow_for_padding_stays():
    assert not padding_bars("chest_xray", padded(left=2))


def test_a_wholly_flat_image_and_a_sliver_are_left_alone():
    assert not padding_bars("chest_xray", padded(left=64, right=64))
    assert not padding_bars("chest_xray", padded(left=50, right=50))


def test_pathology_is_never_cropped():
    assert not padding_bars("pathology", padded(left=20, right=20))
    assert stored_pixels("pathology", padded(left=20, right=20)).shape == (128, 128, 3)


@pytest.mark.parametrize("seed", range(12))
def test_drawn_radiographs_have_no_padding(seed):
    assert not padding_bars("chest_xray", draw("chest_xray", seed).image)


@given(st.integers(0, 2**32 - 1), st.integers(1, 40), st.integers(1, 40), st.booleans())
def test_what_is_cut_off_is_only_ever_the_border(seed, height, width, colour):
    rng = np.random.default_rng(seed)
    levels = rng.choice([0, 100, 117, 122, 255], size=(height, width, 3) if colour else (height, width))
    image = levels.astype(np.uint8)
    bars = padding_bars("chest_xray", image)
    stored = stored_pixels("chest_xray", image)
    assert stored.shape == (height - bars.top - bars.bottom, width - bars.left - bars.right)
    assert stored.shape[0] >= height / 4
    assert stored.shape[1] >= width / 4
    if not colour:
        assert np.array_equal(stored, image[bars.top : height - bars.bottom, bars.left : width - bars.right])


def test_luminance_is_rounded_to_the_nearest_level():
    colour = np.random.default_rng(0).integers(0, 256, (7, 5, 3), np.uint8)
    expected = colour @ np.array([0.299, 0.587, 0.114])
    assert np.abs(stored_pixels("chest_xray", colour) - expected).max() <= 0.5
