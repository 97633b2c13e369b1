"""A replica with tiny random weights: pairs depend on their own request, and what cannot be used is named."""

from __future__ import annotations

import dataclasses
import io

import numpy as np
import pytest
import torch
from PIL import Image

from medim_forge.generator.errors import DeviceMemoryError, ReplicaError, RowError
from medim_forge.generator.inputs.images import read_image
from medim_forge.generator.phantoms import OPENING, draw
from medim_forge.generator.records import PairRequest, Prompt, Shard
from medim_forge.generator.replica.load import checkpoint_facts, load_replica
from medim_forge.generator.tracing import portable_traceback
from medim_forge.model.sampling import SamplingError
from tests.doubles.tiny_checkpoint import write_tiny_checkpoint

SAMPLING = {"steps": 3, "text_steps": 5, "batch_size": 3}
# Prompts of three lengths, so that rows of one batch need different numbers of steps.
LONGER = {domain: draw(domain, 3).report.split(". ") for domain in OPENING}
TEXTS = [
    ("chest_xray", OPENING["chest_xray"]),
    ("pathology", OPENING["pathology"]),
    ("chest_xray", ". ".join(LONGER["chest_xray"][:4]) + "."),
    ("pathology", ". ".join(LONGER["pathology"][:3]) + "."),
    ("pathology", OPENING["pathology"]),
]


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture
def make(spec, tiny_checkpoint):
    """A spec with the tiny weights; keyword arguments replace its keys."""

    def made(**changes):
        return spec(**{"model": {"checkpoint": str(tiny_checkpoint)}, "sampling": SAMPLING, **changes})

    return made


def requests(**given):
    return tuple(
        PairRequest(
            pair_id=f"pair-{index}",
            pair_index=index,
            seed=1000 + index,
            prompt=Prompt(domain=domain, text=text),
            **given,
        )
        for index, (domain, text) in enumerate(TEXTS)
    )


def shard(rows, task="joint"):
    return Shard(index=0, task=task, requests=tuple(rows))


def content(pair):
    """Every field of a pair, to the last bit; NaN is the same as NaN."""
    return {
        name: np.asarray(value).tobytes() if isinstance(value, (np.ndarray, float)) else value
        for name, value in dataclasses.asdict(pair).items()
    }


def png(array):
    stream = io.BytesIO()
    Image.fromarray(array).save(stream, "PNG")
    return stream.getvalue()


@pytest.mark.parametrize(
    "sampling",
    [
        {},
        {"text_reveal": "sequential", "guidance": 0.0},
        {"text_reveal": "confidence", "image_reveal": "confidence"},
        {"method": "ancestral"},
        {"order": "joint"},
        {"order": "image_first"},
    ],
    ids=lambda changes: "-".join(map(str, changes.values())) or "default",
)
def test_a_pair_is_the_same_to_the_last_bit_whoever_is_missing(make, sampling):
    replica = load_replica(make(sampling={**SAMPLING, **sampling}))
    rows = requests()
    whole = [content(pair) for pair in replica.generate(shard(rows))]
    assert [pair["request"]["pair_id"] for pair in whole] == [row.pair_id for row in rows]
    for left_out in (0, 3):
        rest = [row for row in rows if row.pair_index != left_out]
        remade = [content(pair) for pair in replica.generate(shard(rest))]
        assert remade == [pair for index, pair in enumerate(whole) if index != left_out]
    for index in (2, 4):
        assert content(replica.generate(shard([rows[index]]))[0]) == whole[index]


def test_another_seed_gives_another_pair(make):
    replica = load_replica(make())
    row = requests()[0]
    one, other = replica.generate(shard([row, dataclasses.replace(row, pair_id="other", pair_index=1, seed=5)]))
    assert content(one)["image"] != content(other)["image"]


def test_other_weights_are_another_replica(make, tmp_path, tiny_checkpoint):
    other = write_tiny_checkpoint(tmp_path / "other", seed=1)
    facts = checkpoint_facts(make())
    assert facts == checkpoint_facts(make()) == load_replica(make()).facts
    changed = checkpoint_facts(make(model={"checkpoint": str(other)}))
    assert changed.model_sha256 != facts.model_sha256
    assert list(facts.versions) == sorted(facts.versions, key=lambda name: (name != "python", name))
    assert facts.device == "cpu"


def test_official_sampling_is_refused_with_its_reason(make):
    with pytest.raises(ReplicaError, match=r"sampling\.mode: official needs an official checkpoint"):
        load_replica(make(sampling={"mode": "official"}))


def test_a_missing_or_damaged_checkpoint_is_named(make, tmp_path):
    with pytest.raises(ReplicaError, match=r"model\.checkpoint: checkpoint .*nowhere.* is not a folder"):
        load_replica(make(model={"checkpoint": str(tmp_path / "nowhere")}))
    folder = write_tiny_checkpoint(tmp_path / "damaged")
    (folder / "backbone.safetensors").unlink()
    for check in (load_replica, checkpoint_facts):
        with pytest.raises(ReplicaError, match=r"model\.checkpoint: .*backbone\.safetensors is missing"):
            check(make(model={"checkpoint": str(folder)}))


INPUTS = {"source": "phantoms", "domain": "pathology", "pairs": 5}


def test_given_reports_are_kept_word_for_word(make):
    replica = load_replica(make(task="report_to_image", prompts=None, inputs=INPUTS))
    report = draw("pathology", 9).report
    free = "Glands were seen today."
    rows = [
        dataclasses.replace(row, prompt=Prompt(domain="pathology", text=""), given_report=text)
        for row, text in zip(requests(), (report, free), strict=False)
    ]
    for pair, text in zip(replica.generate(shard(rows, "report_to_image")), (report, free), strict=True):
        assert pair.report == text
        assert pair.prompt_chars == len(text)
        assert np.isnan(pair.report_logprob)
        assert np.isfinite([pair.image_logprob, pair.agreement]).all()


def test_given_images_are_brought_to_the_models_size_and_kept(make):
    replica = load_replica(make(task="image_to_report", prompts=None, inputs=INPUTS))
    phantom = draw("pathology", 9)
    wide = np.zeros((50, 100, 4), np.uint8)
    rows = [
        dataclasses.replace(row, given_image=png(image))
        for row, image in zip(requests()[3:], (phantom.image, wide), strict=True)
    ]
    kept, resized = replica.generate(shard(rows, "image_to_report"))
    assert np.array_equal(kept.image, phantom.image)
    assert resized.image.shape == (96, 96, 3)
    assert kept.report.startswith(TEXTS[3][1])
    assert np.isnan(kept.image_logprob)
    assert np.isfinite(kept.report_logprob)


def test_an_image_that_is_not_square_is_padded_not_stretched(make, tiny_checkpoint):
    from medim_forge.model.checkpoint import read_config

    bright = np.full((24, 48), 255, np.uint8)
    read = read_image(png(bright), "chest_xray", read_config(tiny_checkpoint))
    assert read.shape == (96, 96)
    assert read[:15].max() == read[-15:].max() == 0
    assert read[40:56].min() == 255


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"no image", "cannot be decoded"),
        (png(draw("pathology", 1).image)[:300], "cannot be decoded"),
    ],
    ids=["garbage", "truncated"],
)
def test_an_unreadable_image_is_a_row_error_and_the_others_go_on(make, data, words):
    replica = load_replica(make(task="image_to_report", prompts=None, inputs=INPUTS))
    good, bad = (dataclasses.replace(row, given_image=png(draw("pathology", 1).image)) for row in requests()[3:])
    whole = [content(pair) for pair in replica.generate(shard([good, bad], "image_to_report"))]
    bad = dataclasses.replace(bad, given_image=data)
    with pytest.raises(RowError, match=words) as caught:
        replica.generate(shard([good, bad], "image_to_report"))
    assert caught.value.pair_id == bad.pair_id
    assert [content(pair) for pair in replica.generate(shard([good], "image_to_report"))] == whole[:1]


def test_a_given_report_that_does_not_fit_is_a_row_error(make):
    replica = load_replica(make(task="report_to_image", prompts=None, inputs=INPUTS))
    row = dataclasses.replace(requests()[1], given_report="zq " * 30)
    with pytest.raises(RowError, match=r"pair pair-1: report of \d+ ids does not fit"):
        replica.generate(shard([row], "report_to_image"))


@pytest.mark.parametrize("text", ["zq " * 30 + "Jane Doe", "Jane Doe \N{SNOWMAN}", "Jane Doe <s>", "Jane Doe \ud800"])
def test_a_given_report_that_cannot_be_used_is_not_repeated_for_it_may_be_about_somebody(make, text):
    replica = load_replica(make(task="report_to_image", prompts=None, inputs=INPUTS))
    row = dataclasses.replace(requests()[1], given_report=text)
    with pytest.raises(RowError, match="pair pair-1: report") as caught:
        replica.generate(shard([row], "report_to_image"))
    assert "Jane" not in portable_traceback(caught.value)


def test_logits_that_are_not_finite_name_the_pair_and_its_seed(make, monkeypatch):
    replica = load_replica(make())

    def broken(*args):
        raise SamplingError((0, 2), "logits are not finite")

    monkeypatch.setattr(replica.model, "make", broken)
    with pytest.raises(RowError, match="pair pair-2: seed 1002: logits are not finite"):
        replica.generate(shard(requests()[1:3]))


def test_running_out_of_memory_names_the_batch_size(make, monkeypatch):
    replica = load_replica(make())

    def full(*args):
        raise torch.OutOfMemoryError("17 GiB")

    monkeypatch.setattr(replica.model, "make", full)
    with pytest.raises(DeviceMemoryError, match=r"sampling\.batch_size = 3 does not fit cpu: 17 GiB"):
        replica.generate(shard(requests()))
