"""What the commands print, as text."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING

from medim_forge.generator.files import is_url
from medim_forge.generator.inputs.survey import check_headers
from medim_forge.generator.jobspec import DataSpec, GenerateSpec, JobSpec, to_yaml
from medim_forge.generator.plan import make_plan
from medim_forge.generator.plan.cost import Cost, estimate, uses_gpu
from medim_forge.generator.plan.wording import check_words

# What these rooms import takes seconds, and `medim plan` starts at once.
if TYPE_CHECKING:
    from medim_forge.generator.audit.reproduce import Reproduced
    from medim_forge.generator.audit.status import Status
    from medim_forge.generator.audit.verify import VerifyReport
    from medim_forge.generator.finalise.privacy_note import Privacy
    from medim_forge.generator.finalise.refilter import Refiltered
    from medim_forge.generator.generate import JobResult
    from medim_forge.generator.generate.preview import Preview
    from medim_forge.generator.training.status import TrainingStatus


def plan_text(spec: GenerateSpec) -> str:
    """What the job will make and what that costs.

    Raises:
        SpecError: something that the job names does not exist.
    """
    made = make_plan(spec)
    cost = estimate(made)
    compute = spec.compute
    device = f"{compute.gpus_per_replica:g} GPU" if uses_gpu(spec) else f"{compute.threads_per_replica} CPU thread(s)"
    rows = [
        ("job", f"{spec.name} ({spec.source})"),
        ("task", spec.task),
        ("spec", made.spec_sha256),
        ("weights", f"{spec.model.checkpoint}, {spec.model.dtype}"),
        *sources(spec),
        ("pairs", f"{made.pairs:,}"),
        *balance_rows(spec, cost.hours / made.pairs),
        ("shards", f"{made.shards:,} of {compute.pairs_per_shard} pairs"),
        ("replicas", f"{compute.replicas}, each {device}"),
        *(("warning", line) for line in (*check_words(spec), *check_headers(spec))),
        ("estimate", f"{cost_text(cost)} (by FLOPs; `medim preview` measures)"),
        ("output", f"{spec.output.dir} (nothing was written)"),
    ]
    return table(rows)


def sources(spec: GenerateSpec) -> list[tuple[str, str]]:
    """What pairs are made from, one row per prompt or for the inputs."""
    if spec.inputs is not None:
        return [("inputs", f"{spec.inputs.source}, {spec.inputs.domain}")]
    return [
        (
            "prompt",
            f"{prompt.pairs:,} x {prompt.domain}: {', '.join(prompt.findings) or prompt.text or 'its opening words'}",
        )
        for prompt in spec.prompts
    ]


def balance_rows(spec: GenerateSpec, hours_per_pair: float) -> list[tuple[str, str]]:
    """What the job may make beyond its plan, for what, and how long all of that would take."""
    if spec.balance is None:
        return []
    again = [section.name for section in spec.filters if section.action == "regenerate"]
    return [
        ("budget", f"up to {spec.balance.budget:,} pairs, {duration(hours_per_pair * 3600 * spec.balance.budget)}"),
        *(("made again", f"what {name} drops") for name in again),
        *(("quota", f"{quota}: {_range(quota.kept, quota.at_most)}") for quota in spec.balance.quotas),
    ]


def _range(least: int | None, most: int | None) -> str:
    bounds = (("at least", least), ("at most", most))
    return ", ".join(f"{name} {bound:,}" for name, bound in bounds if bound is not None)


def settings_text(job: JobSpec) -> str:
    """The whole job with every default written out."""
    return f"# {job.source}: kind {job.kind}; nothing was written\n{to_yaml(job)}".rstrip()


def metadata_text(job: JobSpec) -> str:
    """What a submitted job says of itself, as JSON of strings alone, which Ray takes."""
    out = "" if isinstance(job, DataSpec) else job.output.dir
    return json.dumps({"job": job.name, "spec_sha256": job.sha256, "output_dir": out}, ensure_ascii=False)


def preview_text(spec: GenerateSpec, found: Preview) -> str:
    """What the preview made and measured."""
    rows = [
        ("contact sheet", str(found.folder / "contact_sheet.png")),
        ("kept", f"{found.kept} of {found.pairs} pairs"),
        ("measured", f"{found.seconds_per_pair:.3g} s per pair on {found.device}"),
        ("batch size", batch_text(spec, found)),
        ("whole job", f"{cost_text(found.cost)} with {spec.compute.replicas} replica(s) like this one"),
    ]
    return table(rows)


def batch_text(spec: GenerateSpec, found: Preview) -> str:
    """What the device's memory allows."""
    asked = spec.sampling.batch_size
    if found.fitting_batch is None:
        return f"{asked}; not limited by device memory on {found.device}"
    if found.fitting_batch == 0:
        return f"{asked}; not even one row fits on {found.device}: try model.dtype: bfloat16"
    verdict = "fits" if found.fitting_batch >= asked else "does not fit"
    return f"{asked} {verdict}; the largest that fits on {found.device} is {found.fitting_batch}"


def result_text(result: JobResult) -> str:
    """What the job left behind, and where to look first."""
    counts = result.counts
    made = f"{result.made} made now" if result.made else "nothing was left to do"
    copies = f", {result.duplicates} exact copies left out of data/" if result.duplicates else ""
    rows = [
        ("dataset", result.out),
        ("shards", f"{counts.shards}, {made}"),
        ("pairs", f"{counts.pairs}: {counts.kept} kept, {counts.dropped} dropped, {counts.quarantined} quarantined"),
        *((f"  {reason}", str(count)) for reason, count in counts.rejects.items()),
        *rounds_rows(result.rounds),
        ("data", f"{result.data_rows} pairs{copies}"),
        *((f"  {reason}", f"{count} left out") for reason, count in result.left_out.items()),
        *(("warning", line) for line in result.warnings),
        ("contact sheet", f"{result.out}/contact_sheet.png"),
        ("card", f"{result.out}/README.md"),
        ("read it", f"datasets.{reader(result.out)}"),
    ]
    return table(rows)


def rounds_rows(rounds: int) -> list[tuple[str, str]]:
    """How many rounds a job has added, where it has."""
    return [("rounds", f"{rounds} beyond the planned pairs")] if rounds else []


def status_text(found: Status) -> str:
    """How far a job is, one fact per line; the commonest reasons for dropping pairs first."""
    done, planned = found.done, found.planned
    rate = f" ({done.kept / done.judged:.1%} of judged)" if done.judged else ""
    state = "finished" if found.finished else "not finished; run its job again to go on"
    if not found.finished and done.quarantined and done.pairs == planned.pairs:
        state = "all is tried, but more rows are quarantined than its job allows; run it again to read why"
    if found.lost:
        state = f"damaged: {found.lost}; run its job again, which makes data/ anew from the shards"
    if found.pending:
        state = f"`medim {found.pending}` is at work on data/, or was interrupted: then run it again to go on"
    repeated = found.attempts - done.shards
    again = f", {repeated} attempts repeated" if repeated else ""
    rows = [
        ("dataset", f"{found.name}, {state}"),
        ("shards", f"{done.shards} of {planned.shards}{again}"),
        ("pairs", f"{done.pairs} done, {planned.pairs - done.pairs} left"),
        ("kept", f"{done.kept}{rate}"),
        ("dropped", str(done.dropped)),
        *((f"  {reason}", str(count)) for reason, count in Counter(done.rejects).most_common()),
        ("quarantined", str(done.quarantined)),
        *rounds_rows(found.rounds),
        ("work", f"{found.seconds:.1f} s in committed shards"),
        *([("data", f"{found.data_rows} pairs")] if found.data_rows is not None else []),
        *([("policy", "of a later `medim refilter`, not the job's")] if found.refiltered else []),
        *(("warning", line) for line in found.warnings),
    ]
    return table(rows)


def training_text(found: TrainingStatus) -> str:
    """How far a training is, a stage at a time."""
    state = "finished" if found.finished else "not finished; run its job again to go on"
    rows = [("training", f"{found.name}, {state}")]
    for stage in found.stages:
        rows.append((stage.name, f"{stage.done} of {stage.steps} steps"))
        rows += [(f"  {name}", f"{loss:.3f}") for name, loss in stage.losses.items()]
        if stage.restart:
            rows.append(("  restart points", ", ".join(map(str, stage.restart))))
    return table(rows)


def verified_text(report: VerifyReport) -> str:
    """What was compared in a dataset that holds what its records say."""
    return f"{report.looked_at}: all as recorded"


def reproduced_text(found: Reproduced) -> str:
    """What was compared of a pair that was made again."""
    objects = f" and {len(found.files)} DICOM objects" if found.files else ""
    return f"{found.pair_id}: made again, the same: {found.columns} columns{objects}, image sha256 {found.image_sha256}"


def refiltered_text(found: Refiltered) -> str:
    """What a new policy made of a dataset."""
    lines = [
        f"{found.folder}: data/ holds {found.data_rows} pairs, {found.before} before",
        *(f"  left out, {reason}: {count}" for reason, count in found.left_out.items()),
        *([f"  taken back: {found.restored}"] if found.restored else []),
        *(f"  warning: {line}" for line in found.warnings),
    ]
    return "\n".join(lines)


def privacy_text(found: Privacy) -> str:
    """What a test against training data found."""
    if found.reference_reports:
        counted = f"{found.copied_images} images and {found.copied_reports} reports count as copies"
    else:
        counted = f"{found.copied_images} images count as copies; reports were not compared"
    lines = [
        f"{found.pairs} pairs against {found.reference} records ({found.holdout} held out): {counted}.",
        *(f"warning: {line}" for line in found.warnings),
        "What these tests cannot see is in the dataset card.",
    ]
    return "\n".join(lines)


def reader(out: str) -> str:
    """The call that gives the pairs to a trainer."""
    return f'load_dataset("parquet", data_files="{out}/data/*.parquet")' if is_url(out) else f"load_dataset({out!r})"


def cost_text(cost: Cost) -> str:
    """Time, and GPU time where there is any."""
    gpu = f", {cost.gpu_hours:,.2g} GPU-hours" if cost.gpu_hours else ""
    return f"{duration(cost.hours * 3600)}{gpu}, {cost.seconds_per_pair:.2g} s per pair and replica"


def duration(seconds: float) -> str:
    """Seconds in the unit that people would use."""
    for unit, size in (("days", 86400.0), ("hours", 3600.0), ("minutes", 60.0)):
        if seconds >= 2 * size:
            return f"{seconds / size:,.1f} {unit}"
    return f"{seconds:.2g} s" if seconds < 10 else f"{seconds:.0f} s"


def table(rows: list[tuple[str, str]]) -> str:
    """The rows as two aligned columns."""
    width = max(len(key) for key, _ in rows)
    return "\n".join(f"{key:<{width}}  {value}" for key, value in rows)
