"""Do synthetic pairs help a classifier of real images? Trains one per arm and repetition, and reports what comes out.

<out>/spec.yaml         the experiment
<out>/synthetic/        the dataset, when the experiment makes its own
<out>/runs.parquet      one row per arm and repetition
<out>/summary.csv .md .png
<out>/_SUCCESS          written last
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from medim_forge.generator.augmentation.arms import arm_set, evaluation_set, synthetic_set, train_set
from medim_forge.generator.augmentation.classifier import LabelledSet, fit_predict
from medim_forge.generator.augmentation.plots import write_plot
from medim_forge.generator.augmentation.tables import Comparison, markdown, verdict, write_csv, write_runs
from medim_forge.generator.errors import StoreError
from medim_forge.generator.events import JobEvent, OnEvent, note
from medim_forge.generator.generate import run_job
from medim_forge.generator.jobspec import AugmentSpec, parse_spec, to_yaml
from medim_forge.generator.jobspec.augment import Arm
from medim_forge.generator.jobspec.document import read_yaml
from medim_forge.generator.phantoms import FINDINGS
from medim_forge.generator.plan.stored import differences
from medim_forge.generator.store import SUCCESS


def ignore(_event: JobEvent) -> None:
    """The event goes nowhere."""


def run(spec: AugmentSpec, *, local: bool = False, on_event: OnEvent = ignore) -> Path:
    """The output folder holds the result; one that holds it already is left as it is.

    Args:
        spec: the experiment.
        local: makes the synthetic pairs in this process instead of on Ray.
        on_event: receives what happens.

    Returns:
        The output folder.

    Raises:
        StoreError: the folder is of another experiment or cannot be written, or there are no synthetic pairs.
        MedimError: the job that makes the synthetic pairs failed.
    """
    out = Path(spec.output.dir)
    progress = Progress(spec, on_event)
    open_folder(out, spec)
    if (out / SUCCESS).exists():
        progress.say(f"{out} holds the result already")
        return out
    synthetic = synthetic_set(spec, made_dataset(spec, local, on_event))
    test = evaluation_set(spec)
    progress.say(f"{len(synthetic)} synthetic pairs, {len(test)} test pairs")
    predicted = predictions(spec, synthetic, test, progress)
    comparison = Comparison.of(FINDINGS[spec.domain], test.labels, predicted, draws=spec.bootstrap, seed=spec.seed)
    write_runs(out / "runs.parquet", comparison)
    write_csv(out / "summary.csv", comparison)
    (out / "summary.md").write_text(markdown(comparison, spec.name, facts(spec, synthetic, test)), encoding="utf-8")
    write_plot(out / "summary.png", comparison, spec.name)
    (out / SUCCESS).touch()
    progress.say(verdict(comparison))
    return out


class Progress:
    """How far an experiment is, counted in classifiers that are trained.

    Args:
        spec: the experiment.
        on_event: receives what is said.
    """

    def __init__(self, spec: AugmentSpec, on_event: OnEvent) -> None:
        self._on_event = on_event
        self._total = len(spec.arms) * spec.seeds
        self.trained = 0

    def say(self, message: str) -> None:
        """The message was sent as an event, with the count so far."""
        self._on_event(note(message, steps=(self.trained, self._total)))


def open_folder(out: Path, spec: AugmentSpec) -> None:
    """The folder exists, and its `spec.yaml` is this experiment's.

    Raises:
        StoreError: it holds another experiment, or cannot be written.
    """
    path = out / "spec.yaml"
    try:
        out.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            part = path.with_suffix(".part")
            part.write_text(to_yaml(spec), encoding="utf-8")
            part.replace(path)
    except OSError as error:
        raise StoreError(f"{out}: cannot be written ({error.strerror}). Give another folder in output.dir.") from error
    found = differences(parse_spec(read_yaml(path), source=str(path)).fixed(), spec.fixed())
    if found:
        listed = "; ".join(found)
        raise StoreError(f"{path}: is of another experiment; different: {listed}. Give this one a folder of its own.")


def made_dataset(spec: AugmentSpec, local: bool, on_event: OnEvent) -> str:
    """Where the synthetic pairs are, made first if the experiment says how.

    Raises:
        MedimError: the job that makes them failed.
    """
    job = spec.generate_job()
    if job is None:
        assert spec.synthetic.dataset is not None
        return spec.synthetic.dataset
    run_job(job, local=local, on_event=on_event)
    return job.output.dir


def predictions(
    spec: AugmentSpec, synthetic: LabelledSet, test: LabelledSet, progress: Progress
) -> dict[Arm, tuple[int, NDArray[np.bool_]]]:
    """Training size and predictions bool [S, N, F] of every arm."""
    sizes: dict[Arm, int] = {}
    made: dict[Arm, list[NDArray[np.bool_]]] = {arm: [] for arm in spec.arms}
    for repetition in range(spec.seeds):
        real = train_set(spec, repetition)
        for arm in spec.arms:
            train = arm_set(arm, real, synthetic, np.random.default_rng([spec.seed, repetition]))
            made[arm].append(fit_predict(train, test.features, spec.classifier))
            sizes[arm] = len(train)
            progress.trained += 1
        progress.say(f"repetition {repetition + 1} of {spec.seeds}")
    return {arm: (sizes[arm], np.stack(predicted)) for arm, predicted in made.items()}


def facts(spec: AugmentSpec, synthetic: LabelledSet, test: LabelledSet) -> list[str]:
    """What the summary says about the comparison."""
    names = FINDINGS[spec.domain]
    shares = ", ".join(f"{name} {share:.0%}" for name, share in zip(names, synthetic.labels.mean(axis=0), strict=True))
    kind = "finished dataset" if spec.synthetic.generate is None else "dataset made by this job"
    shift = ", ".join(f"{name} {value:g}" for name, value in spec.real.shift.model_dump().items())
    classifier = spec.classifier
    return [
        f"domain {spec.domain}; {spec.seeds} repetitions of {spec.real.pairs} real pairs each, {len(test)} test pairs",
        f"real images: phantoms of seeds the checkpoint never saw, acquired differently ({shift})",
        f"synthetic images: {len(synthetic)} pairs of a {kind}, labelled by what their reports say: {shares}",
        f"classifier: {classifier.side} x {classifier.side} pixels, {classifier.components} components",
    ]
