"""Encoded images as they are shown: their depth, their orientation, their pages."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from medim_forge.generator.errors import InputError
from medim_forge.generator.inputs.images import decode_image, image_size

LEVELS = (50 + np.arange(200, dtype=np.uint8)).reshape(10, 20)


def encoded(pixels, suffix="PNG", **options):
    stream = io.BytesIO()
    (pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)).save(stream, suffix, **options)
    return stream.getvalue()


@pytest.mark.parametrize("factor", [1, 256, 257])
@pytest.mark.parametrize("suffix", ["PNG", "TIFF"])
def test_8_bit_levels_in_16_bit_pixels_are_what_they_were(factor, suffix):
    content = encoded(LEVELS.astype(np.uint16) * factor, suffix)
    assert np.array_equal(np.asarray(decode_image(content)), LEVELS)


def test_other_deep_levels_are_windowed_by_percentiles_so_that_a_hot_pixel_darkens_nothing():
    deep = np.linspace(900, 3200, 1000).astype(np.uint16).reshape(20, 50)
    shown = np.asarray(decode_image(encoded(deep)))
    assert (shown.min(), shown.max()) == (0, 255)
    assert (np.diff(shown.ravel().astype(int)) >= 0).all()
    deep[0, 0] = 65535
    assert abs(np.asarray(decode_image(encoded(deep))).ravel()[10:].astype(int) - shown.ravel()[10:]).max() <= 2


def test_a_deep_picture_of_nearly_one_level_keeps_what_differs():
    deep = np.full((40, 40), 1000, np.uint16)
    deep[0, 0] = 3001
    shown = np.asarray(decode_image(encoded(deep)))
    assert (shown[0, 0], shown[1, 1]) == (255, 0)


def test_float_pixels_are_spread_too_and_must_be_numbers():
    values = np.linspace(-1, 1, 200, dtype=np.float32).reshape(10, 20)
    assert np.asarray(decode_image(encoded(values, "TIFF"))).max() == 255
    values[3, 3] = np.nan
    with pytest.raises(InputError, match="no numbers"):
        decode_image(encoded(values, "TIFF"))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_photograph_is_shown_as_its_orientation_says(orientation):
    upright = np.zeros((16, 32), np.uint8)
    upright[:8, :16] = 255  # upper left
    # What a camera stores that says `orientation`, so that turning it by that gives the upright picture.
    undo = {
        1: upright, 2: upright[:, ::-1], 3: upright[::-1, ::-1], 4: upright[::-1],
        5: upright.T, 6: np.rot90(upright), 7: upright[::-1, ::-1].T, 8: np.rot90(upright, -1),
    }  # fmt: skip
    exif = Image.Exif()
    exif[0x0112] = orientation
    content = encoded(np.ascontiguousarray(undo[orientation]), exif=exif)
    assert np.array_equal(np.asarray(decode_image(content)), upright)
    assert image_size(content) == (32, 16)


@pytest.mark.parametrize("suffix", ["TIFF", "GIF"])
def test_several_pages_are_refused_with_their_number(suffix):
    pages = [Image.fromarray(LEVELS), Image.fromarray(255 - LEVELS)]
    with pytest.raises(InputError, match="holds 2 pages; give a file per page"):
        decode_image(encoded(pages[0], suffix, save_all=True, append_images=pages[1:]))


def test_only_formats_that_are_named_are_tried():
    with pytest.raises(InputError, match="cannot be decoded: it is none of BMP, GIF, JPEG"):
        decode_image(encoded(LEVELS, "PPM"))
    with pytest.raises(InputError, match="cannot be decoded"):
        decode_image(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 1 1\n")
