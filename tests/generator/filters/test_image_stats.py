"""Statistics of images against values worked out by hand, and the bounds on them."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from medim_forge.generator.domains import DOMAINS
from medim_forge.generator.errors import SpecError
from medim_forge.generator.filters.image_stats import KIND, ImageStats, bar_share, statistics
from medim_forge.generator.phantoms import draw
from tests.doubles.bare_pairs import Rule, a_pair, noise

BY_DEFAULT = ImageStats.of(KIND.default)
IMAGES = st.one_of(
    hnp.arrays(np.uint8, hnp.array_shapes(min_dims=2, max_dims=2, max_side=12)),
    hnp.arrays(np.uint8, st.tuples(st.integers(1, 12), st.integers(1, 12), st.just(3))),
)


def test_a_blank_image_is_dropped_by_default_and_nothing_else_is():
    judge = BY_DEFAULT.judge
    blank = judge(a_pair(image=np.full((32, 32), 117, dtype=np.uint8)))
    assert not blank.kept
    assert blank.reasons == ("image_stats<1 (std)",)
    assert judge(a_pair(image=noise())).kept
    assert judge(a_pair(image=noise(shape=(32, 32, 3)))).kept


def test_phantoms_of_both_domains_are_kept_by_default():
    for seed in range(5):
        assert BY_DEFAULT.judge(a_pair(image=draw("chest_xray", seed).image)).kept
        assert BY_DEFAULT.judge(a_pair(image=draw("pathology", seed).image, domain="pathology")).kept


def test_checkerboard_statistics_are_those_worked_out_by_hand():
    board = (np.indices((8, 8)).sum(axis=0) % 2 * 255).astype(np.uint8)
    found = statistics(board, DOMAINS["chest_xray"])
    assert found["entropy"] == pytest.approx(1.0)
    assert found["std"] == pytest.approx(127.5)
    assert found["saturation"] == 1.0
    assert found["sharpness"] == pytest.approx((4 * 255) ** 2)
    assert found["bars"] == 0.0
    assert found["chroma"] == 0.0


def test_blur_lowers_sharpness():
    sharp = noise().astype(np.float32)
    soft = (sharp + np.roll(sharp, 1, 0) + np.roll(sharp, 1, 1) + np.roll(sharp, (1, 1), (0, 1))) / 4
    found = [statistics(one.astype(np.uint8), DOMAINS["chest_xray"])["sharpness"] for one in (sharp, soft)]
    assert found[1] < found[0] / 2


@pytest.mark.parametrize(("axis", "before", "after"), [(0, 5, 0), (0, 0, 5), (1, 3, 2), (1, 5, 0)])
def test_padding_bars_are_measured_on_every_side(axis, before, after):
    width = [(0, 0), (0, 0)]
    width[axis] = (before, after)
    padded = np.pad(noise(shape=(20, 20)), width, constant_values=117)
    assert bar_share(padded.astype(np.float32)) == pytest.approx(5 / 25)


def test_a_flat_band_inside_the_image_is_not_a_bar():
    image = noise(shape=(20, 20))
    image[8:12] = 100
    assert bar_share(image.astype(np.float32)) == 0.0


def test_chroma_is_for_radiographs_and_tissue_for_pathology():
    tinted = np.stack([noise()] * 3, axis=2) // 2 + np.array([10, 5, 0], dtype=np.uint8)
    assert statistics(tinted, DOMAINS["chest_xray"])["chroma"] == pytest.approx(10.0)
    assert math.isnan(statistics(tinted, DOMAINS["chest_xray"])["tissue"])
    slide = np.full((10, 10, 3), 245, dtype=np.uint8)
    slide[:4] = (180, 90, 150)
    assert statistics(slide, DOMAINS["pathology"])["tissue"] == pytest.approx(0.4)
    assert math.isnan(statistics(slide, DOMAINS["pathology"])["chroma"])


def test_bounds_of_the_other_domain_do_not_count():
    rule = Rule(name="image_stats", drop_below=1.0, options={"max_chroma": 0.5, "min_tissue": 1.0})
    filter_ = ImageStats.of(rule)
    tinted = a_pair(image=noise(shape=(16, 16, 3)), domain="chest_xray")
    assert filter_.judge(tinted).reasons == ("image_stats<1 (chroma)",)
    glass = noise(shape=(16, 16, 3))
    glass[0] = 250
    assert filter_.judge(a_pair(image=glass, domain="pathology")).reasons == ("image_stats<1 (tissue)",)


def test_every_option_can_drop_a_pair():
    bounds = {"min_sharpness": 1e9, "min_entropy": 8.5, "min_std": 200, "max_saturation": 0.0, "max_bars": 0.0}
    image = np.pad(noise(), ((4, 0), (0, 0)))
    for key, bound in bounds.items():
        rule = Rule(name="image_stats", drop_below=1.0, options={key: bound})
        verdict = ImageStats.of(rule).judge(a_pair(image=image))
        assert verdict.reasons == (f"image_stats<1 ({key[4:]})",)
        assert verdict.scores["image_stats"] < 1


def test_half_the_bound_scores_one_half():
    std = statistics(noise(), DOMAINS["chest_xray"])["std"]
    filter_ = ImageStats.of(Rule(name="image_stats", drop_below=0.4, options={"min_std": 2 * std}))
    verdict = filter_.judge(a_pair())
    assert verdict.scores["image_stats"] == pytest.approx(0.5)
    assert verdict.kept


def test_named_without_a_threshold_blank_images_are_scored_and_kept():
    filter_ = ImageStats.of(Rule(name="image_stats"))
    verdict = filter_.judge(a_pair(image=np.zeros((4, 4), dtype=np.uint8)))
    assert verdict.kept
    assert verdict.scores["image_stats"] == 0.0


@pytest.mark.parametrize(
    "options",
    [{"min_standard": 1}, {"min_std": "high"}, {"min_std": float("nan")}, {"min_std": True}, {"max_bars": -1}],
)
def test_wrong_options_are_refused_by_name(options):
    with pytest.raises(SpecError, match=next(iter(options))):
        KIND.filter_of(Rule(name="image_stats", options=options))


@pytest.mark.parametrize("image", [np.zeros((4, 4)), np.zeros((4, 4, 4), np.uint8), np.zeros((0, 4), np.uint8)])
def test_images_of_another_type_or_shape_raise(image):
    with pytest.raises(ValueError, match=r"uint8 \[H, W\]"):
        BY_DEFAULT.judge(a_pair(image=image))


@given(image=IMAGES, pathology=st.booleans())
def test_any_image_gets_every_score_without_being_changed(image, pathology):
    before = image.copy()
    pair = a_pair(image=image, domain="pathology" if pathology else "chest_xray")
    verdict = BY_DEFAULT.judge(pair)
    assert tuple(verdict.scores) == tuple(KIND.scores)
    assert np.array_equal(image, before)
    assert repr(BY_DEFAULT.judge(pair)) == repr(verdict)
    assert 0 <= verdict.scores["image_stats"] <= 1
    applies = {name: score for name, score in verdict.scores.items() if name not in ("chroma", "tissue")}
    assert all(math.isfinite(score) and score >= 0 for score in applies.values())
