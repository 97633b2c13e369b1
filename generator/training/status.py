"""How far a training is, by what its folder holds: nothing is loaded and nothing written."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from medim_forge.generator.jobspec import TrainSpec
from medim_forge.generator.store import SUCCESS
from medim_forge.generator.training.metrics import read_metrics
from medim_forge.generator.training.saving import MARKER, restart_steps


@dataclass(frozen=True, kw_only=True)
class StageStatus:
    """How far a stage is.

    Attributes:
        name: of its folder.
        done: steps that `metrics.jsonl` knows.
        steps: of the whole stage.
        losses: the last ones by name, and the last held-out ones; empty before the first step.
        restart: steps with a restart point that was finished.
    """

    name: str
    done: int
    steps: int
    losses: dict[str, float]
    restart: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class TrainingStatus:
    """How far a training is.

    Attributes:
        name: of the job.
        finished: whether its checkpoint is there.
        stages: of the backbone, in order.
    """

    name: str
    finished: bool
    stages: tuple[StageStatus, ...]


def training_status(folder: Path, spec: TrainSpec) -> TrainingStatus:
    """How far the training in a folder is.

    Args:
        folder: of the job.
        spec: its job.
    """
    stages = []
    for index, stage in enumerate(spec.backbone.stages):
        own = folder / f"backbone_{index}"
        lines = read_metrics(own)
        steps = [line for line in lines if "loss" in line]
        looks = [line for line in lines if "held_out" in line]
        losses = {name: float(steps[-1][name]) for name in ("report", "image")} if steps else {}
        losses |= {f"{name} held out": loss for name, loss in looks[-1]["held_out"].items()} if looks else {}
        restart = (step for step in restart_steps(own) if (own / "steps" / f"{step:08d}" / MARKER).exists())
        stages.append(
            StageStatus(
                name=own.name,
                done=steps[-1]["step"] if steps else 0,
                steps=stage.steps,
                losses=losses,
                restart=tuple(restart),
            )
        )
    return TrainingStatus(name=spec.name, finished=(folder / SUCCESS).exists(), stages=tuple(stages))
