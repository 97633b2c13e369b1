"""Agreement is a difference of log-likelihoods; a toy denoiser whose answers are known says which."""

from __future__ import annotations

import math

import pytest
import torch

from medim_forge.model.cost import MASK_RATIOS, scoring_rows
from medim_forge.model.layout import Codebook, ReportIds, TokenLayout
from medim_forge.model.sampling import CounterDraws, SamplingError
from medim_forge.model.scoring import Scorer, by_sentence

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

    def read_alone(self, state, t):
        return self.read(state, t)

    def logits(self, hidden, ids):
        return torch.where(ids[None] == 6 + hidden, math.log(self.sure), 0.0)


def state(words, code):
    row = [1, 11, *words, 2]
    row += [0] * (8 - len(row))
    return [*row, *[LAYOUT.image_offset + code] * 4]


def scored(rows, denoiser, seeds=None):
    seeds = list(range(len(rows))) if seeds is None else seeds
    draws = CounterDraws(seeds, LAYOUT.state_slots)
    return Scorer(denoiser, torch.tensor(rows), torch.full((len(rows),), OPENING), draws).score()


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
    whole, sets = torch.tensor(rows), []
    assert scores.passes == scoring_rows(MASK_RATIOS) * len(rows) == sum(len(seen) for seen, _ in denoiser.calls)
    for seen, t in denoiser.calls:
        masked = seen == LAYOUT.mask_id
        assert not bool((masked[:, :8] & (whole[:, :8] < 6).repeat(len(seen) // 2, 1)).any())
        assert not bool(masked[:, :OPENING].any())
        sets += [
            (report.sum(1).tolist(), image.sum(1).tolist(), time.tolist())
            for report, image, time in zip(masked[:, :8].split(2), masked[:, 8:].split(2), t.split(2), strict=True)
        ]
    assert sets == [
        ([4, 1], [4, 4], [1.0, 1.0]),
        ([4, 1], [0, 0], [1.0, 1.0]),
        ([0, 0], [4, 4], [1.0, 1.0]),
        ([2, 1], [0, 0], [0.5, 1.0]),
        ([2, 1], [4, 4], [0.5, 1.0]),
        ([0, 0], [2, 2], [0.5, 0.5]),
        ([4, 1], [2, 2], [0.5, 0.5]),
    ]
    halves = denoiser.calls[3][0] == LAYOUT.mask_id
    assert torch.equal(halves[:2, :8], halves[2:, :8])
    pictures = denoiser.calls[4][0] == LAYOUT.mask_id
    assert torch.equal(pictures[:2, 8:], pictures[2:, 8:])


class Drawing(Knowing):
    """Whoever sees the first word gives its code the odds `sure`; whoever does not finds all codes equally likely."""

    def read(self, state, t):
        self.calls.append((state.clone(), t.clone()))
        hidden = torch.zeros(*state.shape, 1)
        hidden[:, :, 0] = torch.where(state[:, 2] == LAYOUT.mask_id, -1, state[:, 2] - 6)[:, None].float()
        return hidden

    def logits(self, hidden, ids):
        return torch.where(ids[None] == LAYOUT.image_offset + hidden, math.log(self.sure), 0.0)


def test_agreement_of_the_image_is_the_known_difference_too():
    sure, codes = 7.0, 9
    scores = scored([state([7, 7], 1), state([8, 7], 1)], Drawing(sure))
    norm = codes - 1 + sure
    assert scores.image_agreement[0].item() == pytest.approx(math.log(sure / norm) - math.log(1 / codes), abs=1e-6)
    assert scores.image_agreement[1].item() == pytest.approx(math.log(1 / norm) - math.log(1 / codes), abs=1e-6)
    assert scores.image_fluency.tolist() == pytest.approx([math.log(1 / codes)] * 2)


def test_fluency_is_what_the_report_has_without_the_image():
    assert scored([state([7, 7, 9], 1)], Knowing(7.0)).fluency.item() == pytest.approx(math.log(1 / CHOICES))


def test_slots_are_scored_where_there_are_words():
    found = scored([state([7, 8], 1)], Knowing(7.0)).slot_agreement[0]
    norm = CHOICES - 1 + 7.0
    expected = [math.log(7.0 / norm) - math.log(1 / CHOICES), math.log(1 / norm) - math.log(1 / CHOICES)]
    assert found[2:4].tolist() == pytest.approx(expected, abs=1e-6)
    assert torch.isnan(found[[0, 1, 4, 5, 6, 7]]).all()


@pytest.mark.parametrize("denoiser", [Knowing(7.0), Drawing(7.0)])
def test_a_report_beside_another_image_is_scored_as_if_it_were_the_pair(denoiser):
    # Each side has its own masks; a mismatched pair agrees as `score` says of it, less the two fluencies.
    images, reports = [state([7, 7], 1), state([8, 6], 2)], [state([8, 9], 2), state([7, 9], 0)]
    opening = torch.full((2,), OPENING)
    ours = Scorer(denoiser, torch.tensor(images), opening, CounterDraws([3, 4], LAYOUT.state_slots))
    theirs = Scorer(denoiser, torch.tensor(reports), opening, CounterDraws([5, 6], LAYOUT.state_slots))
    report, image = ours.mismatched(theirs)
    mixed = [[*words[:8], *codes[8:]] for words, codes in zip(reports, images, strict=True)]
    expected = scored(mixed, denoiser, [5, 6])
    assert (report - theirs.score().fluency).tolist() == pytest.approx(expected.agreement.tolist(), abs=1e-6)
    assert (image - ours.score().image_fluency).tolist() == pytest.approx(expected.image_agreement.tolist(), abs=1e-6)


def test_what_is_cached_is_asked_for_without_the_words_and_the_image_of_the_pair():
    class Alone(Knowing):
        def read_alone(self, state, t):
            asked.append((state.tolist(), t.tolist()))
            return super().read_alone(state, t)

    asked = []
    scored([state([7, 8], 1)], Alone(7.0), [1])
    scored([state([9, 6], 2)], Alone(7.0), [2])
    mask = LAYOUT.mask_id
    assert asked == [([[1, 11, mask, mask, 2, 0, 0, 0, *[mask] * 4]], [1.0])] * 2


def test_sentences_end_where_their_last_piece_does():
    class Pieces:
        def decode(self, ids):
            return {6: "a", 7: "end.", 8: "Here:"}[ids[0]]

    nan = math.nan
    found = by_sentence(Pieces(), torch.tensor([1, 6, 7, 8, 6, 2]), torch.tensor([nan, 1.0, 3.0, 0.5, 4.0, nan]))
    assert found == (2.0, 0.5, 4.0)


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
    assert shapes[: len(shapes) // 2] == shapes[len(shapes) // 2 :]
    assert set(shapes) == {(LAYOUT.report_slots, 1, CHOICES), (LAYOUT.image_slots, 1, 9)}


def test_the_embedding_is_the_mean_hidden_state_of_the_image_slots():
    assert scored([state([7], 3)], Knowing(7.0)).embedding.tolist() == [[3.0]]


def test_logits_that_are_not_finite_name_the_row_and_become_no_score():
    class Broken(Knowing):
        def logits(self, hidden, ids):
            # The second pair's code is 1; without its image nothing is wrong.
            return super().logits(hidden, ids).masked_fill(hidden == 1, torch.nan)

    states = torch.tensor([state([6, 7], 0), state([6, 7], 1), state([6, 7], 2)])
    opening = torch.full((3,), OPENING)
    with pytest.raises(SamplingError, match="not finite when the pair is scored, for row 1") as caught:
        Scorer(Broken(5.0), states, opening, CounterDraws([1, 2, 3], LAYOUT.state_slots)).score()
    assert caught.value.rows == (1,)
