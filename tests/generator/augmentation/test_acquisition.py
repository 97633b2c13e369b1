"""The shifted acquisition: each key of the spec changes the image in its own way."""

import numpy as np
import pytest

from medim_forge.generator.augmentation.acquisition import acquire, blurred
from medim_forge.generator.jobspec.augment import ShiftSection
from medim_forge.generator.phantoms import draw

NONE = ShiftSection(rotation=0, translation=0, zoom=0, blur=0, contrast=1, noise=0)
CHEST = draw("chest_xray", 0).image
TISSUE = draw("pathology", 0).image


def acquired(image, seed=0, **shift):
    return acquire(image, NONE.model_copy(update=shift), np.random.default_rng(seed))


@pytest.mark.parametrize("image", [CHEST, TISSUE])
def test_without_a_shift_the_image_stays_what_it_was(image):
    assert np.array_equal(acquired(image), image)


@pytest.mark.parametrize("image", [CHEST, TISSUE])
@pytest.mark.parametrize(
    "shift",
    [{"rotation": 10.0}, {"translation": 0.1}, {"zoom": 0.2}, {"blur": 1.0}, {"contrast": 0.5}, {"noise": 10.0}],
)
def test_every_key_changes_the_image_and_keeps_shape_and_type(image, shift):
    made = acquired(image, **shift)
    assert made.shape == image.shape
    assert made.dtype == np.uint8
    assert not np.array_equal(made, image)


def test_the_same_generator_state_gives_the_same_image():
    shift = {"rotation": 10.0, "noise": 10.0}
    assert np.array_equal(acquired(CHEST, 1, **shift), acquired(CHEST, 1, **shift))
    assert not np.array_equal(acquired(CHEST, 1, **shift), acquired(CHEST, 2, **shift))


def test_a_move_by_whole_pixels_is_exact():
    class OneWay:
        def uniform(self, low, high, size):
            return np.array([0.0, 1.0, -1.0, 0.0])

        def standard_normal(self, shape):
            return np.zeros(shape)

    image = np.random.default_rng(0).integers(0, 256, (20, 20)).astype(np.uint8)
    made = acquire(image, NONE.model_copy(update={"translation": 0.1}), OneWay())
    assert np.array_equal(made[2:, :-2], image[:-2, 2:])
    assert np.array_equal(made[0, :-2], image[0, 2:])


def test_contrast_scales_the_distance_from_the_mean():
    made = acquired(CHEST, contrast=0.5).astype(float)
    assert made.std() == pytest.approx(CHEST.astype(float).std() / 2, rel=0.02)
    assert made.mean() == pytest.approx(CHEST.astype(float).mean(), abs=0.6)


def test_noise_has_the_deviation_that_was_asked_for():
    grey = np.full((100, 100), 128, dtype=np.uint8)
    assert acquired(grey, noise=9.0).astype(float).std() == pytest.approx(9.0, rel=0.05)


def test_blur_keeps_a_flat_image_and_spreads_a_point_by_its_deviation():
    assert blurred(np.full((12, 12), 7.0), 1.5) == pytest.approx(7.0)
    point = np.zeros((41, 41))
    point[20, 20] = 1.0
    spread = blurred(point, 2.0)
    rows = np.arange(41) - 20
    assert spread.sum() == pytest.approx(1.0)
    assert np.sqrt((spread.sum(axis=1) * rows**2).sum()) == pytest.approx(2.0, rel=0.03)
