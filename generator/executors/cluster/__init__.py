"""Runs shards on Ray, with one actor per replica. No other room imports Ray.

Ray itself neither restarts actors nor retries calls here. The driver sees every death, hang and failure, reports it to
the `Schedule`, and puts a fresh actor in the place of one that is gone. So each attempt is counted once, in one place.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import ray

from medim_forge.generator.events import Progress
from medim_forge.generator.executors.cluster.connection import connected, counted
from medim_forge.generator.executors.cluster.metrics import JobMetrics
from medim_forge.generator.executors.cluster.pool import Pool
from medim_forge.generator.executors.drain import drain_on_sigterm
from medim_forge.generator.executors.resources import fitting_replicas
from medim_forge.generator.records import ReplicaFacts
from medim_forge.generator.shards import Schedule, Setup


def run_on_ray(setup: Setup, schedule: Schedule, shard_of: Callable[[int], Any], progress: Progress) -> ReplicaFacts:
    """Every outstanding shard is committed; arguments and errors are those of `medim_forge.generator.executors`."""
    shell = os.environ.get("RAY_AUTH_MODE", "token")
    with connected() as private, drain_on_sigterm() as draining:
        if private and shell != "token":
            progress.report("note", f"RAY_AUTH_MODE = {shell!r} is not for the private Ray: it asks for its token")
        wanted = setup.compute.replicas
        # A private Ray never grows, so what does not fit at once never will.
        fit = fitting_replicas(setup.compute, counted(ray.cluster_resources)) if private else wanted
        if fit < wanted:
            progress.report("note", f"compute.replicas = {wanted}, of which {fit} fit on this machine")
        pool = Pool(setup, fit, schedule, shard_of, progress, JobMetrics(setup.name))
        try:
            return pool.run(draining)
        finally:
            pool.close()
