"""Do synthetic pairs help a classifier of real images? Trains one per arm and repetition, and reports what comes out.

<out>/spec.yaml         the experiment
<out>/depends.json      the synthetic pairs and the software versions: a folder belongs to one experiment
<out>/synthetic/        the dataset, when the experiment makes its own
<out>/runs.parquet      one row per arm and repetition
<out>/summary.csv .md .png
<out>/_SUCCESS          written last
"""

from __future__ import annotations

import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medim_forge.generator.augmentation.arms import arm_set, evaluation_set, synthetic_set, train_set
from medim_forge.generator.augmentation.classifier import LabelledSet, fit_predict
from medim_forge.generator.augmentation.plots import write_plot
from medim_forge.generator.augmentation.tables import Comparison, markdown, verdict, write_csv, write_runs
from medim_forge.generator.dataset import open_dataset
from medim_forge.generator.events import JobEvent, OnEvent, note
from medim_forge.generator.finalise import read_manifest
from medim_forge.generator.finalise.view import data_digest
from medim_forge.generator.generate import run_job
from medim_forge.generator.inputs.survey import survey_inputs
from medim_forge.generator.jobspec import AugmentSpec
from medim_forge.generator.jobspec.augment import Arm
from medim_forge.generator.phantoms import FINDINGS
from medim_forge.generator.plan import make_plan, plan_record
from medim_forge.generator.records import FileRecord
from medim_forge.generator.replica.load import checkpoint_facts
from medim_forge.generator.store import SUCCESS, store_at
from medim_forge.generator.store.folder import claim_folder


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
    if claim_folder(out, spec, dependencies(spec)):
        progress.say(f"{out} holds the result already")
        return out
    synthetic = synthetic_set(spec, made_dataset(spec, local, on_event))
    test = evaluation_set(spec)
    progress.say(f"{len(synthetic)} synthetic pairs, {len(test)} test pairs")
    if alike := shared(synthetic, test):
        progress.say(f"warning: {alike} synthetic pairs show test images, so they cannot be judged by them")
    predicted = predictions(spec, synthetic, test, progress)
    comparison = Comparison.of(FINDINGS[spec.domain], test.labels, predicted, draws=spec.bootstrap, seed=spec.seed)
    store = store_at(out)
    with store.draft("runs.parquet") as path:
        write_runs(path, comparison)
    with store.draft("summary.csv") as path:
        write_csv(path, comparison)
    with store.draft("summary.md") as path:
        path.write_text(markdown(comparison, spec.name, facts(spec, synthetic, test)), encoding="utf-8")
    with store.draft("summary.png") as path:
        write_plot(path, comparison, spec.name)
    store.mark(SUCCESS)
    store.tidy()
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


def dependencies(spec: AugmentSpec) -> dict[str, Any]:
    """What the result follows from beside the spec: the synthetic pairs, and the versions of what computes.

    Raises:
        MedimError: there is no such finished dataset, or the job that makes one cannot be planned.
    """
    versions = {"python": platform.python_version(), **{name: version(name) for name in ("numpy", "scikit-learn")}}
    job = spec.generate_job()
    if job is None:
        assert spec.synthetic.dataset is not None
        return {"versions": versions, "dataset_sha256": dataset_digest(spec.synthetic.dataset)}
    facts = checkpoint_facts(job)
    given = survey_inputs(job)
    inputs = None if given is None else given.record
    made_by = plan_record(make_plan(job), model_sha256=facts.model_sha256, versions=facts.versions, inputs=inputs)
    return {"versions": versions, "synthetic": made_by}


def dataset_digest(folder: str) -> str:
    """Hex sha256 of all that a finished dataset holds.

    Raises:
        StoreError: the folder holds no finished dataset.
    """
    open_dataset(folder)
    files = (FileRecord(**file) for file in read_manifest(store_at(folder))["files"])
    return data_digest(file for file in files if file.path.startswith("data/"))


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


def shared(synthetic: LabelledSet, test: LabelledSet) -> int:
    """How many synthetic images are test images too, as the classifier sees them."""
    known = {row.tobytes() for row in test.features}
    return sum(row.tobytes() in known for row in synthetic.features)


def facts(spec: AugmentSpec, synthetic: LabelledSet, test: LabelledSet) -> list[str]:
    """What the summary says about the comparison."""
    names = FINDINGS[spec.domain]
    shares = ", ".join(f"{name} {share:.0%}" for name, share in zip(names, synthetic.labels.mean(axis=0), strict=True))
    kind = "finished dataset" if spec.synthetic.generate is None else "dataset made by this job"
    shift = ", ".join(f"{name} {value:g}" for name, value in spec.real.shift.model_dump().items())
    classifier = spec.classifier
    alike = shared(synthetic, test)
    warnings = [f"**{alike} synthetic pairs show test images: what follows is worth nothing**"] if alike else []
    return [
        *warnings,
        f"domain {spec.domain}; {spec.seeds} repetitions of {spec.real.pairs} real pairs each, {len(test)} test pairs",
        f"real images: phantoms of seeds the checkpoint never saw, acquired differently ({shift})",
        f"synthetic images: {len(synthetic)} pairs of a {kind}, labelled by what their reports say: {shares}",
        f"classifier: {classifier.side} x {classifier.side} pixels, {classifier.components} components",
    ]
