"""The comparison with the recorded training notices every error that people make in such a loop."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from medim_forge.generator.training.objective import Official
from medim_forge.generator.training.optimise import Schedule
from tests.parity import training
from tests.parity.checks import CHECKS
from tests.parity.folder import find_cases

GOLDEN = Path(__file__).resolve().parents[1] / "golden"
FILES = (GOLDEN / "tiny_a_config.json", GOLDEN / "tiny_a_model.safetensors", GOLDEN / "meta.json")
STORED, BATCH = load_file(GOLDEN / "train_a.safetensors"), load_file(GOLDEN / "loss_a.safetensors")


def same(value):
    return value


@pytest.fixture
def changed(monkeypatch):
    """Puts a change into the drawn batch, the network, the recipe or the schedule."""

    def drawn(change_rows=same, change_restored=same, after=lambda batch, rows: batch):
        ours = Official.drawn

        def other(self, rows, times, uniform, restored):
            return after(ours(self, change_rows(rows), times, uniform, change_restored(restored)), rows)

        monkeypatch.setattr(Official, "drawn", other)

    def network(change):
        ours = training.trainable
        monkeypatch.setattr(training, "trainable", lambda files: change(ours(files)))

    def rate(change):
        ours = Schedule.at
        monkeypatch.setattr(Schedule, "at", lambda self, step, steps: change(step, ours(self, step, steps)))

    def recipe(**changes):
        monkeypatch.setattr(training, "RECIPE", replace(training.RECIPE, **changes))

    return {"drawn": drawn, "network": network, "rate": rate, "recipe": recipe}


def by_masked(batch, rows):
    counted = rows.counted.sum() + batch.x0.shape[1] - rows.counted.shape[1]
    return replace(batch, weight=batch.weight * counted / (batch.weight > 0).sum().clamp(min=1))


def shift(side, by):
    def change(network):
        network.layout = replace(network.layout, **{side: by})
        return network

    return change


@torch.no_grad()
def closed_gates(network):
    for layer in network.backbone.layers:
        layer.adaLN_modulation.weight.zero_()
        layer.adaLN_modulation.bias.zero_()
    return network


def padding_row(network):
    row = torch.tensor([network.layout.pad_id])
    network.backbone.embed_tokens.weight.register_hook(lambda gradient: gradient.index_fill(0, row, 0.0))
    return network


FAULTS = {
    "normalised by masked tokens": lambda c: c["drawn"](after=by_masked),
    "no 1/t": lambda c: c["drawn"](after=lambda b, rows: replace(b, weight=b.weight * b.t[:, None])),
    "pads counted": lambda c: c["drawn"](lambda rows: replace(rows, counted=rows.counted | True)),
    "weight decay": lambda c: c["recipe"](weight_decay=0.01),
    "image read where it stands": lambda c: c["network"](shift("image_read_shift", 0)),
    "report read where it stands": lambda c: c["network"](shift("report_read_shift", 0)),
    "prompt not restored": lambda c: c["drawn"](change_restored=torch.zeros_like),
    "gates of 0": lambda c: c["network"](closed_gates),
    "a first rate of 0": lambda c: c["rate"](lambda step, rate: rate if step else 0.0),
    "no gradient for the pad": lambda c: c["network"](padding_row),
}


def compared(part):
    match part:
        case "gradients":
            training.compare_gradients(FILES, STORED, [BATCH])
        case "run":
            training.compare_run(FILES, STORED)


@pytest.mark.parametrize("fault", FAULTS)
def test_an_error_in_training_is_noticed(changed, fault):
    FAULTS[fault](changed)
    noticed = []
    for part in ("gradients", "run"):
        try:
            compared(part)
        except AssertionError:
            noticed.append(part)
    # The optimiser's own are seen in its steps alone; the recorded batch restores no prompt.
    in_steps = ("weight decay", "a first rate of 0", "prompt not restored")
    assert noticed == (["run"] if fault in in_steps else ["gradients", "run"])


def test_a_recorded_training_may_be_of_any_tiny_model_and_of_any_loss_of_its_folder(tmp_path):
    for name in ("meta.json", "official_rate.json"):
        (tmp_path / name).write_bytes((GOLDEN / name).read_bytes())
    for old, new in (("train_a", "train_z"), ("loss_a", "loss_q"), ("tiny_a_model", "tiny_b_model")):
        (tmp_path / f"{new}.safetensors").write_bytes((GOLDEN / f"{old}.safetensors").read_bytes())
    (tmp_path / "tiny_b_config.json").write_bytes((GOLDEN / "tiny_a_config.json").read_bytes())
    cases = {case.kind: case for case in find_cases(tmp_path)}
    assert cases.keys() == {"train", "loss", "rate"}
    CHECKS["train"](cases["train"])
    (tmp_path / "loss_q.safetensors").unlink()
    cases = {case.kind: case for case in find_cases(tmp_path)}
    assert cases.keys() == {"train", "rate"}
    CHECKS["train"](cases["train"])
