"""Which rows of the shards `data/` holds: one decision after the other, in order of `pair_index`, and their counts."""

from __future__ import annotations

import hashlib
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from medim_forge.generator.errors import StoreError
from medim_forge.generator.filters.threshold import filter_of
from medim_forge.generator.plan import Plan
from medim_forge.generator.plan.strata import Stratum, strata_of, stratum_of
from medim_forge.generator.selection.policy import ViewPolicy

COPY, UNWRITABLE = "exact copy of an earlier pair", "cannot be written as DICOM"


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What was decided about a row.

    Attributes:
        taken: whether `data/` holds it.
        regenerate: whether a filter whose action is `regenerate` leaves it out.
        strata: that it is in.
        reasons: why `data/` does not hold it; empty where it does.
    """

    taken: bool
    regenerate: bool
    strata: tuple[Stratum, ...]
    reasons: tuple[str, ...] = ()


class Selection:
    """Decides about one row after another, and counts. Later rows are compared with those that were taken.

    Args:
        policy: on the whole dataset.
        plan: of the job, with its quotas.
        seen: which contents were taken.

    Attributes:
        rows: taken.
        copies: kept by their shard, but of the same image and report as a row that was taken.
        left_out: kept by their shard, and not by the policy.
        restored: dropped by their shard, and taken.
        unwritable: dropped by their shard, taken by the policy, and yet left out: they cannot be written.
        reasons: why rows were left out; a row may have several.
        flags: bounds of filters with `action: keep` that taken rows do not meet.
        dropped: rows that the policy's filters leave out, by filter and stratum; a row may count for several filters.
        data: rows taken, by stratum.
    """

    def __init__(self, policy: ViewPolicy, plan: Plan, seen: SeenContents) -> None:
        self.policy, self._plan, self._seen = policy, plan, seen
        quotas = plan.spec.balance.quotas if plan.spec.balance else ()
        self._most = {stratum_of(quota, plan): quota.at_most for quota in quotas if quota.at_most is not None}
        self._settled = np.zeros(plan.planned if plan.spec.balance or plan.rounds else 0, np.bool_)
        self.rows = self.copies = self.left_out = self.restored = self.unwritable = 0
        self.reasons: Counter[str] = Counter()
        self.flags: Counter[str] = Counter()
        self.dropped: Counter[tuple[str, Stratum]] = Counter()
        self.data: Counter[Stratum] = Counter()

    def decide(
        self, row: Mapping[str, Any], *, kept: bool, write: Callable[[Mapping[str, Any]], bool] = lambda _row: True
    ) -> Outcome:
        """Whether `data/` holds the row.

        Args:
            row: all of it but the image.
            kept: by its shard.
            write: is asked last for a row that its shard dropped, for what goes with it; False leaves it out.
        """
        strata, place = strata_of(row, self._plan), self._place(row["pair_index"])
        ruling = self.policy.ruling(row, kept=kept)
        self.dropped.update(product({filter_of(reason) for reason in ruling.reasons}, strata))
        reasons = ruling.reasons or self._crowded(strata, place)
        if reasons:
            self.left_out += kept
            self.reasons.update(reasons if kept else ())
            return Outcome(taken=False, regenerate=ruling.regenerate, strata=strata, reasons=reasons)
        if self._seen.has(row["image_sha256"], row["report"]):
            self.copies += kept
            return Outcome(taken=False, regenerate=self.policy.regenerates_copies, strata=strata, reasons=(COPY,))
        if not kept and not write(row):
            self.unwritable += 1
            return Outcome(taken=False, regenerate=False, strata=strata, reasons=(UNWRITABLE,))
        self._seen.add(row["image_sha256"], row["report"])
        self.policy.take(ruling)
        self.rows += 1
        self.restored += not kept
        self.flags.update(ruling.flags)
        self.data.update(strata)
        if place is not None:
            self._settled[place] = True
        return Outcome(taken=True, regenerate=False, strata=strata)

    def _place(self, pair_index: int) -> int | None:
        """The planned pair in whose place the row stands, as only one row can; None where that is no matter."""
        return self._plan.replaced(pair_index) if len(self._settled) else None

    @property
    def places(self) -> int:
        """Planned pairs in whose place a row that was taken stands; counted only for jobs with a balance."""
        return int(self._settled.sum())

    def _crowded(self, strata: Sequence[Stratum], place: int | None) -> tuple[str, ...]:
        """Why there is no room for a row that all filters take."""
        if place is not None and self._settled[place]:
            return ("another pair stands in its place",)
        full = (stratum for stratum in strata if stratum in self._most and self.data[stratum] >= self._most[stratum])
        return tuple(f"{stratum.kind} {stratum.name} has its {self._most[stratum]}" for stratum in full)


class SeenContents:
    """Which images with which reports were taken, kept on disk by their hash."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database
        # The file does not outlive this process: nothing is gained by making it durable.
        self._database.execute("PRAGMA journal_mode = OFF")
        self._database.execute("PRAGMA synchronous = OFF")
        self._database.execute("CREATE TABLE seen (key BLOB PRIMARY KEY) WITHOUT ROWID")

    def has(self, image_sha256: str, report: str) -> bool:
        """Whether this content was added."""
        found = self._database.execute("SELECT 1 FROM seen WHERE key = ?", (self._key(image_sha256, report),))
        return found.fetchone() is not None

    def add(self, image_sha256: str, report: str) -> None:
        """The content is among those that were added."""
        self._database.execute("INSERT INTO seen VALUES (?)", (self._key(image_sha256, report),))

    @staticmethod
    def _key(image_sha256: str, report: str) -> bytes:
        return hashlib.sha256(f"{image_sha256}\n{report}".encode()).digest()


@contextmanager
def seen_contents(folder: Path) -> Iterator[SeenContents]:
    """An empty set of contents, in a file of the folder.

    Raises:
        StoreError: the folder takes no more.
    """
    try:
        with closing(sqlite3.connect(folder / "seen.sqlite", isolation_level=None)) as database:
            yield SeenContents(database)
    except sqlite3.OperationalError as error:
        raise StoreError(
            f"{folder.parent.parent}: cannot be written ({error}: {folder / 'seen.sqlite'}). "
            "Give a folder with space and write permission, in output.dir or with --out."
        ) from error
