"""The stages of a backbone's training, each in a folder of its own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from medim_forge.generator.events import OnEvent, stepped
from medim_forge.generator.files import file_record
from medim_forge.generator.jobspec import TrainSpec
from medim_forge.generator.jobspec.train import StageSection
from medim_forge.generator.store.folder import claim_part
from medim_forge.generator.training.backbone import start
from medim_forge.generator.training.loop import WEIGHTS, Plan, Trainer, Watchers, train
from medim_forge.generator.training.metrics import draw_plot
from medim_forge.generator.training.objective import Mixture, Objective, Official
from medim_forge.generator.training.optimise import Recipe, Schedule
from medim_forge.generator.training.source import Source
from medim_forge.generator.training.watch import Stop
from medim_forge.model import checkpoint
from medim_forge.model.config import MedimConfig
from medim_forge.model.loss import CorruptionMix
from medim_forge.model.network import Backbone


def train_stages(
    spec: TrainSpec,
    sizes: MedimConfig,
    source: Source,
    held_out: Source,
    out: Path,
    log: Callable[[str], None],
    on_event: OnEvent,
) -> Backbone:
    """The backbone after its last stage; a stage starts from the averaged weights of the one before.

    Args:
        spec: of the job.
        sizes: of the model.
        source: rows to learn from.
        held_out: rows that are looked at and not learned.
        out: folder of the job.
        log: takes one line at a time.
        on_event: is told of every step.

    Raises:
        StoreError: a stage's folder is of other settings or longer than this one, or there is no space.
        SpecError: a domain has fewer rows than a step takes of it.
        TrainingError: a loss or gradient is not finite.
    """
    weights = checkpoint.resolve(spec.start_from) / "backbone.safetensors" if spec.start_from else None
    for index, stage in enumerate(spec.backbone.stages):
        folder = out / f"backbone_{index}"
        # A stage may be made longer; another one, or one that starts from other weights, is not gone on with.
        settings = stage.model_dump(mode="json", exclude={"steps", "cooldown_steps"})
        started = None if weights is None else file_record(weights, weights.name).sha256
        belongs: dict[str, Any] = {"stage": settings, "start_sha256": started}
        claim_part(folder, belongs, f" To train the stage anew, delete {folder}.")
        backbone = start(sizes, spec.seed + index, weights).to(spec.device)
        trainer = Trainer(backbone, sizes.layout, stage_plan(spec, index), _objective(spec, stage, sizes), source)
        watchers = Watchers(
            say=lambda line, index=index: log(f"backbone_{index} {line}"),  # type: ignore[misc]
            stepped=lambda step, steps=stage.steps: on_event(stepped(step, steps)),  # type: ignore[misc]
        )
        backbone = train(trainer, held_out, folder, belongs | _lasting(spec), watchers)
        draw_plot(folder)
        weights = folder / WEIGHTS
    return backbone


def stage_plan(spec: TrainSpec, index: int) -> Plan:
    """How a stage of the job is trained."""
    settings, stage = spec.backbone, spec.backbone.stages[index]
    return Plan(
        steps=stage.steps,
        rows=sum(settings.rows.values()),
        shares=settings.rows,
        schedule=Schedule(
            name=stage.schedule,
            rate=stage.rate or settings.rate,
            warmup=stage.warmup,
            cooldown_steps=stage.cooldown_steps,
            cycle=stage.cycle,
        ),
        recipe=Recipe(**settings.optimiser.model_dump()),
        seed=spec.seed + index,
        rows_at_once=settings.rows_at_once,
        precision=settings.precision,
        checkpointing=settings.checkpointing,
        compile=settings.compile,
        save_every=spec.snapshot_every,
        keep=spec.save.keep,
        keep_every=spec.save.keep_every,
        stop=None if settings.stop is None else Stop(**settings.stop.model_dump(exclude_none=True)),
    )


def _objective(spec: TrainSpec, stage: StageSection, sizes: MedimConfig) -> Objective:
    if spec.backbone.objective == "official":
        return Official(sizes.layout)
    return Mixture(sizes.layout, CorruptionMix(**stage.mix.model_dump()))


def _lasting(spec: TrainSpec) -> dict[str, Any]:
    """What of the job every step of a stage follows from."""
    settings = spec.backbone
    return {
        "seed": spec.seed,
        "rows": dict(settings.rows),
        "objective": settings.objective,
        "optimiser": settings.optimiser.model_dump(mode="json"),
        "precision": settings.precision,
    }
