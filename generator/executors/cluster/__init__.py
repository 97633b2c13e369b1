"""Runs shards on Ray: one actor per replica. The only room that knows Ray.

Ray neither restarts actors nor retries calls here. The driver sees every death, hang and failure, tells the `Schedule`,
and puts a fresh actor in the place of one that is gone; so an attempt is counted once and by one party.
"""

from __future__ import annotations

from collections.abc import Callable

import ray

from medim_forge.generator.events import Progress
from medim_forge.generator.executors.cluster.connection import connected, counted
from medim_forge.generator.executors.cluster.metrics import JobMetrics
from medim_forge.generator.executors.cluster.pool import Pool
from medim_forge.generator.executors.drain import drain_on_sigterm
from medim_forge.generator.executors.resources import places
from medim_forge.generator.records import ReplicaFacts, Shard
from medim_forge.generator.shards import Schedule, WorkerSetup


def run_on_ray(
    setup: WorkerSetup, schedule: Schedule, shard_of: Callable[[int], Shard], progress: Progress
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
        ResourceError: no replica got a place within `compute.placement_deadline_s`.
        ReplicaError: a replica cannot start.
        DrainedError: SIGTERM came; the shards that ran were finished, or left when the grace was over.
        MedimError: the job cannot go on.
    """
    with connected() as private, drain_on_sigterm() as draining:
        wanted = setup.spec.compute.replicas
        # A private Ray never grows, so what does not fit at once never will.
        fit = places(setup.spec.compute, counted(ray.cluster_resources)) if private else wanted
        if fit < wanted:
            progress.tell("note", f"compute.replicas = {wanted}, of which {fit} fit on this machine")
        pool = Pool(setup, fit, schedule, shard_of, progress, JobMetrics(setup.spec.name))
        try:
            return pool.run(draining)
        finally:
            pool.close()
