"""The corrected sampler on a toy denoiser whose answers are known."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import chisquare

from medim_forge.model.layout import Codebook, TokenLayout
from medim_forge.model.sampling.corrected import Sampler, _tempered
from medim_forge.model.sampling.noise import CounterDraws
from medim_forge.model.sampling.schedule import reveal_counts
from medim_forge.model.sampling.settings import Batch, SamplingError
from tests.doubles.samplings import sampling

LAYOUT = TokenLayout(
    report_slots=8,
    image_slots=9,
    report_vocab=14,
    codebooks=(Codebook(domains=("a",), size=5), Codebook(domains=("b",), size=4)),
    end_id=2,
    boi_id=3,
    eoi_id=4,
    eos_id=5,
)
OPENING = (1, 6)
ALL = [
    sampling(steps=4),
    sampling(steps=4, text_reveal="sequential"),
    sampling(steps=3, text_reveal="confidence", image_reveal="confidence"),
    sampling(steps=5, method="ancestral"),
    sampling(steps=5, order="joint", image_reveal="confidence"),
    sampling(steps=4, order="image_first"),
    sampling(steps=4, guidance=0.0, text_temperature=0.5, image_temperature=2.0),
]


class Toy:
    """A row-wise denoiser: logits are a fixed random function of the row's tokens, time and slot."""

    layout = LAYOUT

    def __init__(self, *, hazard=None, broken=None):
        generator = torch.Generator().manual_seed(0)
        self.table = torch.randn(LAYOUT.vocab, 16, generator=generator)
        self.slot = torch.randn(LAYOUT.state_slots, 16, generator=generator)
        self.head = torch.randn(LAYOUT.vocab, 16, generator=generator)
        self.hazard, self.broken = hazard, broken

    def read(self, state, t):
        mixed = self.table[state].mean(1, keepdim=True) + self.slot + t[:, None, None]
        if self.broken is not None:
            mixed[(state == self.broken).any(1)] = float("nan")
        return mixed

    def logits(self, hidden, ids):
        logits = hidden.float() @ self.head[ids].T
        if self.hazard is not None and LAYOUT.end_id in ids.tolist():
            rest = logits[:, :-1].logsumexp(-1)
            logits[:, -1] = rest + torch.logit(torch.tensor(self.hazard))
        return logits


def start(rows, opening=OPENING):
    state = torch.full((rows, LAYOUT.state_slots), LAYOUT.mask_id)
    state[:, : len(opening)] = torch.tensor(opening)
    return state


def run(sampling, seeds, domains=None, state=None, denoiser=None):
    state = start(len(seeds)) if state is None else state
    domains = domains or ("a",) * len(seeds)
    batch = Batch(state=state, domains=domains, draws=CounterDraws(seeds, LAYOUT.state_slots))
    return Sampler(denoiser or Toy(), sampling, batch).run()


@pytest.mark.parametrize("sampling", ALL)
def test_given_tokens_stay_and_only_allowed_ids_are_revealed(sampling):
    domains = ("a", "b") * 8
    done = run(sampling, list(range(16)), domains).state
    assert not bool((done == LAYOUT.mask_id).any())
    assert torch.equal(done[:, :2], start(16)[:, :2])
    for row, domain in zip(done, domains, strict=True):
        first, stop = LAYOUT.code_range(domain)
        assert bool(((row[8:] >= first) & (row[8:] < stop)).all())
        ends = torch.nonzero(row[:8] == LAYOUT.end_id)[:, 0].tolist()
        assert len(ends) <= 1
        end = ends[0] if ends else 8
        assert bool((row[end + 1 : 8] == LAYOUT.pad_id).all())
        assert bool((row[2:end] > LAYOUT.eos_id).all())
        assert bool((row[2:end] < LAYOUT.report_vocab).all())


@pytest.mark.parametrize("sampling", ALL)
def test_a_row_does_not_depend_on_its_neighbours(sampling):
    among = run(sampling, [4, 8, 15, 16], ("a", "b", "a", "b"))
    others = run(sampling, [23, 42, 15, 15], ("b", "b", "a", "a"))
    assert torch.equal(among.state[2], others.state[2])
    assert torch.equal(among.logprob[2], others.logprob[2])
    assert not torch.equal(among.state[3], others.state[3])


def test_neighbours_with_longer_openings_do_not_move_a_rows_numbers():
    state = start(2)
    state[1, :7] = torch.tensor([1, 6, 7, 8, 9, 10, 11])
    mixed = run(sampling(steps=4), [15, 3], ("a", "a"), state)
    assert torch.equal(mixed.state[0], run(sampling(steps=4), [15]).state[0])
    # The row with the longer opening needs fewer steps than its neighbour, and its image must not wait for it.
    assert torch.equal(mixed.state[1], run(sampling(steps=4), [3], state=state[1:]).state[0])


def test_the_same_seed_gives_the_same_pair_and_another_seed_another():
    first, again, other = (run(sampling(), [seed]).state for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_cold_draws_take_the_likeliest_id_and_keep_its_own_log_probability():
    def draw(seed, temperature):
        settings = sampling(
            steps=1, text_steps=1, guidance=0.0, text_temperature=temperature, image_temperature=temperature
        )
        return run(settings, [seed], denoiser=Toy(hazard=1e-9))

    one, other = draw(1, 1e-4), draw(2, 1e-4)
    assert torch.equal(one.state, other.state)
    assert float(one.logprob.sum()) < -1
    warm, warmer = draw(1, 1.0), draw(2, 1.0)
    assert not torch.equal(warm.state[:, :8], warmer.state[:, :8])
    assert not torch.equal(warm.state[:, 8:], warmer.state[:, 8:])


def test_whole_reports_and_whole_images_are_kept():
    state = start(3)
    state[:, :8] = torch.tensor([1, 6, 7, 9, 2, 0, 0, 0])
    done = run(sampling(), [1, 2, 3], state=state)
    assert torch.equal(done.state[:, :8], state[:, :8])
    assert bool((done.logprob[:, :8] == 0).all())
    state = start(3)
    state[:, 8:] = LAYOUT.image_offset
    done = run(sampling(order="image_first"), [1, 2, 3], state=state)
    assert torch.equal(done.state[:, 8:], state[:, 8:])


def test_guidance_costs_a_second_pass_and_changes_the_image():
    plain, guided = run(sampling(guidance=0.0), [5]), run(sampling(guidance=3.0), [5])
    assert guided.passes > plain.passes
    assert not torch.equal(plain.state[:, 8:], guided.state[:, 8:])


def test_lengths_follow_the_hazard_and_another_law_would_be_noticed():
    rows, hazard = 4000, 0.3
    done = run(sampling(steps=1, text_steps=1, guidance=0.0), list(range(rows)), denoiser=Toy(hazard=hazard)).state[
        :, :8
    ]
    ends = torch.where((done == LAYOUT.end_id).any(1), (done == LAYOUT.end_id).long().argmax(1), 8).numpy()
    # One slot after the opening always holds text; the end may stand at 3 .. 7, or nowhere.
    law = np.array([hazard * (1 - hazard) ** k for k in range(5)] + [(1 - hazard) ** 5])
    counts = np.bincount(ends, minlength=9)[3:]
    assert counts.sum() == rows
    assert chisquare(counts, law * rows).pvalue > 1e-4
    wrong = np.array([0.25 * 0.75**k for k in range(5)] + [0.75**5])
    assert chisquare(counts, wrong * rows).pvalue < 1e-4


def test_logits_that_are_not_finite_name_their_row():
    state = start(3)
    state[1, 2] = 13
    with pytest.raises(SamplingError, match="not finite") as caught:
        run(sampling(), [1, 2, 3], state=state, denoiser=Toy(broken=13))
    assert caught.value.rows == (1,)


@pytest.mark.parametrize("steps", [1, 4, 16, 300])
def test_reveal_counts_reveal_every_slot_once(steps):
    masked = [1, 2, 7, 144]
    counts = reveal_counts(masked, steps)
    assert counts.sum(1).tolist() == masked
    assert int(counts.min()) >= 0
    assert counts.shape == (4, steps)


def test_a_sequential_report_is_revealed_in_reading_order():
    seen = []

    class Watching(Toy):
        def read(self, state, t):
            seen.append((state[0, :8] == LAYOUT.mask_id).tolist())
            return super().read(state, t)

    run(sampling(text_reveal="sequential", guidance=0.0), [3], denoiser=Watching(hazard=1e-6))
    masks = [mask for mask in seen if any(mask)]
    assert len(masks) > 3
    assert all(mask == sorted(mask) for mask in masks)


@pytest.mark.parametrize("temperature", [1e-320, 1e-40, 1e-10])
def test_a_temperature_near_zero_takes_the_best_id(temperature):
    logprobs = torch.tensor([[-0.02, -4.0, -9.0], [-3.0, -0.1, -2.5]]).log_softmax(-1)
    assert _tempered(logprobs, temperature).softmax(-1).tolist() == [[1, 0, 0], [0, 1, 0]]


@pytest.mark.parametrize("temperature", [0.3, 0.7, 1.0, 1.5])
def test_a_usual_temperature_divides_and_nothing_else(temperature):
    logprobs = torch.randn(50, 20, generator=torch.Generator().manual_seed(3)).log_softmax(-1)
    assert torch.equal(_tempered(logprobs, temperature), logprobs / temperature)
