from __future__ import annotations

import pytest

from medim_forge.generator.errors import ResourceError
from medim_forge.generator.executors.resources import fitting_replicas
from medim_forge.generator.jobspec import ComputeSection


@pytest.mark.parametrize(
    ("compute", "there", "fit"),
    [
        ({"replicas": 2}, {"CPU": 8.0}, 2),
        ({"replicas": 8}, {"CPU": 2.0}, 2),
        ({"replicas": 8, "threads_per_replica": 3}, {"CPU": 8.0}, 2),
        ({"replicas": 8, "gpus_per_replica": 1.0}, {"CPU": 64.0, "GPU": 4.0}, 4),
        ({"replicas": 8, "gpus_per_replica": 2.0}, {"CPU": 64.0, "GPU": 5.0}, 2),
        # Ray does not spread one share over two GPUs: of 0.4 two fit on each.
        ({"replicas": 8, "gpus_per_replica": 0.4}, {"CPU": 64.0, "GPU": 2.0}, 4),
        ({"replicas": 8, "gpus_per_replica": 1.0}, {"CPU": 3.0, "GPU": 8.0}, 3),
    ],
)
def test_as_many_replicas_as_fit_and_no_more_than_asked(compute, there, fit):
    assert fitting_replicas(ComputeSection(**compute), there) == fit


@pytest.mark.parametrize(
    ("compute", "there", "message"),
    [
        ({"gpus_per_replica": 1.0}, {"CPU": 2.0}, r"asks for 1 CPUs .* and 1 GPUs .*available are 2 CPUs and 0 GPUs"),
        (
            {"threads_per_replica": 4},
            {"CPU": 2.0},
            r"asks for 4 CPUs \(compute\.threads_per_replica\).*available are 2",
        ),
    ],
)
def test_fewer_resources_than_one_replica_needs_is_an_error_with_asked_and_available(compute, there, message):
    with pytest.raises(ResourceError, match=message):
        fitting_replicas(ComputeSection(**compute), there)
