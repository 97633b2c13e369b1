"""How a recorded training is compared with ours: loss and gradients of a batch, then whole optimiser steps."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from medim_forge.generator.training.objective import Batch, Losses, Official
from medim_forge.generator.training.optimise import Optimiser, Recipe, Schedule
from medim_forge.generator.training.source import Rows
from medim_forge.model.convert.names import our_names
from medim_forge.model.sampling.schedule import stratified_times
from tests.parity.folder import Case
from tests.parity.network import Network, tiny

RECIPE = Recipe(name="adamw", betas=(0.9, 0.999), eps=1e-8, weight_decay=None, clip=1.0, ema=None)
OFFICIAL_RATE = Schedule(name="paper", rate=1e-5, warmup=10_000, cycle=10_000, growth=2, least=1e-9)
# Of a gradient, in parts of the largest; of weights after the last step, on average and of the worst one, whose moments
# are near 0 so that AdamW makes much of a last digit; of losses and norms, in parts.
GRADIENT, MEAN, WORST, RELATIVE = 2e-6, 1e-7, 1e-5, 2e-5


@torch.inference_mode(False)
def check_training(case: Case) -> None:
    """Loss, gradients and the steps of the optimiser, of the model that they were recorded with."""
    stored, failures = load_file(case.files["stored"]), []
    losses = [load_file(path) for role, path in case.files.items() if role.startswith("batch ")]
    for model in case.facts["models"]:
        files = case.files[f"config {model}"], case.files[f"model {model}"], case.files["meta"]
        try:
            if losses:
                compare_gradients(files, stored, losses)
            compare_run(files, stored)
        except AssertionError as error:
            failures.append(f"{model}: {error}")
        else:
            return
    raise AssertionError("; ".join(failures))


def trainable(files: tuple[Path, Path, Path]) -> Network:
    network = tiny(*files)
    network.backbone.requires_grad_(True).train()
    return network


def official_batch(network: Network, stored) -> Batch:
    """The recorded rows, corrupted by the recorded draws."""
    x0 = (stored["x0"] if "x0" in stored else stored["input_ids"]).view(-1, network.layout.state_slots)
    count = len(x0)
    rows = Rows(
        state=x0.numpy(),
        opening=stored["prompt_idx"].view(-1).expand(count).numpy(),
        counted=stored["mask"].view(count, -1).bool().numpy(),
        conditioning=network.conditioning.expand(count, -1).numpy(),
    )
    restored = (stored["python_random"].view(-1) < 0.1).expand(count)
    times = stratified_times(stored["rand_t"].view(-1))
    return Official(network.layout).drawn(rows, times, stored["rand_move"].view(count, -1), restored)


def loss_of(network: Network, stored):
    """The loss of a recorded batch."""
    losses = Losses(network.backbone, network.layout)
    given, named = losses.of(official_batch(network, stored), torch.device("cpu"))
    return sum(losses(*given, **named))


def compare_gradients(files, stored, batches) -> None:
    """Loss, norm and gradients of whichever batch of the folder has the recorded loss."""
    failures = []
    for batch in batches:
        network = trainable(files)
        optimiser = Optimiser(network.backbone, RECIPE)
        loss = loss_of(network, batch)
        if loss.item() != pytest.approx(stored["loss"].item(), rel=RELATIVE):
            failures.append(f"the loss is {loss.item():.6f}, recorded is {stored['loss'].item():.6f}")
            continue
        loss.backward()
        recorded = official_tensors(stored, "grad.")
        ours = {name: weight.grad for name, weight in network.backbone.named_parameters()}
        assert ours.keys() == recorded.keys()
        largest = max(gradient.abs().max().item() for gradient in recorded.values())
        for name, gradient in recorded.items():
            worst = (ours[name] - gradient).abs().max().item()
            assert worst <= GRADIENT * largest, f"the gradient of {name} differs by {worst:.3g} of {largest:.3g}"
        assert optimiser.clipped().item() == pytest.approx(stored["grad_norm"].item(), rel=RELATIVE)
        return
    raise AssertionError("; ".join(failures))


def official_tensors(stored, prefix: str):
    """The recorded tensors behind a prefix, by our names."""
    named = {name.removeprefix(prefix): tensor for name, tensor in stored.items() if name.startswith(prefix)}
    return {ours: named[theirs] for ours, theirs in our_names(named, prefix).items()}


def recorded_schedule(rates: list[float]) -> Schedule:
    """The restarting schedule whose first rates these are, to the last digit; its constants are not recorded."""
    steps = range(1, len(rates) + 1)
    for warmup, cycle, growth in sorted(itertools.product(steps, steps, (1, 2, 3)), key=lambda c: c != (3, 3, 2)):
        schedule = Schedule(name="paper", rate=rates[0], warmup=warmup, cycle=cycle, growth=growth)
        if [schedule.at(step, len(rates)) for step in range(len(rates))] == rates:
            return schedule
    raise AssertionError(f"no warm-up and cycle give the recorded rates {rates}")


def compare_run(files, stored) -> None:
    """Every optimiser step, and the weights after the last."""
    network = trainable(files)
    optimiser, rates = Optimiser(network.backbone, RECIPE), stored["run.lr"].tolist()
    schedule = recorded_schedule(rates)
    for step in range(len(rates)):
        draws = {
            name.removeprefix("run."): tensor[step] if tensor.ndim and len(tensor) == len(rates) else tensor
            for name, tensor in stored.items()
            if name.startswith("run.") and not name.startswith("run.final.")
        }
        loss = loss_of(network, draws)
        assert loss.item() == pytest.approx(draws["loss"].item(), rel=RELATIVE), f"loss of step {step}"
        optimiser.clear()
        loss.backward()
        assert optimiser.clipped().item() == pytest.approx(draws["grad_norm"].item(), rel=RELATIVE), f"norm of {step}"
        optimiser.step(schedule.at(step, len(rates)))
    ours = dict(network.backbone.named_parameters())
    for name, final in official_tensors(stored, "run.final.").items():
        difference = (ours[name] - final).abs()
        worst, mean = difference.max().item(), difference.mean().item()
        assert worst <= WORST, f"a weight of {name} differs by {worst:.3g} after the last step"
        assert mean <= MEAN, f"weights of {name} differ by {mean:.3g} after the last step, on average"


def check_rate(case: Case) -> None:
    """The official constants, to the last digit."""
    recorded = json.loads(case.files["stored"].read_text())
    assert recorded
    for step, rate in recorded.items():
        assert OFFICIAL_RATE.at(int(step), 10**6) == rate, f"step {step}"
