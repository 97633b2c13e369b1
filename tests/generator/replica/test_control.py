"""The control of the agreement score: mismatched pairs, scored in the pieces that they were sampled in."""

from __future__ import annotations

import dataclasses
import io

import numpy as np
import pytest
import torch
from PIL import Image

from medim_forge.generator.phantoms import OPENING
from medim_forge.generator.records import PairRequest, Prompt, Shard
from medim_forge.generator.replica.load import load_replica
from medim_forge.generator.replica.rows import finished_row
from medim_forge.model.conventions import OFFICIAL_OPENING
from medim_forge.model.text import TextError

OFFICIAL = {"mode": "official", "steps": 10, "guidance": 5.0, "batch_size": 3}
INPUTS = {"source": "phantoms", "domain": "chest_xray", "pairs": 6, "opening": ""}


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    torch.set_num_threads(1)


def png(index):
    stream = io.BytesIO()
    pixels = np.random.default_rng(index).integers(0, 256, (30 + index, 20 + 300 * index, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


def requests(task, count, text=""):
    given = {
        "joint": lambda index: {},
        "report_to_image": lambda index: {"given_report": OFFICIAL_OPENING + "." + " More." * (1 + index)},
        "image_to_report": lambda index: {"given_image": png(index)},
    }[task]
    return [
        PairRequest(
            pair_id=f"pair-{index}",
            pair_index=index,
            seed=1000 + index,
            prompt=Prompt(domain="chest_xray", text=text),
            **given(index),
        )
        for index in range(count)
    ]


def made(replica, task, count, text=""):
    return replica.generate(Shard(index=0, task=task, requests=tuple(requests(task, count, text))))


def official(spec, folder, task):
    inputs = {} if task == "joint" else {"prompts": None, "inputs": INPUTS}
    return load_replica(spec(task=task, model={"checkpoint": str(folder)}, sampling=OFFICIAL, **inputs))


@pytest.mark.parametrize("task", ["joint", "report_to_image", "image_to_report"])
def test_every_pair_of_published_weights_has_a_control(spec, official_checkpoint, task):
    replica = official(spec, official_checkpoint, task)
    pairs = made(replica, task, 6)
    values = replica.shuffled(pairs, [*pairs[1:], pairs[0]])
    assert np.isfinite(values).all()
    if task != "report_to_image":
        # What was sampled is not what its text is read back as, where that fits at all.
        assert not any(same_pieces(replica, pair) for pair in pairs)


def same_pieces(replica, pair):
    try:
        return replica.model.report_ids(pair.report, whole=True) == pair.report_ids.tolist()
    except TextError:
        return False


@pytest.mark.parametrize("task", ["joint", "report_to_image", "image_to_report"])
def test_a_finished_pair_is_scored_again_as_it_was_when_it_was_made(spec, official_checkpoint, task):
    """Report pieces, codes and stated size are those of sampling, or the figures would be others."""
    replica = official(spec, official_checkpoint, task)
    pairs = made(replica, task, 3)
    rows, codes = [finished_row(pair) for pair in pairs], [pair.image_codes for pair in pairs]
    openings = [replica.openings["chest_xray"]] * 3
    with torch.inference_mode():
        scores = replica.model.scorer(rows, codes, openings, replica.effort.ratios).score()
        without_size = [dataclasses.replace(row, size=None) for row in rows]
        other = replica.model.scorer(without_size, codes, openings, replica.effort.ratios).score()
    assert scores.agreement.tolist() == [pair.agreement for pair in pairs]
    assert scores.image_agreement.tolist() == [pair.image_agreement for pair in pairs]
    assert scores.image_fluency.tolist() == [pair.image_fluency for pair in pairs]
    assert (other.agreement.tolist() == scores.agreement.tolist()) == (task != "image_to_report")


def corrected(spec, folder, steps):
    sampling = {"steps": steps, "text_steps": 5, "batch_size": 4}
    return load_replica(spec(model={"checkpoint": str(folder)}, sampling=sampling))


def test_a_control_does_not_depend_on_the_pairs_beside_it(spec, tiny_checkpoint):
    replica = corrected(spec, tiny_checkpoint, steps=8)
    pairs = made(replica, "joint", 5, OPENING["chest_xray"])
    others = [*pairs[2:], *pairs[:2]]
    values = replica.shuffled(pairs, others)
    assert np.isfinite(values).all()
    assert replica.shuffled(pairs[1:], others[1:]) == values[1:]
    assert replica.shuffled(pairs[3:4], others[3:4]) == values[3:4]
    assert replica.shuffled(pairs[::-1], others[::-1]) == values[::-1]
    assert corrected(spec, tiny_checkpoint, steps=8).shuffled(pairs, others) == values


def test_where_sampling_is_cheap_one_pair_in_four_has_a_control_and_the_same_one(spec, tiny_checkpoint):
    cheap = corrected(spec, tiny_checkpoint, steps=3)
    pairs = made(cheap, "joint", 5, OPENING["chest_xray"])
    others = [*pairs[2:], *pairs[:2]]
    values = cheap.shuffled(pairs, others)
    assert np.isfinite(values).tolist() == [True, False, False, False, True]
    dear = corrected(spec, tiny_checkpoint, steps=8)
    assert dear.effort.ratios == cheap.effort.ratios
    whole = dear.shuffled(pairs, others)
    assert [values[0], values[4]] == [whole[0], whole[4]]


def test_pairs_that_came_without_pieces_are_read_back_from_their_text(spec, tiny_checkpoint):
    replica = corrected(spec, tiny_checkpoint, steps=8)
    pairs = made(replica, "joint", 2, OPENING["chest_xray"])
    bare = [dataclasses.replace(pair, report="No effusion.", report_ids=np.zeros(0, np.int32)) for pair in pairs]
    ids = replica.model.report_ids("No effusion.", whole=True)
    spelt = [dataclasses.replace(pair, report_ids=np.array(ids, np.int32)) for pair in bare]
    assert replica.shuffled(pairs, bare) == replica.shuffled(pairs, spelt)
