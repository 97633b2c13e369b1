"""What one replica asks of the machines, against what they have."""

from __future__ import annotations

from collections.abc import Mapping

from medim_forge.generator.errors import ResourceError
from medim_forge.generator.jobspec.sections import ComputeSection


def places(compute: ComputeSection, there: Mapping[str, float]) -> int:
    """How many of the job's replicas fit.

    Args:
        compute: what is asked for.
        there: `CPU` and `GPU`, as counted by Ray.

    Raises:
        ResourceError: none fits.
    """
    fit = int(there.get("CPU", 0) // compute.threads_per_replica)
    share = compute.gpus_per_replica
    if share:
        gpus = int(there.get("GPU", 0))
        fit = min(fit, gpus * int(1 / share) if share < 1 else int(gpus // share))
    if fit == 0:
        raise too_few(compute, there)
    return min(fit, compute.replicas)


def too_few(compute: ComputeSection, there: Mapping[str, float]) -> ResourceError:
    """The error that says what one replica asks for and what there is."""
    return ResourceError(
        f"one replica asks for {compute.threads_per_replica} CPUs (compute.threads_per_replica) and "
        f"{compute.gpus_per_replica:g} GPUs (compute.gpus_per_replica); available are {there.get('CPU', 0):g} CPUs and "
        f"{there.get('GPU', 0):g} GPUs. Ask for less, or give Ray more machines."
    )
