"""A worker loads a replica, a judge and writers once, then carries out orders, in this process or as a Ray actor."""

from __future__ import annotations

import importlib
import os
import shutil
import socket
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol, Self

from medim_forge.generator.contracts import Replica, Writer
from medim_forge.generator.errors import (
    BlamelessError,
    MedimError,
    OutageError,
    ReplicaError,
    ShardError,
    environment_fault,
    is_environment,
)
from medim_forge.generator.inputs.planned import PlannedInputs, planned_inputs
from medim_forge.generator.jobspec import ComputeSection, GenerateSpec
from medim_forge.generator.records import ReplicaFacts, Shard, ShardRecord
from medim_forge.generator.shards.make import Judge, run_shard
from medim_forge.generator.shards.schedule import Failure, Order
from medim_forge.generator.store import Store
from medim_forge.generator.tracing import one_line, portable_traceback

# The replica that reads checkpoints of ours.
OWN_REPLICA = "medim_forge.generator.replica.load:load_replica"


@dataclass(frozen=True, kw_only=True)
class Parts:
    """Import paths `module:function` of what a job is made of, so that an actor finds them by itself.

    Attributes:
        facts: spec -> `ReplicaFacts`, without loading the weights.
        replica: spec -> `Replica`.
        judge: spec -> judge.
        writers: spec, facts -> writers.
    """

    facts: str = "medim_forge.generator.replica.load:checkpoint_facts"
    replica: str = OWN_REPLICA
    judge: str = "medim_forge.generator.inputs.words:build_judge"
    writers: str = "medim_forge.generator.writers:build_writers"


@dataclass(frozen=True, kw_only=True)
class Done:
    """What comes of an order that was carried out.

    Attributes:
        record: of the shard, which is committed now, by this worker or by another one; without its files. None after a
            trial.
        note: what the log should say about it; empty for nothing.
    """

    record: ShardRecord | None = None
    note: str = ""


class ShardWorker(Protocol):
    """What carries out orders, in this process or as an actor of its own."""

    def host(self) -> str:
        """The name of the machine; that it answers shows that the worker has a place."""

    def start(self) -> ReplicaFacts:
        """What it needs is loaded.

        Raises:
            ReplicaError: it cannot be.
        """

    def make(self, shard: Any, order: Order) -> Done | Failure:
        """The shard is committed, or the rows of a trial were made and thrown away; or a failure says why not.

        Raises:
            MedimError: the job cannot go on.
        """


class Setup(Protocol):
    """All that a worker needs to know before its first order; it can be sent to another process."""

    @property
    def name(self) -> str:
        """Of the job."""

    @property
    def compute(self) -> ComputeSection:
        """What the job runs on."""

    @property
    def worker(self) -> Callable[[Self], ShardWorker]:
        """The class of its workers."""


@dataclass(frozen=True, kw_only=True)
class WorkerSetup:
    """All that a worker that makes pairs needs to know before its first order; see `Setup`.

    Attributes:
        spec: the job.
        store: of the dataset; its place is absolute.
        model_sha256: of the weights that the job was planned with.
        parts: what the worker loads.
        directory: folder in which the job was started, for its relative paths; ignored on a machine that lacks it.
        inputs: what `plan.json` says of the inputs; None where the spec determines them.
    """

    spec: GenerateSpec
    store: Store
    model_sha256: str
    parts: Parts
    directory: Path
    inputs: Mapping[str, Any] | None = None

    @property
    def name(self) -> str:
        """Of the job."""
        return self.spec.name

    @property
    def compute(self) -> ComputeSection:
        """What the job runs on."""
        return self.spec.compute

    @property
    def worker(self) -> type[Worker]:
        """The class of its workers."""
        return Worker


class Worker:
    """A replica with its judge and writers. It is cheap to construct; `start` loads.

    Several threads may call `make`: while one uses the replica, another writes and commits its shard.
    """

    def __init__(self, setup: WorkerSetup) -> None:
        self._spec = setup.spec
        self._store = setup.store
        self._model_sha256 = setup.model_sha256
        self._parts = setup.parts
        self._directory = setup.directory
        self._inputs = setup.inputs
        self._planned: PlannedInputs | None = None
        self._turn = threading.Lock()

    def host(self) -> str:
        """The name of the machine; that it answers shows that the worker has a place."""
        return socket.gethostname()

    def start(self) -> ReplicaFacts:
        """The replica is loaded and has the weights of the plan.

        Raises:
            ReplicaError: it cannot be loaded, or has other weights.
        """
        if self._directory.is_dir():
            os.chdir(self._directory)
        try:
            self._replica: Replica = imported(self._parts.replica)(self._spec)
        except MedimError:
            raise
        except Exception as error:
            raise ReplicaError(f"the replica cannot start: {one_line(error)}\n{portable_traceback(error)}") from error
        facts: ReplicaFacts = self._replica.facts
        if facts.model_sha256 != self._model_sha256:
            raise ReplicaError(
                f"model.checkpoint = {self._spec.model.checkpoint!r}: a replica found weights {facts.model_sha256}, "
                f"the job was planned with {self._model_sha256}. Give every machine the same checkpoint."
            )
        self._planned = planned_inputs(self._store, self._inputs)
        self._judge: Judge = imported(self._parts.judge)(self._spec)
        self._writers: Sequence[Writer] = imported(self._parts.writers)(self._spec, facts)
        return facts

    def make(self, shard: Shard, order: Order) -> Done | Failure:
        """The shard is committed, or the rows of a trial were made and thrown away; or a failure says why not.

        Raises:
            MedimError: the job cannot go on.
        """
        if order.trial is not None:
            rows = tuple(request for request in shard.requests if request.pair_id in order.trial)
            shard = replace(shard, requests=rows)
        folder = self._store.new_attempt(shard.index, order.attempt)
        try:
            parts = (self._replica, self._judge, self._writers)
            record = run_shard(shard, self._spec, *parts, folder, order, self._turn, self._planned)
            if order.trial is not None:
                return Done()
            return self._committed(folder, record)
        except MedimError as error:
            if not isinstance(error, ShardError | OutageError):
                raise
            return Failure.of(error, type(error) if isinstance(error, BlamelessError | OutageError) else None)
        except Exception as error:  # noqa: BLE001 - reported with its traceback; the schedule decides
            if is_environment(error):
                fault = environment_fault(error, f"shard {shard.index}: it cannot be committed")
                return Failure.of(fault, type(fault))
            return Failure.of(error)
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _committed(self, folder: Path, record: ShardRecord) -> Done:
        if self._store.commit(folder, record):
            return Done(record=replace(record, files=()))
        first = self._store.record(record.index)
        note = f"shard {record.index} had been committed meanwhile; this attempt was discarded"
        if replace(first, run={}) != replace(record, run={}):
            note += ", and its bytes differ: do all machines have the same hardware and library versions?"
        return Done(record=replace(first, files=()), note=note)


def imported(path: str) -> Callable[..., Any]:
    """The function that `module:function` names."""
    module, _, name = path.partition(":")
    function: Callable[..., Any] = getattr(importlib.import_module(module), name)
    return function
