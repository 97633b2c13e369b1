"""Runs shards on Ray: one actor per replica, one shard in flight per actor. The only file that knows Ray.

Ray neither restarts actors nor retries calls here. The driver sees every death, hang and failure, tells the `Schedule`,
and puts a fresh actor in the place of one that is gone; so an attempt is counted once and by one party.
"""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

import ray
from ray.exceptions import RayError, RayTaskError

from generator.drain import drain_on_sigterm, grace_s
from generator.errors import DrainedError, MedimError, ReplicaError, ResourceError
from generator.events import Progress
from generator.records import ReplicaFacts, Shard
from generator.resources import places, too_few
from generator.scheduling import Failure, Order, Schedule
from generator.station import Done, Station, StationSetup

TICK_S = 0.5
PLACEMENT_S = 60.0
# Reading weights from shared storage takes minutes; a deadline of its own keeps a short shard deadline from killing it.
LOAD_DEADLINE_S = 1800.0
# Shards travel as prompts and come back as counts: the object store holds next to nothing.
OBJECT_STORE_BYTES = 100 * 2**20
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")


@dataclass
class _Worker:
    """An actor and what it is doing: `placing` until it has a machine, `loading` its replica, then `idle` or `busy`."""

    actor: Any
    phase: Literal["placing", "loading", "idle", "busy"]
    ref: Any
    since: float = field(default_factory=time.monotonic)
    order: Order | None = None

    def begin(self, phase: Literal["loading", "idle", "busy"], ref: Any = None, order: Order | None = None) -> None:
        """The worker is in the phase from now on."""
        self.phase, self.ref, self.order, self.since = phase, ref, order, time.monotonic()


def run_on_ray(
    setup: StationSetup, schedule: Schedule, shard_of: Callable[[int], Shard], progress: Progress
) -> ReplicaFacts:
    """Every outstanding shard is committed.

    Args:
        setup: what each replica gets.
        schedule: the missing shards.
        shard_of: the plan.
        progress: is told of every shard.

    Returns:
        What made them.

    Raises:
        ResourceError: no replica got a place within a minute.
        ReplicaError: a replica cannot start.
        DrainedError: SIGTERM came; the shards that ran were finished, or left when the grace was over.
        MedimError: the job cannot go on.
    """
    with _connected() as private, drain_on_sigterm() as draining:
        wanted = setup.spec.compute.replicas
        # A private Ray never grows, so what does not fit at once never will.
        fit = places(setup.spec.compute, _counted(ray.cluster_resources)) if private else wanted
        if fit < wanted:
            progress.tell("note", f"compute.replicas = {wanted}, of which {fit} fit on this machine")
        pool = _Pool(setup, fit, schedule, shard_of, progress)
        try:
            return pool.run(draining)
        finally:
            pool.close()


class _Pool:
    """The actors of one job."""

    def __init__(
        self,
        setup: StationSetup,
        size: int,
        schedule: Schedule,
        shard_of: Callable[[int], Shard],
        progress: Progress,
    ) -> None:
        self._setup = setup
        self._compute = setup.spec.compute
        self._size = size
        self._schedule = schedule
        self._shard_of = shard_of
        self._progress = progress
        self._workers: list[_Worker] = []
        self._facts: ReplicaFacts | None = None
        self._failed_starts = 0
        self._placed_at = time.monotonic()
        self._actor_class = ray.remote(Station).options(
            num_cpus=self._compute.threads_per_replica,
            num_gpus=self._compute.gpus_per_replica,
            max_restarts=0,
            max_task_retries=0,
            runtime_env={"env_vars": dict.fromkeys(THREAD_VARIABLES, str(self._compute.threads_per_replica))},
        )

    def run(self, draining: threading.Event) -> ReplicaFacts:
        """Every outstanding shard is committed."""
        while self._schedule.outstanding and not draining.is_set():
            self._fill()
            self._dispatch()
            self._collect()
            self._watch()
        if self._schedule.outstanding:
            self._drain()
        assert self._facts is not None
        return self._facts

    def close(self) -> None:
        """No actor is left."""
        for worker in list(self._workers):
            self._drop(worker)

    def _fill(self) -> None:
        while len(self._workers) < min(self._size, self._schedule.outstanding):
            actor: Any = self._actor_class.remote(self._setup)
            self._workers.append(_Worker(actor=actor, phase="placing", ref=actor.host.remote()))

    def _dispatch(self) -> None:
        for worker in self._workers:
            if worker.phase != "idle":
                continue
            order = self._schedule.next()
            if order is None:
                return
            worker.begin("busy", worker.actor.make.remote(self._shard_of(order.shard), order), order)

    def _collect(self) -> None:
        """What has come back within a tick is dealt with."""
        refs = {worker.ref: worker for worker in self._workers if worker.ref is not None}
        ready, _ = ray.wait(list(refs), num_returns=1, timeout=TICK_S)
        for ref in ready:
            worker = refs[ref]
            try:
                value = ray.get(ref)
            except RayTaskError as error:
                raise _cause(error) from error
            except RayError as error:
                self._died(worker, str(error))
            else:
                self._came_back(worker, value)

    def _came_back(self, worker: _Worker, value: str | ReplicaFacts | Done | Failure) -> None:
        if worker.phase == "placing":
            worker.begin("loading", worker.actor.start.remote())
            return
        if isinstance(value, ReplicaFacts):
            self._facts = self._facts or value
            self._failed_starts = 0
        elif isinstance(value, Failure) and worker.order is not None:
            # The replica may be what is broken, so the next attempt gets another.
            self._drop(worker)
            self._failed(worker.order, value)
            return
        elif isinstance(value, Done) and worker.order is not None:
            self._schedule.succeeded(worker.order)
            if value.note:
                self._progress.tell("note", value.note)
            if value.record:
                self._progress.committed(value.record)
        worker.begin("idle")

    def _died(self, worker: _Worker, detail: str) -> None:
        """The actor is gone; its shard is a failure of the shard, its start one of the job's replicas."""
        self._drop(worker)
        if worker.order is not None:
            self._failed(worker.order, Failure(error="ReplicaDied: the replica's process died", detail=detail))
            return
        self._failed_starts += 1
        if self._failed_starts > self._compute.max_retries:
            raise ReplicaError(f"{self._failed_starts} replicas in a row died while starting. The last: {detail}")
        self._progress.tell("failed", f"a replica died while starting: {detail}")

    def _failed(self, order: Order, failure: Failure) -> None:
        trial = "" if order.only is None else f", {len(order.only)} rows alone"
        why = " ".join(f"{failure.error} {failure.detail}".split())[:600]
        self._progress.tell("failed", f"shard {order.shard}, attempt {order.attempt}{trial}: {why}")
        self._schedule.failed(order, failure)

    def _watch(self) -> None:
        """Hung actors are gone.

        Raises:
            ResourceError: for a minute, no replica had a place.
        """
        now = time.monotonic()
        for worker in list(self._workers):
            if worker.phase == "busy" and now - worker.since > self._compute.shard_deadline_s and worker.order:
                self._drop(worker)
                self._failed(worker.order, Failure(error="ShardHung: not done after compute.shard_deadline_s"))
            elif worker.phase == "loading" and now - worker.since > LOAD_DEADLINE_S:
                self._died(worker, f"its weights were not loaded after {LOAD_DEADLINE_S:.0f} s")
        if any(worker.phase != "placing" for worker in self._workers):
            self._placed_at = now
        elif self._workers and now - self._placed_at > PLACEMENT_S:
            raise too_few(self._compute, _counted(ray.available_resources))

    def _drain(self) -> None:
        """The shards that run are finished, as far as the grace reaches.

        Raises:
            DrainedError: always.
        """
        end = time.monotonic() + grace_s()
        while time.monotonic() < end and any(worker.phase == "busy" for worker in self._workers):
            self._collect()
            self._watch()
        left = self._schedule.outstanding
        raise DrainedError(f"stopped on SIGTERM, {left} shards left; run the same command to go on.")

    def _drop(self, worker: _Worker) -> None:
        self._workers.remove(worker)
        with contextlib.suppress(RayError):
            ray.kill(worker.actor, no_restart=True)


@contextlib.contextmanager
def _connected() -> Iterator[bool]:
    """Inside, Ray runs: the one this process is in already, the one of RAY_ADDRESS, or a private one (True).

    A private Ray has its own short folder (socket paths are limited to 107 bytes) and its own random token, so that
    neither other users of the machine nor the network can run code in it, and no token file is left in the home folder.
    """
    if ray.is_initialized():
        yield False
        return
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    address = os.environ.get("RAY_ADDRESS") or "local"
    if address != "local":
        try:
            ray.init(address=address, log_to_driver=False, logging_level=logging.WARNING)
        except (ConnectionError, RuntimeError) as error:
            fault = f"RAY_ADDRESS = {address!r}: no Ray answers there ({error}). Start it, or unset it."
            raise ResourceError(fault) from error
        try:
            yield False
        finally:
            ray.shutdown()
        return
    os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
    parent = tempfile.gettempdir()
    folder = tempfile.mkdtemp(prefix="medim-", dir=parent if len(parent) <= 24 else "/tmp")  # noqa: S108 - see above
    try:
        ray.init(
            address="local",
            include_dashboard=False,
            log_to_driver=False,
            logging_level=logging.ERROR,
            object_store_memory=OBJECT_STORE_BYTES,
            _temp_dir=folder,
        )
        yield True
    finally:
        ray.shutdown()
        shutil.rmtree(folder, ignore_errors=True)


def _counted(count: Callable[[], dict[str, float]]) -> dict[str, float]:
    """What a function of Ray, which has no types, counts."""
    return count()


def _cause(error: RayTaskError) -> MedimError:
    """What a station raised, as it raised it."""
    cause = error.cause
    return cause if isinstance(cause, MedimError) else ReplicaError(f"a replica failed outside any shard: {error}")
