"""Whether the replicas of a job fit on the machines: what one replica asks for, against what there is."""

from __future__ import annotations

from collections.abc import Mapping

from medim_forge.generator.errors import ResourceError
from medim_forge.generator.jobspec import ComputeSection


def fitting_replicas(compute: ComputeSection, available: Mapping[str, float]) -> int:
    """How many of the job's replicas fit, at most `compute.replicas`.

    Args:
        compute: what is asked for.
        available: numbers of `CPU` and `GPU`, as Ray counts them.

    Raises:
        ResourceError: none fits.
    """
    fit = int(available.get("CPU", 0) // compute.threads_per_replica)
    share = compute.gpus_per_replica
    if share:
        gpus = int(available.get("GPU", 0))
        fit = min(fit, gpus * int(1 / share) if share < 1 else int(gpus // share))
    if fit == 0:
        raise too_few(compute, available)
    return min(fit, compute.replicas)


def too_few(compute: ComputeSection, available: Mapping[str, float]) -> ResourceError:
    """The error that says what one replica asks for and what is available."""
    return ResourceError(
        f"one replica asks for {compute.threads_per_replica} CPUs (compute.threads_per_replica) and "
        f"{compute.gpus_per_replica:g} GPUs (compute.gpus_per_replica); available are "
        f"{available.get('CPU', 0):g} CPUs and {available.get('GPU', 0):g} GPUs. "
        "Ask for less, or give Ray more machines."
    )
