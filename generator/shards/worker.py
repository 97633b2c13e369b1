"""Where a replica works: it loads its parts once, then carries out orders. In-process, or as the body of an actor."""

from __future__ import annotations

import importlib
import os
import shutil
import socket
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from medim_forge.generator.errors import DeviceMemoryError, MedimError, OutageError, ReplicaError, ShardError
from medim_forge.generator.jobspec import GenerateSpec
from medim_forge.generator.records import Pair, Replica, ReplicaFacts, Shard, ShardRecord, Shuffler, Writer
from medim_forge.generator.shards.make import Judge, run_shard
from medim_forge.generator.shards.schedule import Failure, Order
from medim_forge.generator.store import Store
from medim_forge.generator.tracing import one_line, portable_traceback


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
    replica: str = "medim_forge.generator.replica.load:load_replica"
    judge: str = "medim_forge.generator.inputs.words:build_judge"
    writers: str = "medim_forge.generator.writers:build_writers"


@dataclass(frozen=True, kw_only=True)
class Done:
    """An order that was carried out.

    Attributes:
        record: of the committed shard, whoever committed it, without its files; None after a trial.
        note: what people should know about it.
    """

    record: ShardRecord | None = None
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class WorkerSetup:
    """All that a worker needs to know.

    Attributes:
        spec: the job.
        store: of the dataset, absolute.
        model_sha256: of the weights that the job was planned with.
        parts: what to load.
        directory: where the job was started, for its relative paths; ignored on a machine that lacks it.
    """

    spec: GenerateSpec
    store: Store
    model_sha256: str
    parts: Parts
    directory: Path


class _OneAtATime:
    """A replica that several threads share: one shard has it at a time, the others wait for their turn.

    A shard keeps its turn until all that it needs of the replica is done, so that it never waits for the next shard's.
    """

    def __init__(self, replica: Replica) -> None:
        self.facts = replica.facts
        self.turn = threading.RLock()
        self._replica = replica

    def generate(self, shard: Shard) -> list[Pair]:
        with self.turn:
            return self._replica.generate(shard)


class _ShufflesToo(_OneAtATime):
    """The same of a replica that can score pairs whose reports are mismatched."""

    def __init__(self, replica: Replica, shuffler: Shuffler) -> None:
        super().__init__(replica)
        self._shuffler = shuffler

    def shuffled(self, pairs: Sequence[Pair], others: Sequence[Pair]) -> list[float]:
        with self.turn:
            return self._shuffler.shuffled(pairs, others)


def _in_turn(replica: Replica) -> Replica:
    return _ShufflesToo(replica, replica) if isinstance(replica, Shuffler) else _OneAtATime(replica)


class Worker:
    """A replica with its judge and writers. Cheap to construct; `start` loads.

    Several threads may call `make`: while one generates, another judges, writes and commits what it generated before.
    """

    def __init__(self, setup: WorkerSetup) -> None:
        self._spec = setup.spec
        self._store = setup.store
        self._model_sha256 = setup.model_sha256
        self._parts = setup.parts
        self._directory = setup.directory

    def host(self) -> str:
        """The machine's name; an answer says that the worker has a place."""
        return socket.gethostname()

    def start(self) -> ReplicaFacts:
        """The replica is loaded and has the weights of the plan.

        Raises:
            ReplicaError: it cannot be loaded, or has other weights.
        """
        if self._directory.is_dir():
            os.chdir(self._directory)
        try:
            self._replica: Replica = _in_turn(imported(self._parts.replica)(self._spec))
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
        self._judge: Judge = imported(self._parts.judge)(self._spec)
        self._writers: Sequence[Writer] = imported(self._parts.writers)(self._spec, facts)
        return facts

    def make(self, shard: Shard, order: Order) -> Done | Failure:
        """The shard is committed, or its trial rows were made and thrown away, or why not.

        Raises:
            MedimError: the job cannot go on.
        """
        if order.only is not None:
            shard = replace(shard, requests=tuple(one for one in shard.requests if one.pair_id in order.only))
        folder = self._store.new_attempt(shard.index, order.attempt)
        try:
            record = run_shard(shard, self._spec, self._replica, self._judge, self._writers, folder, order)
            if order.only is not None:
                return Done()
            return self._committed(folder, record)
        except MedimError as error:
            if not isinstance(error, ShardError | OutageError):
                raise
            ends = type(error) if isinstance(error, DeviceMemoryError | OutageError) else None
            return Failure(error=one_line(error), traceback=portable_traceback(error), ends=ends)
        except Exception as error:  # noqa: BLE001 - reported with its traceback; the schedule decides
            return Failure(error=one_line(error), traceback=portable_traceback(error))
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
