"""A handful of pairs, made here and now: what comes out, how long it takes, and which batch size fits."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from medim_forge.generator.errors import DeviceMemoryError, StoreError
from medim_forge.generator.events import OnEvent
from medim_forge.generator.files import is_url
from medim_forge.generator.generate.job import run_job
from medim_forge.generator.jobspec import GenerateSpec
from medim_forge.generator.jobspec.inputs import PhantomInputs
from medim_forge.generator.plan import make_plan, read_spec
from medim_forge.generator.plan.cost import Cost, batch_rows, priced
from medim_forge.generator.plan.plan import deal
from medim_forge.generator.shards import Parts
from medim_forge.generator.shards.make import run_shard
from medim_forge.generator.shards.worker import imported
from medim_forge.generator.store import store_at

LARGEST_BATCH = 1024


@dataclass(frozen=True, kw_only=True)
class Preview:
    """What a preview made and measured.

    Attributes:
        folder: a dataset of its own, with contact sheet and card.
        pairs: made.
        kept: of them.
        device: that made them.
        seconds_per_pair: of one such replica, in shards of the job's size.
        fitting_batch: the largest `sampling.batch_size` that device memory takes; None where nothing limits it.
        cost: of the whole job.
    """

    folder: Path
    pairs: int
    kept: int
    device: str
    seconds_per_pair: float
    fitting_batch: int | None
    cost: Cost


def make_preview(spec: GenerateSpec, pairs: int, on_event: OnEvent, parts: Parts | None = None) -> Preview:
    """The first pairs of a job lie in `preview_folder(spec)`, replacing an earlier preview.

    Args:
        spec: the whole job.
        pairs: at least so many; a batch that is begun is filled, because it takes the same time.
        on_event: is called with what happens.
        parts: replica, judge and writers to use instead of the real ones.

    Raises:
        StoreError: the folder holds something else than a preview.
        MedimError: what stops the job would also stop here.
    """
    parts = parts or Parts()
    small = first_pairs(spec, batch_rows(pairs, spec.sampling.batch_size))
    make_room(small)
    result = run_job(small, local=True, on_event=on_event, parts=parts)
    (record,) = store_at(result.out).committed()
    plan = make_plan(spec)
    size = min(spec.compute.pairs_per_shard, plan.pairs)
    wasted = batch_rows(size, spec.sampling.batch_size) / size
    seconds = float(record.run["seconds"]) / batch_rows(record.counts.pairs, spec.sampling.batch_size) * wasted
    device = str(record.run["device"])
    return Preview(
        folder=Path(result.out),
        pairs=result.counts.pairs,
        kept=result.counts.kept,
        device=device,
        seconds_per_pair=seconds,
        fitting_batch=None if device == "cpu" else largest_batch(spec.sampling.batch_size, fits(spec, parts)),
        cost=priced(plan, seconds),
    )


def first_pairs(spec: GenerateSpec, count: int) -> GenerateSpec:
    """The job cut down to its first pairs in one shard, without further rounds; prompts keep their proportions.

    Args:
        spec: the whole job.
        count: how many pairs at most.
    """
    changes: dict[str, object] = {
        "name": f"{spec.name[:32]}_preview",
        "compute": spec.compute.model_copy(
            update={"replicas": 1, "pairs_per_shard": count, "max_retries": 0, "max_quarantined": count}
        ),
        "output": spec.output.model_copy(update={"dir": preview_folder(spec)}),
        "balance": None,
        "filters": tuple(
            section.model_copy(update={"action": "drop"}) if section.action == "regenerate" else section
            for section in spec.filters
        ),
    }
    if spec.inputs is None:
        counts = np.bincount(deal([prompt.pairs for prompt in spec.prompts])[:count], minlength=len(spec.prompts))
        cut = zip(spec.prompts, counts.tolist(), strict=True)
        changes["prompts"] = tuple(prompt.model_copy(update={"pairs": pairs}) for prompt, pairs in cut if pairs)
    elif isinstance(spec.inputs, PhantomInputs):
        changes["inputs"] = spec.inputs.model_copy(update={"pairs": min(count, spec.inputs.pairs)})
    else:
        changes["inputs"] = spec.inputs.model_copy(update={"limit": min(count, spec.inputs.limit or count)})
    return spec.model_copy(update=changes)


def preview_folder(spec: GenerateSpec) -> str:
    """Where the preview of a job goes: beside its folder, or here when that is an object store, to be looked at."""
    place = spec.output.dir.rstrip("/")
    return f"out/{spec.name[:32]}_preview" if is_url(place) else f"{place}_preview"


def make_room(small: GenerateSpec) -> None:
    """The folder of the preview is free.

    Raises:
        StoreError: it holds something else than an earlier preview of the job.
    """
    folder = Path(small.output.dir)
    if not folder.exists():
        return
    if not (folder / "spec.yaml").is_file() or read_spec(store_at(folder)).name != small.name:
        raise StoreError(f"{folder}: exists and is no earlier preview of this job. Move it away, or give --out.")
    shutil.rmtree(folder)


def largest_batch(start: int, fitting: Callable[[int], bool]) -> int:
    """The largest batch size that fits, of `start` doubled or halved any number of times; 0 if not even one row fits.

    Args:
        start: where to begin.
        fitting: whether a batch size fits.
    """
    size = start
    if not fitting(size):
        while size := size // 2:
            if fitting(size):
                return size
        return 0
    while size * 2 <= LARGEST_BATCH and fitting(size * 2):
        size *= 2
    return size


def fits(spec: GenerateSpec, parts: Parts) -> Callable[[int], bool]:
    """A function that tries whether one step with a batch of a given size stays within device memory."""

    def trial(size: int) -> bool:
        sampling = spec.sampling.model_copy(update={"batch_size": size, "steps": 1, "text_steps": 1})
        small = first_pairs(spec, size).model_copy(update={"sampling": sampling})
        replica, judge = imported(parts.replica)(small), imported(parts.judge)(small)
        with tempfile.TemporaryDirectory(prefix="medim-") as scratch:
            try:
                run_shard(make_plan(small).shard(0), small, replica, judge, (), Path(scratch))
            except DeviceMemoryError:
                return False
        return True

    return trial
