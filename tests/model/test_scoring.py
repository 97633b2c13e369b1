"""Agreement is a difference of log-likelihoods; a toy denoiser whose answers are known says which."""

from __future__ import annotations

import math

import pytest
import torch

from model.layout import Codebook, ReportIds, TokenLayout
from model.noise import CounterDraws
from model.scoring import MASK_RATIOS, score

LAYOUT = TokenLayout(
    report_slots=8,
    image_slots=4,
    report_vocab=14,
    codebooks=(Codebook(domains=("a",), size=5), Codebook(domains=("b",), size=4)),
    end_id=2,
    boi_id=3,
    eoi_id=4,
    eos_id=5,
    report_ids=(ReportIds(domain="a", ids=(6, 7, 8)), ReportIds(domain="b", ids=(9, 10))),
)
CHOICES = 8  # report ids 6 .. 13
OPENING = 2


class Knowing:
    """Whoever sees the image gives the token `6 + code` the odds `sure`; whoever does not finds all equally likely."""

    layout = LAYOUT

    def __init__(self, sure):
        self.sure, self.calls = sure, []

    def read(self, state, t):
        self.calls.append((state.clone(), t.clone()))
        code = state[:, 8] - LAYOUT.image_offset
        hidden = torch.zeros(*state.shape, 1)
        hidden[:, :, 0] = torch.where(state[:, 8] == LAYOUT.mask_id, -1, code)[:, None].float()
        return hidden

    def logits(self, hidden, ids):
        return torch.where(ids[None] == 6 + hidden, math.log(self.sure), 0.0)


def state(words, code):
    row = [1, 11, *words, 2]
    row += [0] * (8 - len(row))
    return [*row, *[LAYOUT.image_offset + code] * 4]


def scored(rows, denoiser, seeds=None):
    seeds = list(range(len(rows))) if seeds is None else seeds
    return score(
        denoiser,
        torch.tensor(rows),
        torch.full((len(rows),), OPENING),
        CounterDraws(seeds, LAYOUT.state_slots),
    )


def test_agreement_is_the_known_difference_of_log_likelihoods():
    sure = 7.0
    agreement = scored([state([7, 7, 7], 1), state([8, 8, 8], 1)], Knowing(sure)).agreement
    norm = CHOICES - 1 + sure
    # The right word has p = sure / norm, another one 1 / norm, and any word 1 / 8 for whoever sees no image.
    assert agreement[0].item() == pytest.approx(math.log(sure / norm) - math.log(1 / CHOICES), abs=1e-6)
    assert agreement[1].item() == pytest.approx(math.log(1 / norm) - math.log(1 / CHOICES), abs=1e-6)


def test_a_network_that_ignores_the_image_sees_no_agreement():
    assert scored([state([7, 7], 1)], Knowing(1.0)).agreement.item() == pytest.approx(0.0, abs=1e-7)


def test_words_of_no_domain_have_a_score_too():
    agreement = scored([state([13, 12], 1), state([9, 10], 1)], Knowing(7.0)).agreement
    assert agreement[0].item() == agreement[1].item() == pytest.approx(math.log(CHOICES / (CHOICES + 6)), abs=1e-6)


def test_a_report_without_words_has_no_score():
    assert math.isnan(scored([state([], 1)], Knowing(7.0)).agreement.item())


def test_opening_end_and_pads_stay_visible_and_both_passes_share_their_masks():
    denoiser = Knowing(7.0)
    rows = [state([7, 8, 9, 10], 1), state([7], 2)]
    scores = scored(rows, denoiser)
    assert len(denoiser.calls) == len(MASK_RATIOS)
    assert scores.passes == 2 * len(MASK_RATIOS) * len(rows)
    whole, shares = torch.tensor(rows), []
    for seen, t in denoiser.calls:
        masked = seen == LAYOUT.mask_id
        assert torch.equal(masked[:2, :8], masked[2:, :8])
        assert torch.equal(t[:2], t[2:])
        assert not bool(masked[:2, 8:].any())
        assert bool(masked[2:, 8:].all())
        assert not bool((masked[:, :8] & (whole[:, :8] < 6).repeat(2, 1)).any())
        assert not bool(masked[:, :OPENING].any())
        shares.append((masked[:2, :8].sum(1).tolist(), t[:2].tolist()))
    assert shares == [([4, 1], [1.0, 1.0]), ([2, 1], [0.5, 1.0])]


def test_a_score_does_not_depend_on_its_neighbours():
    row = state([7, 8, 9, 10], 1)
    among = scored([state([13], 2), row, state([6, 6], 0)], Knowing(7.0), [5, 6, 7])
    alone = scored([row], Knowing(7.0), [6])
    assert torch.equal(among.agreement[1], alone.agreement[0])
    assert torch.equal(among.embedding[1], alone.embedding[0])


def test_logits_have_one_shape_whatever_is_masked():
    class Counting(Knowing):
        def logits(self, hidden, ids):
            shapes.append((*hidden.shape, len(ids)))
            return super().logits(hidden, ids)

    # Products of other shapes round differently, and a neighbour would show in the last bit.
    shapes = []
    scored([state([7, 8, 9, 10], 1), state([7], 2)], Counting(7.0))
    scored([state([7, 8, 9, 10], 1), state([], 2)], Counting(7.0))
    assert shapes == [(2 * 2 * LAYOUT.report_slots, 1, CHOICES)] * 4


def test_the_embedding_is_the_mean_hidden_state_of_the_image_slots():
    assert scored([state([7], 3)], Knowing(7.0)).embedding.tolist() == [[3.0]]
