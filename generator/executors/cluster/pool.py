"""The replicas of one job: placed, loaded, kept busy, watched, and replaced when they are gone."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import ray
from ray.exceptions import RayError, RayTaskError

from medim_forge.generator.errors import DrainedError, MedimError, ReplicaError
from medim_forge.generator.events import Progress
from medim_forge.generator.executors.cluster.connection import counted
from medim_forge.generator.executors.cluster.metrics import JobMetrics
from medim_forge.generator.executors.drain import grace_s
from medim_forge.generator.executors.resources import too_few
from medim_forge.generator.records import ReplicaFacts, Shard
from medim_forge.generator.shards import Failure, Order, Schedule, Worker, WorkerSetup
from medim_forge.generator.shards.worker import Done

TICK_S = 0.5
# Reading weights from shared storage takes minutes; a deadline of its own keeps a short shard deadline from killing it.
LOAD_DEADLINE_S = 1800.0
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")


@dataclass(eq=False)
class _Worker:
    """An actor and what it is doing: `placing` until it has a machine, `loading` its replica, then `serving`.

    Attributes:
        starting: what it is asked for until it serves.
        orders: what it serves, oldest first.
        since: when it entered its phase, or, once it serves, when its oldest order became the oldest.
    """

    actor: Any
    phase: Literal["placing", "loading", "serving"]
    starting: Any
    orders: dict[Any, Order] = field(default_factory=dict)
    since: float = field(default_factory=time.monotonic)

    @property
    def refs(self) -> list[Any]:
        """All that may come back from it."""
        return list(self.orders) if self.phase == "serving" else [self.starting]


class Pool:
    """The actors of one job.

    Args:
        setup: what each replica gets.
        size: actors to have, as long as there are shards for them.
        schedule: the missing shards.
        shard_of: the plan.
        progress: is told of every shard.
        metrics: count what happens.
    """

    def __init__(
        self,
        setup: WorkerSetup,
        size: int,
        schedule: Schedule,
        shard_of: Callable[[int], Shard],
        progress: Progress,
        metrics: JobMetrics,
    ) -> None:
        self._setup, self._compute, self._size = setup, setup.spec.compute, size
        self._schedule, self._shard_of = schedule, shard_of
        self._progress, self._metrics = progress, metrics
        self._workers: list[_Worker] = []
        self._facts: ReplicaFacts | None = None
        self._failed_starts = 0
        self._placed_at = time.monotonic()
        self._actor_class = ray.remote(Worker).options(
            num_cpus=self._compute.threads_per_replica,
            num_gpus=self._compute.gpus_per_replica,
            max_restarts=0,
            max_task_retries=0,
            max_concurrency=self._compute.shards_in_flight,
            runtime_env={"env_vars": dict.fromkeys(THREAD_VARIABLES, str(self._compute.threads_per_replica))},
        )

    def run(self, draining: threading.Event) -> ReplicaFacts:
        """Every outstanding shard is committed."""
        while not draining.is_set() and not self._schedule.finished():
            self._fill()
            self._dispatch()
            self._collect()
            self._watch()
        if self._schedule.unfinished and draining.is_set():
            self._drain()
        assert self._facts is not None
        return self._facts

    def close(self) -> None:
        """No actor is left."""
        for worker in list(self._workers):
            self._drop(worker)

    def _fill(self) -> None:
        """There are as many actors as the job may have; those without a place wait for a node that has one."""
        while len(self._workers) < min(self._size, self._schedule.outstanding):
            actor: Any = self._actor_class.remote(self._setup)
            self._workers.append(_Worker(actor=actor, phase="placing", starting=actor.host.remote()))

    def _dispatch(self) -> None:
        """Every replica has something to do; second orders only while there are enough for all of them."""
        serving = [worker for worker in self._workers if worker.phase == "serving"]
        for load in range(self._compute.shards_in_flight):
            if load and self._schedule.fresh < len(serving):
                return
            for worker in serving:
                if len(worker.orders) != load:
                    continue
                if any(order.suspect for order in worker.orders.values()):
                    continue
                order = self._schedule.next(beside=load > 0)
                if order is None:
                    break
                if not worker.orders:
                    worker.since = time.monotonic()
                worker.orders[worker.actor.make.remote(self._shard_of(order.shard), order)] = order

    def _collect(self) -> None:
        """What has come back within a tick is dealt with."""
        workers = {ref: worker for worker in self._workers for ref in worker.refs}
        if not workers:
            time.sleep(TICK_S)
            return
        refs = list(workers)
        ray.wait(refs, num_returns=1, timeout=TICK_S)
        ready, _ = ray.wait(refs, num_returns=len(refs), timeout=0)
        for ref in ready:
            worker = workers[ref]
            if ref not in worker.refs:
                continue  # its actor was given up for what came back before
            try:
                value = ray.get(ref)
            except RayTaskError as error:
                raise _cause(error) from error
            except RayError as error:
                self._died(worker, str(error))
            else:
                self._came_back(worker, ref, value)

    def _came_back(self, worker: _Worker, ref: Any, value: str | ReplicaFacts | Done | Failure) -> None:
        if ref in (worker.starting, next(iter(worker.orders), None)):
            worker.since = time.monotonic()
        if worker.phase == "placing":
            worker.phase, worker.starting = "loading", worker.actor.start.remote()
        elif isinstance(value, ReplicaFacts):
            self._facts = self._facts or value
            self._failed_starts = 0
            worker.phase = "serving"
            self._count_replicas()
        elif isinstance(value, Failure):
            # The replica may be what is broken, so the next attempt gets another.
            self._drop(worker, {ref: value})
        elif isinstance(value, Done):
            self._schedule.succeeded(worker.orders.pop(ref))
            if value.note:
                self._progress.tell("note", value.note)
            if value.record:
                self._metrics.committed(value.record)
                self._progress.committed(value.record)

    def _died(self, worker: _Worker, detail: str) -> None:
        """The actor is gone; its shards have failed, or its start is a failure of the job's replicas."""
        if worker.phase == "serving":
            # With two shards in flight nobody can tell which one it was; from now on each goes alone.
            death = Failure(kind="ReplicaDied", message="the replica's process died", detail=detail)
            self._drop(worker, dict.fromkeys(worker.orders, death))
            return
        self._drop(worker)
        self._failed_starts += 1
        if self._failed_starts > self._compute.max_retries:
            raise ReplicaError(f"{self._failed_starts} replicas in a row died while starting. The last: {detail}")
        self._progress.tell("failed", f"a replica died while starting: {detail}")

    def _watch(self) -> None:
        """Hung actors are gone.

        Raises:
            ResourceError: for too long, no replica had a place.
        """
        now = time.monotonic()
        for worker in list(self._workers):
            if worker.phase == "serving" and worker.orders and now - worker.since > self._compute.shard_deadline_s:
                # With two shards in flight the one that hangs may be the other; from now on each goes alone.
                hung = Failure(kind="ShardHung", message="not done after compute.shard_deadline_s")
                self._drop(worker, dict.fromkeys(worker.orders, hung))
            elif worker.phase == "loading" and now - worker.since > LOAD_DEADLINE_S:
                self._died(worker, f"its weights were not loaded after {LOAD_DEADLINE_S:.0f} s")
        if any(worker.phase != "placing" for worker in self._workers):
            self._placed_at = now
        elif self._workers and now - self._placed_at > self._compute.placement_deadline_s:
            raise too_few(self._compute, counted(ray.available_resources))

    def _drain(self) -> None:
        """The shards that run are finished, as far as the grace reaches.

        Raises:
            DrainedError: always.
        """
        end = time.monotonic() + grace_s()
        while time.monotonic() < end and any(worker.orders for worker in self._workers):
            self._collect()
            self._watch()
        raise DrainedError(f"stopped on SIGTERM, {self._schedule.left}; run the same command to go on.")

    def _drop(self, worker: _Worker, failures: dict[Any, Failure] | None = None) -> None:
        """The actor is gone. Those of its orders that are in `failures` have failed; the others go back unblamed.

        Raises:
            ShardError: there is nothing left to try for a shard.
        """
        self._workers.remove(worker)
        with contextlib.suppress(RayError):
            ray.kill(worker.actor, no_restart=True)
        orders, worker.orders = worker.orders, {}
        self._count_replicas()
        for ref, order in orders.items():
            failure = (failures or {}).get(ref)
            if failure is None:
                self._schedule.returned(order)
                continue
            trial = "" if order.trial is None else f", {len(order.trial)} rows alone"
            why = " ".join(f"{failure.error} {failure.detail}".split())[:600]
            self._metrics.failed(failure.kind)
            self._progress.tell("failed", f"shard {order.shard}, attempt {order.attempt}{trial}: {why}")
            self._schedule.failed(order, failure)

    def _count_replicas(self) -> None:
        self._progress.replicas = sum(worker.phase == "serving" for worker in self._workers)
        self._metrics.replicas(self._progress.replicas)


def _cause(error: RayTaskError) -> MedimError:
    """What a worker raised, as it raised it."""
    cause = error.cause
    return cause if isinstance(cause, MedimError) else ReplicaError(f"a replica failed outside any shard: {error}")
