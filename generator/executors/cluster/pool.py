"""The actors of one job: they are placed, load their replicas, are kept busy and watched, and replaced when gone."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import ray
from ray.exceptions import RayError, RayTaskError

from medim_forge.generator.errors import MedimError, ReplicaError
from medim_forge.generator.events import Progress
from medim_forge.generator.executors.cluster.connection import counted
from medim_forge.generator.executors.cluster.metrics import JobMetrics
from medim_forge.generator.executors.drain import drained, grace_s
from medim_forge.generator.executors.resources import too_few
from medim_forge.generator.records import ReplicaFacts
from medim_forge.generator.shards import Failure, Order, Schedule, Setup
from medim_forge.generator.shards.worker import Done

TICK_S = 0.5
# Reading weights from shared storage takes minutes, so loading has a deadline of its own beside that of shards.
LOAD_DEADLINE_S = 1800.0
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")


@dataclass(eq=False)
class _Actor:
    """A Ray actor that holds a worker, and what it is doing.

    Attributes:
        handle: of Ray.
        phase: `placing` until it has a machine, then `loading` its replica, then `serving`.
        starting: reference to the answer that is awaited until it serves.
        orders: what it was asked for, by reference to the answer, oldest first.
        since: when it entered its phase, or, once it serves, when its oldest order became the oldest.
    """

    handle: Any
    phase: Literal["placing", "loading", "serving"]
    starting: Any
    orders: dict[Any, Order] = field(default_factory=dict)
    since: float = field(default_factory=time.monotonic)

    @property
    def refs(self) -> list[Any]:
        """The references of all answers that are awaited from it."""
        return list(self.orders) if self.phase == "serving" else [self.starting]


class Pool:
    """The actors of one job.

    Args:
        setup: what each worker needs to know.
        size: how many actors there are, as long as there are shards for them.
        schedule: the missing shards.
        shard_of: gives a shard by its index, as the workers take it.
        progress: hears of every shard.
        metrics: count what happens.
    """

    def __init__(
        self,
        setup: Setup,
        size: int,
        schedule: Schedule,
        shard_of: Callable[[int], Any],
        progress: Progress,
        metrics: JobMetrics,
    ) -> None:
        self._setup, self._compute, self._size = setup, setup.compute, size
        self._schedule, self._shard_of = schedule, shard_of
        self._progress, self._metrics = progress, metrics
        self._actors: list[_Actor] = []
        self._facts: ReplicaFacts | None = None
        self._failed_starts = 0
        self._placed_at = time.monotonic()
        self._actor_class = ray.remote(setup.worker).options(
            num_cpus=self._compute.threads_per_replica,
            num_gpus=self._compute.gpus_per_replica,
            max_restarts=0,
            max_task_retries=0,
            max_concurrency=self._compute.shards_in_flight,
            runtime_env={"env_vars": dict.fromkeys(THREAD_VARIABLES, str(self._compute.threads_per_replica))},
        )

    def run(self, draining: threading.Event) -> ReplicaFacts:
        """Every outstanding shard is committed, or the job drains.

        Args:
            draining: set when SIGTERM came.

        Returns:
            What the first replica that was loaded is.
        """
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
        for actor in list(self._actors):
            self._drop(actor)

    def _fill(self) -> None:
        """There are as many actors as the job may have; those without a place wait for a node that has one."""
        while len(self._actors) < min(self._size, self._schedule.outstanding):
            handle: Any = self._actor_class.remote(self._setup)
            self._actors.append(_Actor(handle=handle, phase="placing", starting=handle.host.remote()))

    def _dispatch(self) -> None:
        """Every serving actor has an order; second orders are given only while there are enough for all of them."""
        serving = [actor for actor in self._actors if actor.phase == "serving"]
        for load in range(self._compute.shards_in_flight):
            if load and self._schedule.fresh < len(serving):
                return
            for actor in serving:
                if len(actor.orders) != load:
                    continue
                if any(order.suspect for order in actor.orders.values()):
                    continue
                order = self._schedule.next(beside=load > 0)
                if order is None:
                    break
                if not actor.orders:
                    actor.since = time.monotonic()
                actor.orders[actor.handle.make.remote(self._shard_of(order.shard), order)] = order

    def _collect(self) -> None:
        """The answers that came within a tick are dealt with."""
        actors = {ref: actor for actor in self._actors for ref in actor.refs}
        if not actors:
            time.sleep(TICK_S)
            return
        refs = list(actors)
        ray.wait(refs, num_returns=1, timeout=TICK_S)
        ready, _ = ray.wait(refs, num_returns=len(refs), timeout=0)
        for ref in ready:
            actor = actors[ref]
            if ref not in actor.refs:
                continue  # its actor was dropped for an earlier answer
            try:
                value = ray.get(ref)
            except RayTaskError as error:
                raise _cause(error) from error
            except RayError as error:
                self._died(actor, str(error))
            else:
                self._came_back(actor, ref, value)

    def _came_back(self, actor: _Actor, ref: Any, value: str | ReplicaFacts | Done | Failure) -> None:
        if ref in (actor.starting, next(iter(actor.orders), None)):
            actor.since = time.monotonic()
        if actor.phase == "placing":
            actor.phase, actor.starting = "loading", actor.handle.start.remote()
        elif isinstance(value, ReplicaFacts):
            self._facts = self._facts or value
            self._failed_starts = 0
            actor.phase = "serving"
            self._count_replicas()
        elif isinstance(value, Failure):
            # The replica may be what is broken, so the next attempt gets another.
            self._drop(actor, {ref: value})
        elif isinstance(value, Done):
            self._schedule.succeeded(actor.orders.pop(ref))
            if value.note:
                self._progress.report("note", value.note)
            if value.record:
                self._metrics.committed(value.record)
                self._progress.committed(value.record)

    def _died(self, actor: _Actor, detail: str) -> None:
        """The actor is gone; its shards have failed, or its start is a failure of the job's replicas."""
        if actor.phase == "serving":
            # With two shards in flight nobody can tell which one was the cause; from now on each is made alone.
            death = Failure(kind="ReplicaDied", message="the replica's process died", detail=detail)
            self._drop(actor, dict.fromkeys(actor.orders, death))
            return
        self._drop(actor)
        self._failed_starts += 1
        if self._failed_starts > self._compute.max_retries:
            raise ReplicaError(f"{self._failed_starts} replicas in a row died while starting. The last: {detail}")
        self._progress.report("failed", f"a replica died while starting: {detail}")

    def _watch(self) -> None:
        """Actors that met their deadline are dropped.

        Raises:
            ResourceError: no replica had a place for too long.
        """
        now = time.monotonic()
        for actor in list(self._actors):
            if actor.phase == "serving" and actor.orders and now - actor.since > self._compute.shard_deadline_s:
                # With two shards in flight the other may be the one that hangs; from now on each is made alone.
                hung = Failure(kind="ShardHung", message="not done after compute.shard_deadline_s")
                self._drop(actor, dict.fromkeys(actor.orders, hung))
            elif actor.phase == "loading" and now - actor.since > LOAD_DEADLINE_S:
                self._died(actor, f"its weights were not loaded after {LOAD_DEADLINE_S:.0f} s")
        if any(actor.phase != "placing" for actor in self._actors):
            self._placed_at = now
        elif self._actors and now - self._placed_at > self._compute.placement_deadline_s:
            raise too_few(self._compute, counted(ray.available_resources))

    def _drain(self) -> None:
        """The shards that run are finished, as far as the grace period allows.

        Raises:
            DrainedError: always.
        """
        end = time.monotonic() + grace_s()
        while time.monotonic() < end and any(actor.orders for actor in self._actors):
            self._collect()
            self._watch()
        raise drained(self._schedule.left)

    def _drop(self, actor: _Actor, failures: dict[Any, Failure] | None = None) -> None:
        """The actor is killed. Its orders in `failures` have failed; the others go back and count no failure.

        Args:
            actor: of this pool.
            failures: by reference to the answer.

        Raises:
            ShardError: there is nothing left to try for a shard.
        """
        self._actors.remove(actor)
        with contextlib.suppress(RayError):
            ray.kill(actor.handle, no_restart=True)
        orders, actor.orders = actor.orders, {}
        self._count_replicas()
        for ref, order in orders.items():
            failure = (failures or {}).get(ref)
            if failure is None:
                self._schedule.returned(order)
                continue
            trial = "" if order.trial is None else f", {len(order.trial)} rows alone"
            why = " ".join(f"{failure.error} {failure.detail}".split())[:600]
            self._metrics.failed(failure.kind)
            self._progress.report("failed", f"shard {order.shard}, attempt {order.attempt}{trial}: {why}")
            self._schedule.failed(order, failure)

    def _count_replicas(self) -> None:
        self._progress.replicas = sum(actor.phase == "serving" for actor in self._actors)
        self._metrics.replicas(self._progress.replicas)


def _cause(error: RayTaskError) -> MedimError:
    """The error of ours that a worker raised, or one that says what else it raised."""
    cause = error.cause
    return cause if isinstance(cause, MedimError) else ReplicaError(f"a replica failed outside any shard: {error}")
