"""The section `compute`: what a job runs on, and how it treats failures."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from medim_forge.generator.jobspec.fields import MOST_PAIRS, Section, Share, Threads, at_most

Deadline = Annotated[float, Field(ge=0.001), at_most(2_592_000, "which is thirty days")]


class ComputeSection(Section):
    """What the job runs on, and how it treats failures.

    Attributes:
        replicas: actors, each with its own copy of the weights.
        gpus_per_replica: 0 for CPU, fractions share a GPU.
        threads_per_replica: CPU threads of one replica; part of what makes the bytes.
        pairs_per_shard: the unit of retry and commit.
        shard_deadline_s: seconds after which a shard counts as hung.
        placement_deadline_s: seconds without a place for any replica after which the job gives up.
        max_retries: further attempts after a shard's first.
        max_quarantined: rows that may fail for good before the job ends without `_SUCCESS`.
        max_failed_share: share of the first 32 or more rows beyond which the job stops early, unless `max_quarantined`
            allows them.
    """

    replicas: Annotated[int, Field(ge=1), at_most(10_000, "for one driver keeps no more apart")] = 1
    gpus_per_replica: Annotated[float, Field(ge=0), at_most(64, "for no machine holds more GPUs")] = 0.0
    threads_per_replica: Threads = 1
    pairs_per_shard: Annotated[int, Field(ge=1, le=100_000)] = 32
    shard_deadline_s: Deadline = 900.0
    placement_deadline_s: Deadline = 60.0
    max_retries: Annotated[int, Field(ge=0, le=1000)] = 2
    max_quarantined: Annotated[int, Field(ge=0, le=MOST_PAIRS)] = 0
    max_failed_share: Share = 0.5

    @property
    def shards_in_flight(self) -> int:
        """Orders that one replica has at a time: with a GPU two, so that judging and writing overlap generating."""
        return 2 if self.gpus_per_replica else 1

    @model_validator(mode="after")
    def _whole_or_shared(self) -> ComputeSection:
        if self.gpus_per_replica > 1 and not self.gpus_per_replica.is_integer():
            raise ValueError(
                f"gpus_per_replica = {self.gpus_per_replica} is neither a whole number nor a share below 1"
            )
        return self
