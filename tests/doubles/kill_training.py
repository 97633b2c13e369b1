"""A training that is killed at a storage call, run again, and compared with what it makes undisturbed."""

from __future__ import annotations

import shutil
from pathlib import Path

import torch

from medim_forge.generator.training.loop import Trainer, Watchers, train
from medim_forge.generator.training.metrics import read_metrics
from medim_forge.generator.training.saving import fault, restart_steps
from tests.doubles.kill_scenarios import Found
from tests.doubles.kills import dying
from tests.generator.training.small import OBJECTIVES, SIZES, backbone, plan, source


class TrainingTrial:
    """Six steps of a tiny backbone with a restart point every two; the interface is that of `Trial`.

    Args:
        folder: an empty one.
    """

    def __init__(self, folder: Path) -> None:
        torch.set_num_threads(1)
        self._folder, self.found = folder, Found()
        whole = folder / "whole"
        with dying(whole, None) as life:
            _train(whole)
        self.calls = self.found.calls = life.calls
        self._content = _content(whole)

    def kill(self, at: int) -> None:
        """The training was killed at a call and run again, and `found` says what came of it."""
        place = self._folder / f"killed {at}"
        with dying(place, at) as death:
            _train(place)
        if not death.dead:
            return  # a call fewer than in the undisturbed training: nothing to see
        self.found.killed += 1
        where = f"call {at}: {death.where}"
        # What a reader sees: every restart point that claims to be whole is.
        for point in (place / "steps" / f"{step:08d}" for step in restart_steps(place)):
            if (wrong := fault(point)) and "was not finished" not in wrong:
                self.found.unseen.append(f"{where}: {point.name} {wrong}")
        try:
            with dying(place, None):
                _train(place)
        except Exception as error:  # noqa: BLE001 - counted with its cause
            self.found.unfinished.append(f"{where}: {type(error).__name__}: {error}"[:400])
            return
        if _content(place) != self._content:
            self.found.different.append(where)
        left = sorted(path.name for path in place.rglob("*") if ".part" in path.name or path.name.startswith("."))
        if left:
            self.found.left.append(f"{where}: {', '.join(left)}")
        shutil.rmtree(place)


def _train(place: Path) -> None:
    trainer = Trainer(backbone(), SIZES.layout, plan(), OBJECTIVES["mixture"], source())
    train(trainer, source(8, seed=9), place, {"a": 1}, Watchers(say=lambda line: None))


def _content(place: Path) -> tuple[bytes, list[int], list[tuple[int, float]]]:
    """The weights, the restart points, and the loss of every step: what does not tell when it was made."""
    lines = [(line["step"], line["loss"]) for line in read_metrics(place) if "loss" in line]
    return (place / "weights.safetensors").read_bytes(), restart_steps(place), lines
