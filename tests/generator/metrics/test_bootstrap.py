"""Bootstrap intervals against a plain loop and against the delta method."""

import numpy as np
import pytest

from medim_forge.generator.metrics.bootstrap import ArmDraws, f1_draws, interval, resamples
from medim_forge.generator.metrics.labels import f1_by_finding, macro_f1


def predictions(seeds=4, items=60, findings=3, error=0.2, seed=0):
    random = np.random.default_rng(seed)
    true = random.random((items, findings)) < 0.4
    wrong = random.random((seeds, items, findings)) < error
    return true, true ^ wrong


def test_draws_resample_seeds_and_items_with_replacement():
    draws = resamples(5, 40, draws=300, seed=1)
    assert draws.seeds.shape == (300, 5)
    assert draws.items.shape == (300, 40)
    assert (draws.seeds.sum(axis=1) == 5).all()
    assert (draws.items.sum(axis=1) == 40).all()
    assert draws.items.max() >= 3
    assert draws.items.mean() == pytest.approx(1.0)


def test_the_same_seed_gives_the_same_draws():
    first, again, other = (resamples(3, 9, draws=10, seed=seed) for seed in (1, 1, 2))
    assert np.array_equal(first.items, again.items)
    assert np.array_equal(first.seeds, again.seeds)
    assert not np.array_equal(first.items, other.items)


def test_weighted_counts_equal_a_loop_over_repeated_rows():
    true, predicted = predictions()
    draws = resamples(4, 60, draws=7, seed=3)
    made = f1_draws(true, predicted, draws)
    for at in range(7):
        rows = np.repeat(np.arange(60), draws.items[at].astype(int))
        picked = np.repeat(np.arange(4), draws.seeds[at].astype(int))
        loop = np.mean([f1_by_finding(true[rows], predicted[seed][rows]) for seed in picked], axis=0)
        assert made[at] == pytest.approx(loop)


def test_the_value_is_the_mean_over_seeds_on_the_data_themselves():
    true, predicted = predictions()
    arm = ArmDraws.of(true, predicted, resamples(4, 60, draws=100, seed=0))
    assert arm.macro().value == pytest.approx(np.mean([macro_f1(true, labels) for labels in predicted]))
    by_finding = np.mean([f1_by_finding(true, labels) for labels in predicted], axis=0)
    assert [arm.finding(at).value for at in range(3)] == pytest.approx(by_finding.tolist())


def test_the_interval_agrees_with_the_delta_method_where_that_is_exact_enough():
    # All predicted positive: F1 = 2p / (1 + p) of the share p of true items, so its error follows from that of p.
    items, share = 2000, 0.3
    true = (np.arange(items) < items * share)[:, None]
    arm = ArmDraws.of(true, np.ones((3, items, 1), dtype=np.bool_), resamples(3, items, draws=4000, seed=0))
    error = 2 / (1 + share) ** 2 * np.sqrt(share * (1 - share) / items)
    found = arm.macro()
    assert found.value == pytest.approx(2 * share / (1 + share))
    assert found.high - found.low == pytest.approx(2 * 1.96 * error, rel=0.08)
    assert found.low < found.value < found.high


def test_disagreement_between_seeds_widens_the_interval():
    true, alike = predictions(seeds=1, items=400)
    steady = np.repeat(alike, 6, axis=0)
    shaky = steady.copy()
    shaky[:3] = True
    draws = resamples(6, 400, draws=500, seed=0)
    steady_found, shaky_found = ArmDraws.of(true, steady, draws).macro(), ArmDraws.of(true, shaky, draws).macro()
    assert shaky_found.high - shaky_found.low > 2 * (steady_found.high - steady_found.low)


def test_a_paired_difference_cancels_what_both_arms_share():
    true, predicted = predictions(items=200)
    draws = resamples(4, 200, draws=500, seed=0)
    arm = ArmDraws.of(true, predicted, draws)
    zero = arm.minus(arm).macro()
    assert (zero.value, zero.low, zero.high) == (0.0, 0.0, 0.0)
    better = predicted.copy()
    better[:, :20] = true[:20]
    gain = ArmDraws.of(true, better, draws).minus(arm).macro()
    alone = arm.macro()
    assert 0 < gain.low < gain.value < gain.high
    assert gain.high - gain.low < alone.high - alone.low


def test_the_interval_is_the_middle_95_percent_of_the_draws():
    found = interval(0.5, np.linspace(0, 1, 1001))
    assert (found.value, found.low, found.high) == (0.5, pytest.approx(0.025), pytest.approx(0.975))


def test_shapes_that_do_not_fit_are_refused():
    true, predicted = predictions()
    with pytest.raises(ValueError, match="do not fit"):
        ArmDraws.of(true[:-1], predicted, resamples(4, 60, draws=5, seed=0))
    with pytest.raises(ValueError, match="do not fit"):
        ArmDraws.of(true, predicted, resamples(5, 60, draws=5, seed=0))
