"""Rows and randomness of a step follow from the seed and the step alone."""

from __future__ import annotations

import numpy as np
import pytest

from medim_forge.generator.errors import SpecError
from medim_forge.generator.training.order import Order, permuted, stream


class Numbered:
    """A source of numbered rows that nobody reads."""

    def __init__(self, **rows):
        edges = np.cumsum([0, *rows.values()])
        self._numbers = {d: np.arange(edges[i], edges[i + 1]) for i, d in enumerate(rows)}
        self.domains = tuple(rows)

    def numbers(self, domain):
        return self._numbers[domain]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64, 65, 1000])
def test_a_key_permutes_all_rows_and_another_key_otherwise(size):
    places = np.arange(size)
    one, other = permuted(places, size, 0, "a", 0), permuted(places, size, 0, "a", 1)
    assert sorted(one) == sorted(other) == places.tolist()
    assert size < 7 or (one != other).any()
    assert permuted(places[-1:], size, 0, "a", 0)[0] == one[-1]


def test_rows_are_spread_over_an_epoch_as_by_chance():
    first = np.array([permuted(np.arange(10), 1000, seed, "a", 0) for seed in range(300)])
    # 3,000 numbers of 0 .. 999: each tenth of them holds 300 with a standard deviation of 16.
    tenths = np.bincount(first.ravel() // 100, minlength=10)
    assert abs(tenths - 300).max() < 80
    assert abs(np.corrcoef(first[:, 0], first[:, 1])[0, 1]) < 0.2


def test_every_epoch_shows_every_row_once_and_a_step_follows_from_its_number_alone():
    order = Order(3, Numbered(a=30, b=20), 10)
    seen = np.concatenate([order.of(step)[0] for step in range(5)])
    assert sorted(seen) == list(range(50))
    again = np.concatenate([order.of(step)[0] for step in range(5, 10)])
    assert sorted(again) == list(range(50))
    assert (seen != again).any()
    assert (Order(3, Numbered(a=30, b=20), 10).of(7)[0] == order.of(7)[0]).all()
    assert (Order(4, Numbered(a=30, b=20), 10).of(7)[0] != order.of(7)[0]).any()
    assert order.epochs(5) == {"a": 1.0, "b": 1.0}


@pytest.mark.parametrize("given", [(0.5, 0.3, 0.2), (1, 1e-3, 2), (0, 1, 2)])
def test_domains_get_their_shares_in_every_stretch_of_steps(given):
    shares = dict(zip("abc", given, strict=True))
    order, rows = Order(0, Numbered(a=500, b=500, c=500), 8, shares), np.zeros(3)
    for step in range(400):
        numbers, counts = order.of(step)
        assert sum(counts.values()) == len(numbers) == 8
        assert [((numbers >= 500 * i) & (numbers < 500 * (i + 1))).sum() for i in range(3)] == list(counts.values())
        rows += list(counts.values())
        wanted = 8 * (step + 1) * np.array([shares[d] for d in "abc"]) / sum(shares.values())
        assert abs(rows - wanted).max() <= 2


def test_fewer_rows_than_a_step_takes_are_refused_before_the_first_step():
    with pytest.raises(SpecError, match="b has 5 rows, and a step takes 26 of it"):
        Order(0, Numbered(a=100, b=5), 64, {"a": 38, "b": 26})
    with pytest.raises(SpecError, match="say nothing of b"):
        Order(0, Numbered(a=100, b=5), 64, {"a": 38})
    with pytest.raises(SpecError, match="all 0"):
        Order(0, Numbered(a=100, b=5), 64, {"a": 0, "b": 0})


def test_a_million_rows_cost_no_memory_beyond_their_numbers():
    order = Order(0, Numbered(a=10**6), 64)
    numbers, _ = order.of(10**7)
    assert len(set(numbers.tolist())) == 64


def test_streams_of_other_names_are_other_streams():
    assert stream(1, "a", 2).random() == stream(1, "a", 2).random()
    assert len({stream(1, "a", 2).random(), stream(1, "a", 3).random(), stream(2, "a", 2).random()}) == 3
