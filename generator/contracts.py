"""What a part of the factory must offer, as protocols without behaviour: a replica, a filter, a writer."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

from medim_forge.generator.records import (
    FileRecord,
    Judged,
    Pair,
    Quarantined,
    ReplicaFacts,
    Shard,
    Verdict,
)


class Replica(Protocol):
    """Something that makes pairs.

    Attributes:
        facts: what it is.
    """

    facts: ReplicaFacts

    def generate(self, shard: Shard) -> list[Pair]:
        """One pair is made per request, in order.

        Each pair depends on its request alone (prompt, given parts, seed), not on its neighbours.

        Raises:
            RowError: one row cannot be made; a call without that request makes the others unchanged.
        """


@runtime_checkable
class Shuffler(Protocol):
    """A replica that can also score mismatched pairs, the negative control of `agreement`."""

    def shuffled(self, pairs: Sequence[Pair], others: Sequence[Pair]) -> list[float]:
        """The agreement of each pair's image with the report of its counterpart.

        Args:
            pairs: whose images are looked at.
            others: as many pairs, whose reports are looked at.

        Returns:
            Agreement both ways, as the filter `agreement` scores it, one number per pair.
        """


class Filter(Protocol):
    """Something that judges a pair from the pair alone, without I/O or clock and without changing it."""

    @property
    def name(self) -> str:
        """What the job file calls the filter; its main score has the same name."""

    def judge(self, pair: Pair) -> Verdict:
        """The scores of the pair; `kept` says whether this filter alone, under its thresholds, would keep it."""


class Writer(Protocol):
    """Something that writes the judged pairs of a shard into a folder."""

    def write(
        self, folder: Path, shard: Shard, judged: Sequence[Judged], quarantined: Sequence[Quarantined]
    ) -> list[FileRecord]:
        """All files of this writer lie in the folder.

        Args:
            folder: of this attempt at the shard; other writers write there too.
            shard: with all its requests.
            judged: kept and dropped pairs, in order of `pair_index`.
            quarantined: rows that could not be made, in order of `pair_index`.

        Returns:
            The files that were written, sorted by path.

        Raises:
            RowError: a pair cannot be written; it is quarantined, and all writers write the shard again without it.
        """
