"""A training ends with the same bits whatever interrupted it, and the same gradient however its rows are split."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from medim_forge.generator.errors import StoreError, TrainingError
from medim_forge.generator.training import saving
from medim_forge.generator.training.loop import Trainer, Watchers, train
from medim_forge.generator.training.metrics import draw_plot, read_metrics
from medim_forge.generator.training.order import stream
from medim_forge.generator.training.watch import Stop
from medim_forge.model.loss import corrupt_mix, weighted_cross_entropy
from medim_forge.model.sampling.schedule import sigma
from tests.generator.training.small import OBJECTIVES, SIZES, backbone, plan, source


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    torch.set_num_threads(1)


def trainer(objective="mixture", rows=None, **changes):
    return Trainer(backbone(), SIZES.layout, plan(**changes), OBJECTIVES[objective], rows or source())


def run(folder, made=None, *, say=lambda line: None, belongs=None, **changes):
    train(made or trainer(**changes), source(8, seed=9), folder, belongs or {"a": 1}, Watchers(say=say))
    return load_file(folder / "weights.safetensors")


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(tensor, other[name]) for name, tensor in one.items())


def gradient_of(made, batch):
    made.gradients(batch)
    return {name: weight.grad.clone() for name, weight in made.backbone.named_parameters()}


def furthest(one, other):
    scale = max(tensor.abs().max() for tensor in one.values())
    return float(max((tensor - other[name]).abs().max() for name, tensor in one.items()) / scale)


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("rows", [1, 3])
def test_the_gradient_does_not_depend_on_the_rows_at_once(objective, rows):
    _, batch = trainer(objective).drawn(0)
    masked = (batch.weight > 0).sum(1)
    assert len(set(masked.tolist())) > 3
    whole = gradient_of(trainer(objective), batch)
    assert furthest(whole, gradient_of(trainer(objective, rows_at_once=rows), batch)) < 1e-6


def test_the_mixture_is_the_mean_over_counted_slots_of_the_step():
    made, rows, layout = trainer(), source(), SIZES.layout
    numbers, batch = made.drawn(2)
    drawn = rows.read(numbers)
    rng = stream(made.plan.seed, "corruption", 2)
    mixed = corrupt_mix(drawn.state, drawn.opening, layout, OBJECTIVES["mixture"].mix, rng)
    hidden = made.backbone(*layout.sequence(torch.from_numpy(mixed.xt)), sigma(torch.from_numpy(mixed.t)))
    logits = made.backbone.logits(hidden[:, layout.read_positions()])
    slots, x0 = layout.report_slots, torch.from_numpy(drawn.state)
    report_weight, image_weight = torch.from_numpy(mixed.report_weight), torch.from_numpy(mixed.image_weight)
    report = weighted_cross_entropy(logits[:, :slots, : layout.report_vocab], x0[:, :slots], report_weight)
    image = torch.zeros(())
    for own, domain in ((slice(0, 4), "chest_xray"), (slice(4, 8), "pathology")):
        start, stop = layout.code_range(domain)
        codes = x0[own, slots:] - start
        image = image + weighted_cross_entropy(logits[own, slots:, start:stop], codes, image_weight[own]) / 2
    (2 * report + image).backward()
    other = {name: weight.grad.clone() for name, weight in made.backbone.named_parameters()}
    assert furthest(other, gradient_of(made, batch)) < 1e-6
    assert made.gradients(batch) == pytest.approx((report.item(), image.item()), rel=1e-5)


def test_a_gradient_with_denominators_of_its_parts_is_another_one():
    made = trainer(rows_at_once=4)
    _, batch = made.drawn(0)
    whole = gradient_of(made, batch)
    local = torch.cat([part.weight / part.weight.sum() / 2 for part in (batch.part(slice(4)), batch.part(slice(4, 8)))])
    assert furthest(whole, gradient_of(made, replace(batch, weight=local))) > 1e-2


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("workers", [2, 3])
def test_the_gradients_of_all_workers_sum_to_that_of_the_batch(objective, workers):
    _, batch = trainer(objective).drawn(3)
    whole, summed = gradient_of(trainer(objective), batch), {}
    for index in range(workers):
        made = trainer(objective, worker=(index, workers))
        assert torch.equal(made.drawn(3)[1].xt, batch.xt)
        own = gradient_of(made, batch)
        summed = {name: tensor + summed.get(name, 0) for name, tensor in own.items()}
    assert furthest(whole, summed) < 1e-6


def test_layers_that_are_computed_again_give_the_same_gradient():
    _, batch = trainer().drawn(0)
    again = trainer(checkpointing=True)
    assert furthest(gradient_of(trainer(), batch), gradient_of(again, batch)) < 1e-6
    assert again.backbone.state_dict().keys() == again.average.state_dict().keys()


class StopError(Exception):
    """Ends a training where it stands."""


def stopping(monkeypatch, place, name, at):
    """The training is killed in the call number `at` of a function."""
    calls, ours = [], getattr(place, name)

    def other(*given, **named):
        calls.append(1)
        if len(calls) == at:
            raise StopError
        return ours(*given, **named)

    monkeypatch.setattr(place, name, other)


PLACES = {
    "in a step": (Trainer, "gradients", 4),
    "before the first restart point": (Trainer, "gradients", 1),
    "in a save": (saving, "write_hashed", 4),
    "before the rename": (saving, "sync", 4),
    "between rename and marker": (saving, "_commit", 2),
    "after the marker": (saving.RestartPoints, "retire", 2),
}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    return run(tmp_path_factory.mktemp("whole"))


@pytest.mark.parametrize("place", PLACES)
def test_a_training_that_was_killed_ends_bit_for_bit_as_an_undisturbed_one(place, undisturbed, tmp_path, monkeypatch):
    with monkeypatch.context() as patched:
        stopping(patched, *PLACES[place])
        with pytest.raises(StopError):
            run(tmp_path)
    assert not (tmp_path / "weights.safetensors").exists()
    said = []
    assert same(run(tmp_path, say=said.append), undisturbed)
    assert any("begins at step 0" in line for line in said) == (place == "before the first restart point")
    assert any("was not finished" in line for line in said) == (place == "between rename and marker")
    assert [line["step"] for line in read_metrics(tmp_path) if "loss" in line] == [1, 2, 3, 4, 5, 6]
    assert saving.restart_steps(tmp_path) == [4, 6]


def test_another_seed_gives_other_weights(undisturbed, tmp_path):
    assert not same(run(tmp_path, seed=1), undisturbed)


def test_a_damaged_restart_point_is_named_and_the_one_before_is_taken(undisturbed, tmp_path):
    run(tmp_path)
    (tmp_path / "weights.safetensors").unlink()
    state = tmp_path / "steps" / "00000006" / "state.pt"
    content = bytearray(state.read_bytes())
    content[len(content) // 2] ^= 1
    state.write_bytes(content)
    said = []
    assert same(run(tmp_path, say=said.append), undisturbed)
    assert "00000006: is damaged (state.pt is not what _COMMITTED says); the restart point before it" in said[0]
    assert "step 6/6" in said[1]


def test_a_restart_point_of_another_training_is_refused_by_name(tmp_path):
    run(tmp_path, steps=2)
    with pytest.raises(StoreError, match=r"00000002: is of another training.*a: 1 -> 2.*delete .*steps"):
        run(tmp_path, belongs={"a": 2})
    with pytest.raises(StoreError, match="2 steps are done, and this job asks for 1"):
        run(tmp_path, steps=1)


def test_a_training_can_be_made_longer_and_keeps_the_restart_points_it_was_asked_to(tmp_path):
    run(tmp_path, steps=4, keep=1, keep_every=4)
    assert saving.restart_steps(tmp_path) == [4]
    said = []
    run(tmp_path, steps=8, keep=1, keep_every=4, say=said.append)
    assert [line.split()[1] for line in said] == ["6/8", "8/8"]
    assert saving.restart_steps(tmp_path) == [4, 8]


def test_a_full_disk_in_a_save_keeps_the_last_restart_point(undisturbed, tmp_path, monkeypatch):
    ours = torch.save

    def save(state, file):
        if len(list((tmp_path / "steps").iterdir())) > 1:
            with open("/dev/full", "wb", buffering=0) as full:  # noqa: PTH123 - a device
                file._file = full
                return ours(state, file)
        return ours(state, file)

    with monkeypatch.context() as patched:
        patched.setattr(torch, "save", save)
        with pytest.raises(StoreError, match=r"no space left. The last whole restart point, step 2, is kept. Make"):
            run(tmp_path)
    assert saving.restart_steps(tmp_path) == [2]
    assert sorted(path.name for path in (tmp_path / "steps").iterdir()) == ["00000002"]
    assert same(run(tmp_path), undisturbed)


class Poisoned:
    """Rows of which one makes the weights of its loss infinite."""

    def __init__(self, row):
        self._inner, self._row = OBJECTIVES["mixture"], row
        self.report_weight = 1.0
        self.side = self._inner.side

    def batch(self, rows, counts, rng):
        batch = self._inner.batch(rows, counts, rng)
        batch.weight[(torch.from_numpy(rows.state) == torch.from_numpy(self._row)).all(1)] *= float("inf")
        return batch


def test_a_loss_that_is_not_finite_names_step_and_rows_and_keeps_the_last_restart_point(tmp_path):
    rows = source()
    made = trainer()
    seen = [made.order.of(step)[0].tolist() for step in range(6)]
    bad = seen[4][2]
    assert all(bad not in numbers for numbers in seen[:4])
    made.objective = Poisoned(rows.read(np.array([bad])).state[0])
    with pytest.raises(TrainingError, match=rf"step 5: the loss is not finite, with rows {bad} of the training data"):
        run(tmp_path, made)
    assert saving.restart_steps(tmp_path) == [2, 4]
    assert saving.fault(tmp_path / "steps" / "00000004") == ""


def test_metrics_hold_every_step_once_and_what_the_speed_is_measured_by(undisturbed, tmp_path):
    run(tmp_path, precision="fp32")
    lines = read_metrics(tmp_path)
    steps = [line for line in lines if "loss" in line]
    names = "loss report image gradient_norm rate rows_per_s tokens_per_s data_wait mfu peak_memory_bytes epoch step"
    assert all(line.keys() == set(names.split()) for line in steps)
    assert "float32 product" in lines[0]["mfu_of"]
    assert steps[-1]["epoch"] == {"chest_xray": 1.0, "pathology": 1.0}
    assert [line["step"] for line in lines if "held_out" in line] == [2, 4, 6]
    draw_plot(tmp_path)
    assert (tmp_path / "metrics.png").read_bytes().startswith(b"\x89PNG")
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 7, "los')
    assert len(read_metrics(tmp_path)) == len(lines)


def test_training_ends_when_held_out_pairs_get_no_better_and_keeps_the_best_weights(tmp_path, monkeypatch):
    losses = iter([3.0, 2.0, 2.5, 2.6, 1.0])
    monkeypatch.setattr(
        "medim_forge.generator.training.watch.HeldOut.losses", lambda *_: {"report|image": next(losses), "image": 1.0}
    )
    said = []
    weights = run(tmp_path, steps=10, keep=1, stop=Stop(patience=2, on=("report|image",)), say=said.append)
    assert said[-2].startswith("step 8/10")
    assert "of step 4, which was the best" in said[-1]
    assert saving.restart_steps(tmp_path) == [4, 8]
    state = torch.load(tmp_path / "steps" / "00000004" / "state.pt", weights_only=True)
    assert same(weights, state["average"])


@pytest.mark.slow
def test_a_process_that_was_killed_ends_bit_for_bit_as_an_undisturbed_one(undisturbed, tmp_path):
    command = [sys.executable, "-m", "tests.generator.training.small", str(tmp_path)]
    killed = 0
    for _ in range(4):
        # It says every finished step and waits; killed after its third one, it has passed a restart point.
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            for steps, _ in enumerate(process.stdout, start=1):
                if steps == 3:
                    process.kill()
                    killed += 1
                    break
                process.stdin.write("go on\n")
        if process.returncode == 0:
            break
    assert killed == 2
    assert same(load_file(tmp_path / "weights.safetensors"), undisturbed)
    assert json.loads((tmp_path / "steps" / "00000006" / "state.json").read_text())["step"] == 6
