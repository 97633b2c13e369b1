"""Executors run the shards of a job: `local` in this process, `cluster` on Ray, which is imported only when used."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from medim_forge.generator.events import Progress
from medim_forge.generator.executors.local import run_local
from medim_forge.generator.records import ReplicaFacts
from medim_forge.generator.shards import Schedule, Setup


def run_shards(
    setup: Setup, schedule: Schedule, shard_of: Callable[[int], Any], progress: Progress, *, local: bool
) -> ReplicaFacts:
    """Every outstanding shard is committed.

    Args:
        setup: what each worker needs to know.
        schedule: the missing shards.
        shard_of: gives a shard by its index, as the workers take it.
        progress: hears of every shard.
        local: whether the shards are made in this process instead of on Ray.

    Returns:
        What the replica that made them is.

    Raises:
        ResourceError: on Ray, no replica got a place within `compute.placement_deadline_s`.
        ReplicaError: a replica cannot start.
        DrainedError: SIGTERM came; the shards that ran were finished, or left when the grace period was over.
        MedimError: the job cannot go on.
    """
    if local:
        return run_local(setup, schedule, shard_of, progress)
    from medim_forge.generator.executors.cluster import run_on_ray

    return run_on_ray(setup, schedule, shard_of, progress)
