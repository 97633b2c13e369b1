"""What is known of every row before its report or image is read, on disk: memory does not grow with the rows.

The index is an SQLite file without a name, which the system removes when it is closed, whatever happens. It holds
digests, numbers, views and reasons.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass

from medim_forge.generator.corpus.split import SPLITS, Split
from medim_forge.generator.jobspec.data import PerStudy

# Reasons that the index itself finds.
REPEATED = "names an image that an earlier row has"
OTHER_VIEW = "another image of the study is preferred"
_CACHE = 16_384  # KiB of the file that are held in memory


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A row of a source as the index knows it.

    Attributes:
        row: number in its source.
        key: digest, hex.
        patient: digest; None where the row is left out before it is known.
        study: digest.
        rank: of its view, 0 the preferred.
        split: where it stands.
        view: as the holding says it.
        reason: why it is left out; None where it is kept so far.
        weight: share of a whole image that it counts in training.
    """

    row: int
    key: str
    patient: bytes | None = None
    study: bytes | None = None
    rank: int = 0
    split: Split | None = None
    view: str = ""
    reason: str | None = None
    weight: float = 1.0


class Index:
    """Rows of all sources."""

    def __init__(self) -> None:
        self._base = sqlite3.connect("", isolation_level=None)
        self._base.execute(f"pragma cache_size = -{_CACHE}")
        self._base.execute("pragma temp_store = file")
        self._base.execute("pragma journal_mode = off")
        self._base.execute(
            "create table rows (source integer, number integer, key text, patient blob, study blob, rank integer, "
            "split integer, view text, reason text, weight real default 1)"
        )

    def add(self, source: int, entries: Iterator[Entry]) -> None:
        """The rows of one more source are known."""
        self._base.execute("begin")
        self._base.executemany(
            "insert into rows values (?, ?, ?, ?, ?, ?, ?, ?, ?, 1)",
            (_values(source, entry) for entry in entries),
        )
        self._base.execute("commit")

    def settle(self, source: int, per_study: PerStudy) -> None:
        """Rows that repeat an image are left out, and of several images of a study those that are not wanted."""
        first = (
            "select number, row_number() over (partition by key order by number) as place from rows where source = ?"
        )
        self._leave_out(source, REPEATED, first)
        if per_study == "one":
            first = (
                "select number, row_number() over (partition by study order by rank, number) as place from rows "
                "where source = ? and reason is null"
            )
            self._leave_out(source, OTHER_VIEW, first)
        elif per_study == "weighted":
            self._base.execute("create temp table sizes (study blob primary key, images integer) without rowid")
            self._base.execute(
                "insert into sizes select study, count(*) from rows where source = ? and reason is null group by study "
                "having count(*) > 1",
                (source,),
            )
            self._base.execute(
                "update rows set weight = 1.0 / (select images from sizes where sizes.study = rows.study) "
                "where source = ? and reason is null and study in (select study from sizes)",
                (source,),
            )
            self._base.execute("drop table sizes")

    def entries(self, source: int) -> Iterator[Entry]:
        """The rows of a source in order."""
        query = "select number, key, patient, study, rank, split, view, reason, weight from rows where source = ?"
        for number, key, patient, study, rank, split, *rest in self._base.execute(f"{query} order by rowid", (source,)):
            view, reason, weight = rest
            yield Entry(
                row=number,
                key=key,
                patient=patient,
                study=study,
                rank=rank,
                split=None if split is None else SPLITS[split],
                view=view,
                reason=reason,
                weight=weight,
            )

    def on_two_sides(self, most: int = 3) -> list[list[tuple[int, int, str, Split]]]:
        """Patients on several sides: of each the first row of every side, as source, row, key, side."""
        found = self._base.execute(
            "select patient from rows where reason is null group by patient having count(distinct split) > 1 "
            "order by min(rowid) limit ?",
            (most,),
        ).fetchall()
        return [
            [
                (source, number, key, SPLITS[split])
                for source, number, key, split, _ in self._base.execute(
                    "select source, number, key, split, min(rowid) from rows where patient = ? and reason is null "
                    "group by split order by min(rowid)",
                    patient,
                )
            ]
            for patient in found
        ]

    def all_left_out_for(self, source: int, reason: str) -> int:
        """How many rows a source has, if all of them are left out for this reason; else 0."""
        query = "select count(*), sum(reason is not null and reason = ?) from rows where source = ?"
        rows, of_them = self._base.execute(query, (reason, source)).fetchone()
        return int(rows) if rows == of_them else 0

    def patients_on_two_sides(self) -> int:
        """How many there are."""
        query = (
            "select count(*) from (select patient from rows where reason is null group by patient "
            "having count(distinct split) > 1)"
        )
        return int(self._base.execute(query).fetchone()[0])

    def _leave_out(self, source: int, reason: str, places: str) -> None:
        """All rows but the first are left out: `places` gives the number of every row and its place among its like."""
        self._base.execute("create temp table later (number integer primary key)")
        self._base.execute(f"insert into later select number from ({places}) where place > 1", (source,))  # noqa: S608
        self._base.execute(
            "update rows set reason = ? where source = ? and reason is null and number in (select number from later)",
            (reason, source),
        )
        self._base.execute("drop table later")


def _values(source: int, entry: Entry) -> tuple[object, ...]:
    side = None if entry.split is None else SPLITS.index(entry.split)
    whom = (entry.patient, entry.study, entry.rank, side)
    return (source, entry.row, entry.key, *whom, entry.view, entry.reason)
