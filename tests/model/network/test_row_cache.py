"""A row that is read alone has the same bits made or found in the cache, whoever stands beside it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from medim_forge.model.medim import Given, Medim
from medim_forge.model.network.conditioning import Conditioned
from medim_forge.model.network.row_cache import RowCache


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def model(tiny_checkpoint):
    return Medim.load(tiny_checkpoint)


class Watched:
    """A model whose reads are counted: the sizes of their batches."""

    def __init__(self, model):
        self.model, self.layout, self.sizes = model, model.layout, []

    def hidden(self, state, sigma, conditioning):
        self.sizes.append((len(state), None if conditioning is None else conditioning.tolist()))
        return self.model.hidden(state, sigma, None)

    def logits(self, hidden, ids):
        return self.model.logits(hidden, ids)


def states(model, count):
    """Blind states: reports of different lengths, everything else masked."""
    layout = model.layout
    state = torch.full((count, layout.state_slots), layout.mask_id)
    state[:, 0] = layout.bos_id
    for row in range(count):
        end = 4 + row
        state[row, end] = layout.end_id
        state[row, end + 1 : layout.report_slots] = layout.pad_id
    return state


@torch.inference_mode()
def test_a_cached_row_has_the_bits_of_one_that_is_made_beside_any_neighbours(model):
    state, time = states(model, 5), torch.ones(5)
    fresh = torch.cat([
        Conditioned(model, None, RowCache(0)).read_alone(state[row : row + 1], time[:1]) for row in range(5)
    ])  # fmt: skip
    together = Conditioned(model, None, RowCache())
    assert torch.equal(together.read_alone(state, time), fresh)
    order = torch.tensor([3, 1])
    assert torch.equal(together.read_alone(state[order], time[:2]), fresh[order])


def test_the_network_sees_one_row_at_a_time_and_none_that_is_known(model):
    watched = Watched(model)
    denoiser = Conditioned(watched, None, RowCache())
    state = states(model, 3)
    denoiser.read_alone(state[[0, 1, 0]], torch.ones(3))
    assert watched.sizes == [(1, None)] * 2
    denoiser.read_alone(state, torch.ones(3))
    assert watched.sizes == [(1, None)] * 3


def test_another_time_or_another_stated_size_is_another_input(model):
    watched, cache, state = Watched(model), RowCache(), states(model, 2)
    denoiser = Conditioned(watched, torch.tensor([[5, 6], [5, 7]]), cache)
    denoiser.read_alone(state[[0, 0]], torch.tensor([1.0, 1.0]))
    assert watched.sizes == [(1, [[5, 6]]), (1, [[5, 7]])]
    denoiser.read_alone(state[[0, 0]], torch.tensor([1.0, 0.5]))
    assert watched.sizes[2:] == [(1, [[5, 7]])]
    Conditioned(watched, torch.tensor([[5, 6], [5, 7]]), cache).read_alone(state[[0, 0]], torch.tensor([1.0, 0.5]))
    assert len(watched.sizes) == 3


def test_what_was_not_asked_for_longest_is_forgotten_first():
    row = torch.zeros(10, 10)
    cache = RowCache(2 * row.nbytes)
    cache.keep(b"a", row)
    cache.keep(b"b", row + 1)
    assert cache.find(b"a") is not None
    cache.keep(b"c", row + 2)
    assert cache.find(b"b") is None
    assert torch.equal(cache.find(b"c"), row + 2)
    cache.keep(b"c", row + 3)
    assert cache.held == 2 * row.nbytes
    cache.keep(b"large", torch.zeros(30, 10))
    assert cache.held == 0


@torch.inference_mode()
def test_scores_are_the_same_to_the_last_bit_after_any_other_pairs(tiny_checkpoint):
    def first_of(model, reports):
        rows = [Given(domain="chest_xray", seed=7 + index, report=text) for index, text in enumerate(reports)]
        codes = [np.arange(model.layout.image_slots) % 7] * len(rows)
        made = model.scorer(rows, codes, [""] * len(rows)).score()
        scores = (made.agreement, made.image_agreement, made.fluency, made.image_fluency)
        return [float(score_B[0]) for score_B in scores]

    cold, warm = Medim.load(tiny_checkpoint), Medim.load(tiny_checkpoint)
    texts = ["No effusion.", "The heart is enlarged.", "There is a left effusion. No pneumothorax."]
    expected = first_of(cold, texts)
    first_of(warm, [texts[1], texts[1], texts[0]])
    assert warm.row_cache.held > 0
    assert first_of(warm, texts) == first_of(warm, [texts[0], texts[2], texts[2]]) == expected
