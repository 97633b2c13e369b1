"""Counter-based numbers and draws by inverse cumulative distribution."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare

from medim_forge.model.sampling.noise import CounterDraws, Use, inverse_cdf


def test_numbers_depend_on_seed_use_step_and_slot_alone():
    alone = CounterDraws([11], 40).uniform(Use.TOKEN, 3)[0]
    among = CounterDraws([5, 11, 7], 40).uniform(Use.TOKEN, 3)[1]
    assert torch.equal(alone, among)
    assert torch.equal(alone[:8], CounterDraws([11], 8).uniform(Use.TOKEN, 3)[0])
    draws = CounterDraws([11], 40)
    others = [draws.uniform(use, step)[0] for use in Use for step in (0, 3) if (use, step) != (Use.TOKEN, 3)]
    assert all(not bool((alone == other).any()) for other in others)
    assert not bool((alone == CounterDraws([12], 40).uniform(Use.TOKEN, 3)[0]).any())


def test_uniform_numbers_are_uniform_and_never_0_or_1():
    u = CounterDraws(range(200), 500).uniform(Use.ORDER, 0).flatten().numpy()
    assert u.min() > 0
    assert u.max() < 1
    assert chisquare(np.histogram(u, bins=50, range=(0, 1))[0]).pvalue > 1e-4


def test_inverse_cdf_follows_the_law_and_a_wrong_temperature_would_be_noticed():
    law = torch.tensor([0.5, 0.0, 0.25, 0.15, 0.1], dtype=torch.float64)
    u = CounterDraws([3], 400_000).uniform(Use.TOKEN, 0)[0]
    counts = torch.bincount(inverse_cdf(law.expand(len(u), -1), u), minlength=5).double()
    assert counts[1] == 0
    keep = law > 0
    assert chisquare(counts[keep], law[keep] * len(u)).pvalue > 1e-4
    cold = law[keep] ** (1 / 0.97)
    assert chisquare(counts[keep], cold / cold.sum() * len(u)).pvalue < 1e-6


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=30), st.floats(2**-54, 1 - 2**-53))
def test_inverse_cdf_never_picks_an_id_of_weight_0(weights, u):
    row = torch.tensor([weights], dtype=torch.float64)
    picked = int(inverse_cdf(row, torch.tensor([u], dtype=torch.float64)))
    assert 0 <= picked < len(weights)
    assert weights[picked] > 0 or sum(weights) == 0


def test_rare_tails_of_a_large_vocabulary_are_drawn():
    # 2**18 ids share 2**-13 of the weight: float32 sums would lose most of them.
    weights = torch.cat([torch.tensor([1.0]), torch.full((2**18,), 2.0**-31)])[None]
    u = CounterDraws([9], 64_000).uniform(Use.TOKEN, 0)[0]
    # Only numbers above the weight of the first id can draw another, so only those are worth a sum over 2**18.
    high = u[u > 1 / (1 + 2**-13) - 1e-12]
    hits = sum(int(inverse_cdf(weights, number[None])) > 0 for number in high)
    assert 1 <= hits <= 25  # expected 7.8
