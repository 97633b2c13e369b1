"""Jobs on the official layout: all tasks in both modes, rows that do not feel their neighbours, the published rules."""

from __future__ import annotations

import dataclasses
import io
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from medim_forge.generator.errors import ReplicaError, RowError, SpecError
from medim_forge.generator.records import PairRequest, Prompt, Shard
from medim_forge.generator.replica.load import load_replica
from medim_forge.generator.replica.rows import given_row
from medim_forge.model.checkpoint import read_config
from medim_forge.model.conventions import OFFICIAL_OPENING
from medim_forge.model.medim import Given, Medim
from medim_forge.model.network import conditioning_ids
from medim_forge.model.sampling import OfficialSampling, sigma
from medim_forge.model.sampling.noise import CounterDraws, Use, inverse_cdf
from medim_forge.model.text import TextError
from tests.doubles import official_oracle as oracle

PROMPTS = [
    ("chest_xray", OFFICIAL_OPENING),
    ("pathology", "Glands"),
    ("chest_xray", ""),
    ("pathology", "The nuclei are large and dark"),
    ("chest_xray", "The heart"),
]
MODES = {
    "official": {"mode": "official", "steps": 7, "guidance": 5.0, "batch_size": 3},
    "corrected": {"mode": "corrected", "order": "joint", "image_reveal": "confidence", "steps": 7, "batch_size": 3},
}
INPUTS = {"source": "phantoms", "domain": "chest_xray", "pairs": 5, "opening": ""}


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture
def make(spec, official_checkpoint):
    def made(**changes):
        usual = {"model": {"checkpoint": str(official_checkpoint)}, "sampling": MODES["official"]}
        return spec(**{**usual, **changes})

    return made


def png(width, height, seed=0):
    stream = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


def requests(task):
    """Five rows that differ in everything that a task lets differ."""
    rows = []
    for index, (domain, text) in enumerate(PROMPTS):
        given = {}
        if task == "report_to_image":
            given = {"given_report": (text or "No words") + ". More." + " More." * index}
        if task == "image_to_report":
            given = {"given_image": png(20 + 300 * index, 30 + index, index)}
        prompt = Prompt(domain=domain, text=text if task == "joint" else "")
        rows.append(PairRequest(pair_id=f"pair-{index}", pair_index=index, seed=1000 + index, prompt=prompt, **given))
    return rows


def shard(rows, task):
    return Shard(index=0, task=task, requests=tuple(rows))


def task_spec(make, task, mode, **changes):
    inputs = {} if task == "joint" else {"prompts": None, "inputs": INPUTS}
    return make(task=task, sampling=MODES[mode], **inputs, **changes)


def content(pair):
    return {
        name: np.asarray(value).tobytes() if isinstance(value, (np.ndarray, float)) else value
        for name, value in dataclasses.asdict(pair).items()
    }


@pytest.mark.parametrize("task", ["joint", "report_to_image", "image_to_report"])
@pytest.mark.parametrize("mode", MODES)
def test_a_pair_is_the_same_to_the_last_bit_whoever_is_missing(make, task, mode):
    replica = load_replica(task_spec(make, task, mode))
    rows = requests(task)
    whole = [content(pair) for pair in replica.generate(shard(rows, task))]
    rest = [row for row in rows if row.pair_index not in (0, 3)]
    assert [content(pair) for pair in replica.generate(shard(rest, task))] == [whole[1], whole[2], whole[4]]
    assert content(replica.generate(shard(rows[3:4], task))[0]) == whole[3]


@pytest.mark.parametrize("mode", MODES)
def test_every_task_keeps_what_is_given_and_makes_the_rest(make, mode):
    made = {
        task: load_replica(task_spec(make, task, mode)).generate(shard(requests(task), task))
        for task in ("joint", "report_to_image", "image_to_report")
    }
    for pair, (_, text) in zip(made["joint"], PROMPTS, strict=True):
        assert pair.report.startswith(text)
        assert pair.prompt_chars == len(text)
        assert pair.image.shape == (32, 32, 3)
        assert np.isfinite([pair.report_logprob, pair.image_logprob]).all()
    for pair, row in zip(made["report_to_image"], requests("report_to_image"), strict=True):
        assert pair.report == row.given_report
        assert np.isnan(pair.report_logprob)
        assert np.isfinite([pair.image_logprob, pair.agreement]).all()
    for pair in made["image_to_report"]:
        assert pair.prompt_chars == 0
        assert pair.report
        assert np.isnan(pair.image_logprob)
        assert np.isfinite([pair.report_logprob, pair.agreement]).all()


class CounterNoise:
    """The draws of a row of a job, as the noise that the oracle asks for."""

    def __init__(self, seed, slots):
        self.draws = CounterDraws([seed], slots)

    def gumbel(self, steps):
        return torch.stack([self.draws.gumbel(step) for step in range(steps)])


@pytest.mark.parametrize("row", range(3))
def test_a_row_of_a_batch_is_what_the_slow_oracle_makes_of_it_alone(official_checkpoint, row):
    """Prompts and stated sizes of different length in one batch; the oracle sees one row, unpadded."""
    model = Medim.load(official_checkpoint)
    layout, conventions = model.layout, model.config.conventions
    image = np.random.default_rng(3).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    rows = [
        Given(domain="chest_xray", seed=5, opening="The heart"),
        Given(domain="pathology", seed=6, opening="Glands are seen in the"),
        Given(domain="chest_xray", seed=7, image=image, size=(10240, 7)),
    ]
    steps, state = 6, torch.stack([model.initial_state(row, official=True) for row in rows])
    sampled = model._sample_official(
        model.conditioned(rows),
        state,
        [row.domain for row in rows],
        OfficialSampling(steps=steps, guidance=5.0),
        CounterDraws([row.seed for row in rows], layout.state_slots),
    )
    width, height = rows[row].size or {"chest_xray": (2544, 3056), "pathology": (672, 672)}[rows[row].domain]
    cond = model.text.encode(conventions.conditioning_text(width, height))
    ids = oracle.Ids(
        text_slots=layout.report_slots, image_slots=layout.image_slots, mask=layout.mask_id, vocab=layout.vocab,
        boi=layout.boi_id, eoi=layout.eoi_id, eos=layout.eos_id,
    )  # fmt: skip

    def network(states, level):
        tokens, attended = oracle.network_input(states[0], cond, ids)
        hidden = model._backbone(torch.tensor([tokens]), torch.tensor([attended]), torch.tensor([level]))
        return oracle.read_logits(model._backbone.logits(hidden)[0], ids)[None]

    noise = CounterNoise(rows[row].seed, layout.state_slots)
    given = state[row : row + 1] != layout.mask_id
    # The oracle races exponentials; jobs invert the cumulative distribution with one number per slot.
    out = oracle.sample(
        network, state[row : row + 1].tolist(), given.tolist(), ids,
        steps=steps, cfg=5.0, exponential=torch.zeros(0), gumbel=noise.gumbel(steps),
        draw=lambda p, step, b, i: invert(p, noise, step, i),
    )  # fmt: skip
    expected = torch.tensor(out[0])
    expected[layout.report_slots :].clamp_(layout.image_offset, layout.vocab - 1)
    assert torch.equal(sampled.state[row], expected)


def invert(p, noise, step, slot):
    u = noise.draws.uniform(Use.TOKEN, step)[0, slot]
    return int(inverse_cdf(p[None], u[None])[0])


def test_nothing_given_means_that_every_slot_was_masked(official_checkpoint):
    model = Medim.load(official_checkpoint)
    state = model.initial_state(Given(domain="chest_xray", seed=1), official=True)
    assert bool((state == model.layout.mask_id).all())
    # Corrected sampling never draws the begin of text, so it is known to be there.
    state = model.initial_state(Given(domain="chest_xray", seed=1))
    assert state[0] == model.layout.bos_id
    assert bool((state[1:] == model.layout.mask_id).all())


def test_an_unconditional_job_has_an_empty_prompt(make):
    prompts = [{"domain": "chest_xray", "text": "", "pairs": 2}]
    replica = load_replica(make(prompts=prompts))
    for pair in replica.generate(shard(requests("joint")[2:3], "joint")):
        assert pair.prompt_chars == 0
        assert pair.report


def test_a_prompt_of_two_sentences_is_cut_in_official_mode_only(make):
    row = dataclasses.replace(requests("joint")[0], prompt=Prompt(domain="chest_xray", text="The heart. No effusion."))
    (official,) = load_replica(make()).generate(shard([row], "joint"))
    assert official.prompt_chars == len("The heart")
    (corrected,) = load_replica(make(sampling=MODES["corrected"])).generate(shard([row], "joint"))
    assert corrected.prompt_chars == len("The heart. No effusion.")
    assert corrected.report.startswith("The heart. No effusion.")


def test_a_long_report_is_truncated_in_official_mode_and_refused_otherwise(make):
    row = dataclasses.replace(requests("report_to_image")[0], given_report="The heart is large. " * 30)
    spec = task_spec(make, "report_to_image", "official")
    (pair,) = load_replica(spec).generate(shard([row], "report_to_image"))
    assert pair.report == row.given_report
    with pytest.raises(RowError, match="does not fit the 48 report slots"):
        load_replica(task_spec(make, "report_to_image", "corrected")).generate(shard([row], "report_to_image"))


def test_the_stated_size_of_a_given_image_is_that_of_its_file(make):
    replica = load_replica(task_spec(make, "image_to_report", "official"))
    row = requests("image_to_report")[1]
    wide = dataclasses.replace(row, given_image=png(320, 31, 1))
    # The same picture, said to be of another size, is another input.
    buffer = io.BytesIO()
    with Image.open(io.BytesIO(wide.given_image)) as opened:
        opened.resize((640, 62), Image.Resampling.NEAREST).save(buffer, "PNG")
    size = [
        given_row(dataclasses.replace(row, given_image=data), replica.model, official=True).size
        for data in (wide.given_image, buffer.getvalue())
    ]
    assert size == [(320, 31), (640, 62)]
    conventions, text = replica.model.config.conventions, replica.model.text
    ids = [conditioning_ids(conventions, text, [stated]) for stated in size]
    assert ids[0].shape == ids[1].shape
    assert not torch.equal(*ids)


def test_an_image_too_large_to_be_padded_or_stated_is_refused(make):
    replica = load_replica(task_spec(make, "image_to_report", "official"))
    row = dataclasses.replace(requests("image_to_report")[0], given_image=png(20_000, 1))
    with pytest.raises(RowError, match="20000 x 1 pixels, too many to be padded"):
        replica.generate(shard([row], "image_to_report"))
    with pytest.raises(TextError, match="1000000 x 999999 pixels has"):
        replica.model.conditioned([Given(domain="chest_xray", seed=0, size=(1_000_000, 999_999))])


def test_padding_has_the_published_colour(official_checkpoint):
    from medim_forge.generator.inputs.images import read_image

    read = read_image(png(64, 32), "chest_xray", read_config(official_checkpoint))
    assert read.shape == (32, 32, 3)
    assert (read[:6] == (122, 116, 104)).all()
    assert (read[-6:] == (122, 116, 104)).all()


def test_official_sampling_needs_an_official_checkpoint_and_its_own_keys(make, tiny_checkpoint):
    with pytest.raises(ReplicaError, match=r"needs an official checkpoint, made by `medim convert`"):
        load_replica(make(model={"checkpoint": str(tiny_checkpoint)}))
    sampling = {"mode": "official", "order": "joint", "text_temperature": 0.5}
    with pytest.raises(SpecError, match=r"mode: official fixes order, text_temperature; leave them out"):
        load_replica(make(sampling=sampling))


def test_special_tokens_stay_in_reports_where_the_checkpoint_says_so(make, official_checkpoint, tmp_path):
    folder = Path(shutil.copytree(official_checkpoint, tmp_path / "kept"))
    raw = json.loads((folder / "config.json").read_text())
    raw["conventions"]["text"]["special_text"] = "kept"
    (folder / "config.json").write_text(json.dumps(raw))
    replica = load_replica(make(model={"checkpoint": str(folder)}))
    (pair,) = replica.generate(shard(requests("joint")[4:], "joint"))
    assert pair.report.startswith("<s>")
    assert pair.report[: pair.prompt_chars].endswith("The heart")


def test_the_noise_level_of_the_first_step_is_that_of_t_1():
    assert float(sigma(torch.tensor(1.0))) == pytest.approx(6.9078, abs=1e-4)
