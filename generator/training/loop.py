"""The training loop: steps, slots, restart points, and rows by their numbers, wherever they are from.

Legend: B rows of a step.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from medim_forge.generator.errors import TrainingError
from medim_forge.generator.training.meter import Meter, Work
from medim_forge.generator.training.metrics import Metrics
from medim_forge.generator.training.objective import Batch, Losses, Objective
from medim_forge.generator.training.optimise import Optimiser, Recipe, Schedule, follow
from medim_forge.generator.training.order import Order, stream
from medim_forge.generator.training.placing import place_file
from medim_forge.generator.training.saving import RestartPoints, Stateful
from medim_forge.generator.training.source import Source
from medim_forge.generator.training.watch import HeldOut, Stop, best_step, is_over, parts
from medim_forge.model.layout import TokenLayout
from medim_forge.model.network.backbone import Backbone

WEIGHTS = "weights.safetensors"
PRECISIONS = {"bf16": torch.bfloat16, "fp32": torch.float32}


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How a backbone is trained.

    Attributes:
        steps: optimiser steps.
        rows: B, rows of a step, over all domains and workers.
        shares: of the domains; None for as many as each has rows.
        schedule: learning rate.
        recipe: optimiser.
        seed: of order and corruption.
        rows_at_once: rows that go through the network at a time; None for all of a worker's. The gradient is the same.
        precision: `bf16` for products in bfloat16 with float32 weights, or `fp32`.
        checkpointing: whether layers are computed again in the backward pass instead of being kept.
        compile: whether to compile the step (worth its minute on a long run).
        save_every: steps between restart points, at which held-out pairs are looked at.
        keep: restart points that are kept, the newest.
        keep_every: those of these multiples of steps are kept too.
        stop: when to end early; None for never. Then the weights are those of the best look.
        worker: the index of this worker, and how many there are; each takes its own slots of every step.
    """

    steps: int
    rows: int
    shares: Mapping[str, float] | None = None
    schedule: Schedule
    recipe: Recipe = field(default_factory=Recipe)
    seed: int = 0
    rows_at_once: int | None = None
    precision: Literal["bf16", "fp32"] = "bf16"
    checkpointing: bool = False
    compile: bool = False
    save_every: int = 100
    keep: int = 2
    keep_every: int | None = None
    stop: Stop | None = None
    worker: tuple[int, int] = (0, 1)


@dataclass(frozen=True, kw_only=True)
class Watchers:
    """Who hears of a training.

    Attributes:
        say: takes one line at a time.
        stepped: takes the number of finished steps after every step.
        summed: the gradients it is given are summed over all workers afterwards, in place.
    """

    say: Callable[[str], None]
    stepped: Callable[[int], None] = lambda _step: None
    summed: Callable[[Sequence[Tensor]], None] = lambda _gradients: None


class Trainer:
    """A backbone, what it learns and how.

    Args:
        backbone: trained in place, on its device.
        layout: of its ids and slots.
        plan: how.
        objective: what.
        source: the rows.

    Raises:
        SpecError: a domain has fewer rows than a step takes of it.
    """

    def __init__(
        self, backbone: Backbone, layout: TokenLayout, plan: Plan, objective: Objective, source: Source
    ) -> None:
        self.plan, self.objective, self._source = plan, objective, source
        self.order = Order(plan.seed, source, plan.rows, plan.shares)
        self.device = next(backbone.parameters()).device
        self.backbone = backbone
        # The averaged weights are copied before layers are changed.
        self.average = copy.deepcopy(backbone).requires_grad_(False) if plan.recipe.ema is not None else backbone
        if plan.checkpointing:
            for layer in backbone.layers:
                layer.forward = partial(checkpoint, layer.forward, use_reentrant=False)
        self.losses, self.judge = Losses(backbone, layout).to(self.device), Losses(self.average, layout).to(self.device)
        self._loss_of = torch.compile(self.losses) if plan.compile else self.losses
        self.optimiser = Optimiser(backbone, plan.recipe)
        index, workers = plan.worker
        self.slots = slice(plan.rows * index // workers, plan.rows * (index + 1) // workers)

    @property
    def rows_at_once(self) -> int:
        """Rows that go through the network at a time."""
        return self.plan.rows_at_once or self.slots.stop - self.slots.start

    def drawn(self, step: int) -> tuple[NDArray[np.int64], Batch]:
        """The numbers of the rows of a step and these rows corrupted: a function of the seed and the step alone."""
        numbers, counts = self.order.of(step)
        rng = stream(self.plan.seed, "corruption", step)
        return numbers, self.objective.batch(self._source.read(numbers), counts, rng)

    def gradients(self, batch: Batch) -> tuple[float, float]:
        """This worker's part of the gradient of a whole batch is in the weights; its part of both sides' losses."""
        self.optimiser.clear()
        report = image = 0.0
        for part in parts(batch.part(self.slots), self.rows_at_once):
            sides = self._forward(self._loss_of, part)
            total = self.objective.report_weight * sides[0] + sides[1]
            torch.autograd.backward(total)
            report, image = report + float(sides[0].detach()), image + float(sides[1].detach())
        return report, image

    def _forward(self, losses: Callable[..., tuple[Tensor, Tensor]], part: Batch) -> tuple[Tensor, Tensor]:
        given, named = self.losses.of(part, self.device)
        precision = PRECISIONS[self.plan.precision]
        with torch.autocast(self.device.type, precision, enabled=precision != torch.float32):
            return losses(*given, **named)

    @torch.no_grad()
    def broken(self, numbers: NDArray[np.int64], batch: Batch) -> list[int]:
        """The numbers of this worker's rows whose own loss is not finite."""
        found = []
        for slot in range(self.slots.start, self.slots.stop):
            sides = self._forward(self.losses, batch.part(slice(slot, slot + 1)))
            if not all(math.isfinite(float(side)) for side in sides):
                found.append(int(numbers[slot]))
        return found

    def update(self, step: int, numbers: NDArray[np.int64], batch: Batch, watchers: Watchers) -> dict[str, float]:
        """The weights have taken one step.

        Raises:
            TrainingError: the loss or the gradient is not finite; the weights are as they were.
        """
        report, image = self.gradients(batch)
        watchers.summed(self.optimiser.gradients())
        norm = float(self.optimiser.clipped())
        if not (math.isfinite(report + image) and math.isfinite(norm)):
            rows = self.broken(numbers, batch)
            what = "gradient" if math.isfinite(report + image) else "loss"
            whose = f"rows {', '.join(map(str, rows))}" if rows else f"some of rows {', '.join(map(str, numbers[:64]))}"
            raise TrainingError(
                f"step {step + 1}: the {what} is not finite, with {whose} of the training data. The last restart point "
                "is kept. Look at these rows; a lower rate, a smaller optimiser.clip or precision: fp32 may mend it."
            )
        rate = self.plan.schedule.at(step, self.plan.steps)
        self.optimiser.step(rate)
        if self.plan.recipe.ema is not None:
            follow(self.average, self.backbone, self.plan.recipe.ema, step)
        loss = self.objective.report_weight * report + image
        return {"loss": loss, "report": report, "image": image, "gradient_norm": norm, "rate": rate}

    def states(self) -> dict[str, Stateful]:
        """What a restart point keeps."""
        averaged = {"average": self.average} if self.average is not self.backbone else {}
        return {"backbone": self.backbone, **averaged, "optimiser": self.optimiser}


def train(trainer: Trainer, held_out: Source, folder: Path, belongs: Mapping[str, Any], watchers: Watchers) -> Backbone:
    """The trained backbone, averaged where the recipe says so; its weights and metrics are in the folder.

    Args:
        trainer: at its first step.
        held_out: rows that are looked at and not learned.
        folder: run again with the same one, a training goes on where it stopped.
        belongs: what the training follows from, as JSON values.
        watchers: who hears of it.

    Raises:
        TrainingError: a loss or gradient is not finite.
        StoreError: there is no space, or the folder is of another training.
    """
    plan = trainer.plan
    points = RestartPoints(folder, trainer.states(), belongs, watchers.say, keep=plan.keep, keep_every=plan.keep_every)
    facts = points.resume(plan.steps)
    if facts["step"]:
        # A process that was killed while it removed old ones has left some.
        points.retire(facts["step"], _protected(facts.get("looks", []), plan))
    with Metrics(folder, int(facts.get("metrics_bytes", 0)), int(facts["step"])) as metrics:
        looks = _learn(trainer, held_out, points, metrics, facts, watchers)
    best = best_step(looks, plan.stop) if plan.stop else looks[-1]["step"]
    if best != looks[-1]["step"]:
        watchers.say(f"the weights are those of step {best}, which was the best on held-out pairs")
        points.resume(plan.steps, at=best)
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in trainer.average.state_dict().items()}
    place_file(folder / WEIGHTS, lambda file: file.write(save(weights)))
    return trainer.average


def _protected(looks: Sequence[Mapping[str, Any]], plan: Plan) -> frozenset[int]:
    """Steps whose restart points stay: that of the best look so far, where the best is what is wanted."""
    return frozenset({best_step(looks, plan.stop)} if plan.stop and looks else ())


def _learn(
    trainer: Trainer,
    held_out: Source,
    points: RestartPoints,
    metrics: Metrics,
    facts: Mapping[str, Any],
    watchers: Watchers,
) -> list[dict[str, Any]]:
    """The looks at held-out pairs of all steps, which are done."""
    plan, begin, looks = trainer.plan, int(facts["step"]), list(facts.get("looks", []))
    watch = HeldOut(trainer.objective, held_out, trainer.order, trainer.rows_at_once)
    meter = Meter(trainer.backbone.config, trainer.order, metrics, _work(trainer))
    with ThreadPoolExecutor(1) as reader:
        following = reader.submit(trainer.drawn, begin)
        for step in range(begin, plan.steps):
            if plan.stop and is_over(looks, plan.stop):
                break
            began = time.perf_counter()
            numbers, batch = following.result()
            waited = time.perf_counter() - began
            following = reader.submit(trainer.drawn, step + 1)
            values = trainer.update(step, numbers, batch, watchers)
            meter.note(step, values, time.perf_counter() - began, waited)
            watchers.stepped(step + 1)
            if (step + 1) % plan.save_every and step + 1 != plan.steps:
                continue
            losses = watch.losses(trainer.judge, trainer.device, PRECISIONS[plan.precision])
            looks.append({"step": step + 1, "held_out": losses})
            metrics.write(step + 1, {"held_out": losses})
            protect = _protected(looks, plan)
            began = time.perf_counter()
            points.save(step + 1, {"looks": looks, "metrics_bytes": metrics.kept()}, protect)
            metrics.write(step + 1, {"saved_s": round(time.perf_counter() - began, 4)})
            watchers.say(
                f"step {step + 1}/{plan.steps} report {values['report']:.3f} image {values['image']:.3f} held out: "
                f"{' '.join(f'{kind} {loss:.3f}' for kind, loss in losses.items())}"
            )
    return looks


def _work(trainer: Trainer) -> Work:
    """What a step of this worker is."""
    return Work(
        rows=trainer.slots.stop - trainer.slots.start,
        length=trainer.losses.layout.length(),
        device=trainer.device,
        precision=PRECISIONS[trainer.plan.precision],
    )
