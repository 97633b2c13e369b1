"""An image on two sides is found, also when it was stored anew; others are not."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from medim_forge.generator.corpus import twins
from medim_forge.generator.corpus.twins import Print, Twins
from medim_forge.generator.phantoms import draw

IMAGES = [draw("chest_xray", seed).image for seed in range(12)]


def stored_anew(pixels, quality=80):
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", quality=quality)
    return np.asarray(Image.open(stream))


def test_the_same_pixels_on_another_side_are_found_and_named():
    seen = Twins()
    for number, pixels in enumerate(IMAGES):
        assert seen.find(Print.of(pixels), "train") is None
        seen.add(Print.of(pixels), "train", f"row {number}")
    twin = seen.find(Print.of(IMAGES[7].copy()), "test")
    assert (twin.name, twin.split, twin.exact) == ("row 7", "train", True)
    assert seen.find(Print.of(IMAGES[7]), "train") is None
    assert seen.same_side == 1


def test_an_image_that_was_stored_anew_is_found():
    seen = Twins()
    for number, pixels in enumerate(IMAGES):
        seen.add(Print.of(pixels), "validation", f"row {number}")
    found = [seen.find(Print.of(stored_anew(pixels)), "train") for pixels in IMAGES]
    assert [twin and (twin.name, twin.exact) for twin in found] == [(f"row {n}", False) for n in range(len(IMAGES))]
    assert seen.find(Print.of(draw("chest_xray", 999).image), "train") is None


@pytest.mark.parametrize("pending", [2, 5])
def test_what_the_bands_hold_and_what_is_pending_are_both_found(pending, monkeypatch):
    monkeypatch.setattr(twins, "PENDING", pending)
    seen = Twins()
    for number, pixels in enumerate(IMAGES):
        seen.add(Print.of(pixels), "train", f"row {number}")
    names = [seen.find(Print.of(stored_anew(pixels)), "test").name for pixels in IMAGES]
    assert names == [f"row {number}" for number in range(len(IMAGES))]
