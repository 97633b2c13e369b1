"""What the training mixture masks, counts and never touches."""

from __future__ import annotations

import numpy as np
import pytest

from medim_forge.generator.jobspec.train import MixSection
from medim_forge.generator.phantoms import draw
from medim_forge.generator.training.data import report_ids, report_tokenizer
from medim_forge.model import config
from medim_forge.model.loss import CorruptionMix, corrupt_mix

KINDS = ("joint", "report_given", "report_absent", "image_given", "image_absent")


@pytest.fixture(scope="module")
def clean():
    text = report_tokenizer()
    layout = config.phantom(len(text)).layout
    reports = report_ids([draw("chest_xray", seed).report for seed in range(64)], text, layout)
    codes = np.random.default_rng(0).integers(*layout.code_range("chest_xray"), (64, layout.image_slots))
    return layout, np.concatenate([reports, codes], axis=1), np.full(64, 2)


def corrupted(clean, seed=0, **changes):
    layout, state, opening = clean
    mix = CorruptionMix(**MixSection(**changes).model_dump())
    return corrupt_mix(state, opening, layout, mix, np.random.default_rng(seed))


def only(kind, **more):
    return {**dict.fromkeys(KINDS, 0.0), kind: 1.0, **more}


@pytest.mark.parametrize("kind", KINDS)
def test_a_slot_holds_its_token_or_mask_and_only_masked_slots_count(clean, kind):
    layout, state, _ = clean
    batch = corrupted(clean, **only(kind, reading_order=0.5))
    masked = batch.xt == layout.mask_id
    assert np.array_equal(batch.xt[~masked], state[~masked])
    weight = np.concatenate([batch.report_weight, batch.image_weight], axis=1)
    assert not (weight[~masked] > 0).any()
    assert (weight >= 0).all()


def test_given_and_absent_sides_are_whole(clean):
    layout, _, _ = clean
    slots = layout.report_slots
    mask = layout.mask_id
    assert not (corrupted(clean, **only("report_given")).xt[:, :slots] == mask).any()
    assert (corrupted(clean, **only("report_absent")).xt[:, :slots] == mask).all()
    assert not (corrupted(clean, **only("image_given")).xt[:, slots:] == mask).any()
    assert (corrupted(clean, **only("image_absent")).xt[:, slots:] == mask).all()


def test_the_end_and_its_pads_are_one_unit_and_pads_never_count(clean):
    layout, state, _ = clean
    batch = corrupted(clean, **only("image_given", ending_masked=0.5))
    report = state[:, : layout.report_slots]
    end = (report == layout.end_id).argmax(1)
    for row in range(len(state)):
        tail = batch.xt[row, end[row] : layout.report_slots] == layout.mask_id
        assert tail.all() or not tail.any()
        assert (batch.report_weight[row, end[row]] > 0) == tail.all()
        assert not batch.report_weight[row, end[row] + 1 :].any()
    assert (batch.xt[np.arange(len(end)), end] == layout.mask_id).any()
    assert (batch.xt[np.arange(len(end)), end] == layout.end_id).any()


def test_reading_order_masks_a_suffix_and_tells_its_share_as_time(clean):
    layout, state, opening = clean
    batch = corrupted(clean, **only("image_given", reading_order=1.0, ending_masked=0.0))
    end = (state[:, : layout.report_slots] == layout.end_id).argmax(1)
    for row in range(len(state)):
        inner = (batch.xt[row, opening[row] : end[row]] == layout.mask_id).tolist()
        assert inner == sorted(inner)
        assert batch.t[row] == pytest.approx(sum(inner) / len(inner))
        assert any(inner)


def test_reading_order_without_an_end_masks_all_that_follows_and_stresses_what_comes_next(clean):
    layout, state, opening = clean
    settings = only("image_given", reading_order=1.0, reading_end=1.0, ending_masked=0.0)
    batches = [corrupted(clean, seed=seed, **settings) for seed in range(8)]
    end = (state[:, : layout.report_slots] == layout.end_id).argmax(1)
    asked_for_the_end = 0
    for batch in batches:
        for row in range(len(state)):
            masked = batch.xt[row, : layout.report_slots] == layout.mask_id
            cut = int(masked.argmax())
            assert masked[cut:].all()
            assert opening[row] <= cut <= end[row]
            assert batch.t[row] == pytest.approx((layout.report_slots - cut) / (layout.report_slots - opening[row]))
            weight = batch.report_weight[row]
            assert np.flatnonzero(weight).tolist() == list(range(cut, end[row] + 1))
            assert weight[cut] == pytest.approx(5 * min(1 / batch.t[row], 5), rel=1e-5)
            assert weight[cut + 1 : end[row] + 1] == pytest.approx(min(1 / batch.t[row], 5), rel=1e-5)
            asked_for_the_end += cut == end[row]
    assert asked_for_the_end > 0


def test_shares_are_kept_and_the_same_generator_gives_the_same_batch(clean):
    one, again = corrupted(clean, seed=3), corrupted(clean, seed=3)
    assert np.array_equal(one.xt, again.xt)
    assert not np.array_equal(one.xt, corrupted(clean, seed=4).xt)
    layout, _, _ = clean
    absent = [
        (corrupted(clean, seed=s).xt[:, layout.report_slots :] == layout.mask_id).all(1).mean() for s in range(60)
    ]
    assert np.mean(absent) == pytest.approx(MixSection().image_absent, abs=0.02)
