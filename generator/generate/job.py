"""The generate job from end to end: plan, claim the folder, make what is missing, finalise."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

from medim_forge.generator.errors import StoreError
from medim_forge.generator.events import OnEvent, Progress, note
from medim_forge.generator.executors import run_shards
from medim_forge.generator.files import is_url
from medim_forge.generator.finalise import (
    Change,
    carry_out,
    finish_pending,
    manifest_counts,
    read_manifest,
    standing_rules,
    whole_dataset,
)
from medim_forge.generator.finalise.manifest import policy_of
from medim_forge.generator.finalise.whole import what_is_lost
from medim_forge.generator.generate.failures import stop_where_most_fail, too_many_quarantined
from medim_forge.generator.inputs.settled import check_arrivals, settle_inputs
from medim_forge.generator.inputs.survey import concerns, survey_inputs
from medim_forge.generator.jobspec import GenerateSpec
from medim_forge.generator.plan import begun_plan, claim_dataset, make_plan, plan_record
from medim_forge.generator.plan.wording import check_words
from medim_forge.generator.records import Counts, ReplicaFacts
from medim_forge.generator.selection import Growth
from medim_forge.generator.shards import Parts, Schedule, WorkerSetup
from medim_forge.generator.shards.worker import OWN_REPLICA, imported
from medim_forge.generator.store import SUCCESS, Store, store_at


@dataclass(frozen=True, kw_only=True)
class JobResult:
    """What a job left behind.

    Attributes:
        out: the dataset.
        made: shards that this run made; the others were there.
        counts: of the dataset, those of earlier runs included.
        duplicates: kept pairs left out of `data/` as exact copies.
        data_rows: pairs in `data/`.
        left_out: pairs that their shard kept and `data/` leaves out, by reason; a pair may have several.
        rounds: that were added to the planned pairs.
        warnings: what a person should know before using the dataset.
    """

    out: str
    made: int
    counts: Counts
    duplicates: int
    data_rows: int
    left_out: dict[str, int]
    rounds: int
    warnings: tuple[str, ...]


def run_job(spec: GenerateSpec, *, local: bool, on_event: OnEvent, parts: Parts | None = None) -> JobResult:
    """The dataset is complete, in `data/` too, and carries `_SUCCESS`.

    Run it again after any interruption: what is committed stays, what is missing is made.

    Args:
        spec: the job.
        local: in this process instead of on Ray.
        on_event: is called with what happens.
        parts: replica, judge and writers to use instead of the real ones.

    Raises:
        SpecError: something that the job names does not exist.
        StoreError: the output folder cannot be used.
        ResourceError: fewer resources than one replica needs.
        ReplicaError: a replica cannot start.
        ShardError: a shard cannot be made, whichever rows are left out.
        DrainedError: SIGTERM came.
        QuarantineError: the dataset is complete, but more rows were quarantined than the job allows; or the job was
            stopped early, because most rows failed.
    """
    parts = parts or Parts()
    place = spec.output.dir
    store = store_at(place if is_url(place) else Path(place).absolute())
    begun = begun_plan(store, spec)
    plan = make_plan(spec, None if begun is None else begun["pairs"])
    facts: ReplicaFacts = imported(parts.facts)(spec)
    warned = _looked_at(spec, parts) if begun is None else ()
    surveyed = None
    if begun is None and spec.inputs is not None:
        on_event(note(f"{spec.name}: reading the inputs once, to know every row again"))
        surveyed = survey_inputs(spec)
    if surveyed is not None:
        warned += concerns(spec, surveyed.flagged, len(surveyed.manifest))
    inputs = begun["inputs"] if begun is not None else None if surveyed is None else surveyed.record
    claim_dataset(
        store, spec, plan_record(plan, model_sha256=facts.model_sha256, versions=facts.versions, inputs=inputs)
    )
    store.sweep(spec.compute.shard_deadline_s)
    growth, progress = Growth(store, plan), Progress(plan.shards, plan.pairs, on_event)
    done = _count_committed(store, growth, facts, progress)
    growth.report_to(progress)
    missing = [index for index in range(growth.plan.shards) if index not in done]
    progress.report("opened", f"{spec.name}: {len(missing)} of {growth.plan.shards} shards to make, in {store}")
    if not missing:
        finish_pending(store, "run")
    if not missing and store.exists(SUCCESS) and (lost := what_is_lost(store)):
        progress.report("note", f"{lost}: data/, card and manifest are made again from the shards")
        store.remove(SUCCESS)
    if not missing and not store.exists(SUCCESS):
        missing = list(growth.more())
    if missing:
        settle_inputs(store, spec, inputs, surveyed)
        for line in warned or _looked_at(spec, parts):
            progress.report("note", f"warning: {line}")
        store.remove(SUCCESS)
        progress.watch = partial(stop_where_most_fail, store, spec, progress)
        progress.watch()
        setup = WorkerSetup(
            spec=spec,
            store=store,
            model_sha256=facts.model_sha256,
            parts=parts,
            directory=Path.cwd(),
            inputs=inputs,
        )
        schedule = Schedule(missing, growth.rows, spec.compute.max_retries, growth)
        facts = run_shards(setup, schedule, growth.shard, progress, local=local)
    made = growth.plan.shards - len(done)
    with whole_dataset(store, "run", wait=True):
        if not store.exists(SUCCESS):
            check_arrivals(store, spec, inputs)
            _finalise(store, spec, facts, progress)
        _settle(store, spec, progress)
        return _result(store, made)


def _looked_at(spec: GenerateSpec, parts: Parts) -> tuple[str, ...]:
    """What a person should know of the words that the job gives its checkpoint; nothing of a replica that is no model.

    Raises:
        SpecError: the checkpoint cannot be given them.
    """
    return check_words(spec) if parts.replica == OWN_REPLICA else ()


def _finalise(store: Store, spec: GenerateSpec, facts: ReplicaFacts, progress: Progress) -> None:
    """The dataset is finished but for `_SUCCESS`."""
    progress.report("finalising", f"{spec.name}: writing data/, manifest and card")
    rules = standing_rules(store, spec)
    if rules:
        progress.report("note", "data/ keeps to the filters of the last `medim refilter`, not to those of this job")
    policy = None if rules is None else policy_of(rules)
    carry_out(store, Change(command="run", complete=False, facts=facts, policy=policy))


def _count_committed(store: Store, growth: Growth, facts: ReplicaFacts, progress: Progress) -> set[int]:
    """What earlier runs committed is counted in `progress`; the indices of those shards, all of them this job's.

    Records are read one at a time: they list the files of every pair.

    Raises:
        StoreError: one is damaged, or of another job.
    """
    done: set[int] = set()
    for record in store.committed():
        if not growth.holds(record.index):
            end = growth.plan.shards
            raise StoreError(
                f"{store}: shard {record.index} is beyond the {end} shards of plan.json and rounds/. If a file of "
                f"rounds/ was lost, put it back, or delete the shards from {end} on: they are made again."
            )
        spec_sha256 = growth.plan.spec_sha256
        if (record.spec_sha256, record.model_sha256) != (spec_sha256, facts.model_sha256):
            raise StoreError(
                f"{store}: shard {record.index} was made from spec {record.spec_sha256[:12]} and weights "
                f"{record.model_sha256[:12]}, this job has {spec_sha256[:12]} and {facts.model_sha256[:12]}. Somebody "
                "put it there: move it away and run again."
            )
        progress.count(record)
        done.add(record.index)
    return done


def _settle(store: Store, spec: GenerateSpec, progress: Progress) -> None:
    """`_SUCCESS` says that the dataset is complete.

    Args:
        store: of the dataset.
        spec: of the job.
        progress: of the job, which has made all it can.

    Raises:
        QuarantineError: too many rows are missing for that.
    """
    if error := too_many_quarantined(store, spec, progress):
        store.remove(SUCCESS)
        raise error
    store.mark(SUCCESS)
    # What a killed driver left running when this run began has died since.
    store.sweep(spec.compute.shard_deadline_s)
    store.tidy()


def _result(store: Store, made: int) -> JobResult:
    manifest = read_manifest(store)
    balance = manifest["balance"] or {"rounds": []}
    return JobResult(
        out=str(store),
        made=made,
        counts=manifest_counts(manifest),
        duplicates=manifest["counts"]["duplicates"],
        data_rows=manifest["counts"]["data_rows"],
        left_out=manifest["left_out"],
        rounds=len(balance["rounds"]),
        warnings=tuple(manifest["warnings"]),
    )
