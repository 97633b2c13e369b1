"""Training goes on from its snapshot as if it had never stopped, learns, and belongs to one spec."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from medim_forge.generator.errors import SpecError, StoreError
from medim_forge.generator.jobspec.load import parse_spec
from medim_forge.generator.jobspec.train import MixSection
from medim_forge.generator.training.backbone import start
from medim_forge.generator.training.data import TRAIN_SEEDS, draw_corpus, report_ids, report_tokenizer
from medim_forge.generator.training.job import run
from medim_forge.generator.training.loop import Plan, Trainer, Watchers, train
from medim_forge.generator.training.metrics import read_metrics
from medim_forge.generator.training.objective import Mixture
from medim_forge.generator.training.optimise import Schedule, cooldown
from medim_forge.generator.training.source import Encoded, Held
from medim_forge.generator.training.tokenizer import TokenizerPlan, lattice, train_tokenizer
from medim_forge.model import checkpoint, config
from medim_forge.model.loss import CorruptionMix
from medim_forge.model.network import Vqgan

QUIET = lambda line: None  # noqa: E731 - nobody listens


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def sizes():
    full = config.phantom(len(report_tokenizer()))
    small = replace(full.backbone, hidden_size=32, intermediate_size=64, layers=2, heads=2, kv_heads=2, head_dim=16)
    tokenizers = tuple(replace(tokenizer, ch=8, z_channels=8) for tokenizer in full.image_tokenizers)
    return replace(full, backbone=small, image_tokenizers=tokenizers)


@pytest.fixture(scope="module")
def data(sizes):
    text, parts = report_tokenizer(), []
    for domain in ("chest_xray", "pathology"):
        corpus = draw_corpus(domain, 24, TRAIN_SEEDS)
        codes = np.random.default_rng(0).integers(*sizes.layout.code_range(domain), (24, sizes.layout.image_slots))
        state = np.concatenate([report_ids(corpus.reports, text, sizes.layout), codes], axis=1)
        parts.append(Encoded(domain=domain, state=state, opening=np.full(24, 2)))
    return parts


def same(one, other):
    one, other = load_file(one / "weights.safetensors"), load_file(other / "weights.safetensors")
    return all(torch.equal(tensor, other[name]) for name, tensor in one.items())


@pytest.mark.slow
def test_the_backbone_learns(sizes, data, tmp_path):
    schedule = Schedule(rate=5e-3, warmup=2, cooldown_steps=2)
    plan = Plan(steps=45, rows=8, schedule=schedule, save_every=15)
    objective = Mixture(sizes.layout, CorruptionMix(**MixSection().model_dump()))
    source = Held(data, sizes.layout)
    trainer = Trainer(start(sizes, 0, None), sizes.layout, plan, objective, source)
    train(trainer, source, tmp_path, {}, Watchers(say=QUIET))
    losses = [line["held_out"]["report|image"] for line in read_metrics(tmp_path) if "held_out" in line]
    # A network that knows nothing gives every report id the same probability.
    assert losses[-1] < 0.7 * np.log(sizes.layout.report_vocab)


def test_an_image_tokenizer_run_that_was_stopped_ends_with_the_same_weights(sizes, tmp_path):
    images = draw_corpus("chest_xray", 12, TRAIN_SEEDS).images
    settings = TokenizerPlan(steps=4, batch=4, rate=2e-3, cooldown_steps=2, snapshot_every=2, seed=0)
    train_tokenizer(sizes.image_tokenizers[0], settings, images, images, tmp_path / "whole", "cpu", QUIET)

    def stop(line):
        if "step 2/4" in line:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_tokenizer(sizes.image_tokenizers[0], settings, images, images, tmp_path / "broken", "cpu", stop)
    train_tokenizer(sizes.image_tokenizers[0], settings, images, images, tmp_path / "broken", "cpu", QUIET)
    assert same(tmp_path / "whole", tmp_path / "broken")


def test_nearest_code_on_the_lattice_is_rounding(sizes):
    codes = lattice(512, 3)
    assert codes.shape == (512, 3)
    assert len(torch.unique(codes, dim=0)) == 512
    tokenizer = Vqgan(sizes.image_tokenizers[0])
    tokenizer.quantize.embedding.weight.data.copy_(codes)
    z = torch.randn(1, 3, 12, 12, generator=torch.Generator().manual_seed(0))
    found = codes[tokenizer.quantize.nearest(z)][0]
    rounded = ((z.clamp(-1, 1) + 1) * 3.5).round() / 3.5 - 1
    assert torch.allclose(found, rounded[0].flatten(1).T, atol=1e-5)
    with pytest.raises(ValueError, match="500 is not a power"):
        lattice(500, 3)


def test_the_rate_rises_stays_and_falls():
    rates = [cooldown(step, 100, 10, 40) for step in range(100)]
    assert rates[0] == pytest.approx(0.1)
    assert rates[10:61] == [1.0] * 51
    assert all(later < earlier for earlier, later in pairwise(rates[60:]))
    assert 0 <= rates[-1] < 0.02


def job(out, **changes):
    pairs = {"chest_xray": 16, "pathology": 16}
    return parse_spec(
        {
            "kind": "train",
            "name": "small",
            "tokenizer": {"images": pairs, "steps": {"chest_xray": 1, "pathology": 1}, "batch": 2},
            "backbone": {
                "images": pairs,
                "rows": {"chest_xray": 2, "pathology": 2},
                "compile": False,
                "precision": "fp32",
                "stages": [{"steps": 1}, {"steps": 2, "mix": {"joint": 1.0}}],
            },
            "threads": 1,
            "output": {"dir": str(out)},
            **changes,
        },
        source="small.yaml",
    )


def test_fewer_pairs_than_a_step_takes_are_refused_when_the_job_is_read(tmp_path):
    few = {"chest_xray": 16, "pathology": 1}
    section = job(tmp_path).backbone.model_dump(mode="json")
    with pytest.raises(SpecError, match=r"images.pathology is 1, and a step takes 2 rows of it"):
        job(tmp_path, backbone={**section, "images": few})
    with pytest.raises(SpecError, match=r"images.pathology is 1, and a step takes 16: give more images or a smaller"):
        job(tmp_path, tokenizer={"images": few, "steps": few})


@pytest.mark.slow
@pytest.mark.parametrize("optimiser", [{"name": "adamw", "betas": [0.9, 0.999], "ema": None}])
def test_a_job_trains_by_the_published_objective(tmp_path, monkeypatch, optimiser):
    monkeypatch.setattr("medim_forge.generator.training.job.VALIDATION_ROWS", 8)
    section = job(tmp_path).backbone.model_dump(mode="json")
    stage = {"steps": 2, "schedule": "paper", "warmup": 1, "cycle": 1}
    changes = {"objective": "official", "optimiser": optimiser, "rows_at_once": 3, "checkpointing": True}
    events = []
    run(job(tmp_path, backbone={**section, **changes, "stages": [stage]}), events.append)
    assert [event.steps for event in events if event.kind == "step"] == [(1, 2), (2, 2)]
    assert (tmp_path / "backbone_0" / "metrics.png").exists()
    steps = [line for line in read_metrics(tmp_path / "backbone_0") if "loss" in line]
    assert [line["rate"] for line in steps] == [2e-3, 2e-3]


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_job_makes_a_checkpoint_once_and_refuses_another_spec(tmp_path, monkeypatch):
    monkeypatch.setattr("medim_forge.generator.training.job.VALIDATION_ROWS", 8)
    folder = run(job(tmp_path / "a"), lambda event: None)
    made = checkpoint.load(folder)
    assert made.config.layout.image_slots == 144
    digest = checkpoint.sha256(folder)
    assert run(job(tmp_path / "a"), lambda event: None) == folder
    assert checkpoint.sha256(folder) == digest
    with pytest.raises(StoreError, match="another spec"):
        run(job(tmp_path / "a", seed=5), lambda event: None)
    longer = job(tmp_path / "a")
    first, last = longer.backbone.stages
    stages = (first, last.model_copy(update={"steps": 3}))
    longer = longer.model_copy(update={"backbone": longer.backbone.model_copy(update={"stages": stages})})
    run(longer, lambda event: None)
    assert checkpoint.sha256(folder) != digest
    with pytest.raises(StoreError, match=r"backbone_1.*3 steps are done, and this job asks for 2"):
        run(job(tmp_path / "a"), lambda event: None)
    other = (first.model_copy(update={"steps": 2}), stages[1])
    other = longer.model_copy(update={"backbone": longer.backbone.model_copy(update={"stages": other})})
    with pytest.raises(StoreError, match=r"start_sha256: .*delete .*backbone_1"):
        run(other, lambda event: None)
    onwards = run(job(tmp_path / "b", start_from=str(folder)), lambda event: None)
    one, other = checkpoint.load(folder), checkpoint.load(onwards)
    first, second = (part.image_tokenizers[0].state_dict() for part in (one, other))
    assert all(torch.equal(tensor, second[name]) for name, tensor in first.items())
    assert not torch.equal(one.backbone.embed_tokens.weight, other.backbone.embed_tokens.weight)
