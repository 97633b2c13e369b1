"""All pairs of a corpus, read: what is kept, why the others are left out, whom they are of, and some to look at."""

from __future__ import annotations

import heapq
import re
import sqlite3
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from medim_forge.generator.corpus.phi import PhiKind
from medim_forge.generator.corpus.pictures import decode, is_deep
from medim_forge.generator.corpus.record import HoldingError, outages
from medim_forge.generator.corpus.row import CorpusRow, LeftOut
from medim_forge.generator.corpus.rows import Corpus
from medim_forge.generator.corpus.seen import Eye
from medim_forge.generator.corpus.split import SPLITS, Split
from medim_forge.generator.corpus.twins import Print, Twins
from medim_forge.generator.errors import InputError

NOT_AN_IMAGE = "its image cannot be read"
TOO_LONG = "its report is longer than the slots of the model"
NAMED = 3  # so many rows of a reason are named
_VIEW = re.compile(r"[\w ()/+.-]{1,24}")
OnRow = Callable[[int], None]


def unseen(rows: int) -> None:
    """Nobody is told how many rows were looked at."""


@dataclass
class SourceCensus:
    """What was found of one source.

    Attributes:
        rows: looked at.
        left_out: how many by reason.
        named: the first rows of each reason, by number.
        kept: how many by side.
        views: of kept rows.
        words: how many kept reports have so many words.
        phi: what looks as if it named a person, by kind.
        phi_rows: reports that hold any of it.
        masked: of them, those that were masked and kept.
        deep: kept images of more than 8 bits, windowed by percentiles.
        removed: kept reports in which words were removed by the publisher.
        unknown: kept reports with characters that the checkpoint's tokenizer lacks.
        cut: kept reports that were cut to fit.
    """

    rows: int = 0
    left_out: Counter[str] = field(default_factory=Counter)
    named: dict[str, list[int]] = field(default_factory=dict)
    kept: Counter[Split] = field(default_factory=Counter)
    views: Counter[str] = field(default_factory=Counter)
    words: Counter[int] = field(default_factory=Counter)
    phi: Counter[PhiKind] = field(default_factory=Counter)
    phi_rows: int = 0
    masked: int = 0
    deep: int = 0
    removed: int = 0
    unknown: int = 0
    cut: int = 0


@dataclass
class Survey:
    """What was found of all sources.

    Attributes:
        sources: by name, in order.
        people: patients and studies by side.
        by_domain: kept pairs by domain, and their weights.
        same_side: images that occur again on their own side.
        stops: what the job must not go on with, as sentences.
        shown: pairs to look at, of all sources.
    """

    sources: dict[str, SourceCensus]
    people: dict[Split, tuple[int, int]] = field(default_factory=dict)
    by_domain: Counter[str] = field(default_factory=Counter)
    weights: dict[str, float] = field(default_factory=dict)
    same_side: int = 0
    stops: list[str] = field(default_factory=list)
    shown: list[CorpusRow] = field(default_factory=list)


def survey(corpus: Corpus, eye: Eye, shown: int = 24, on_row: OnRow = unseen) -> Survey:
    """Every row of the corpus, its image and report read; nothing is written.

    Args:
        corpus: open.
        eye: of the model that would see them.
        shown: how many pairs are picked to look at, from all sources in turn, by their digests.
        on_row: called with the number of rows that were looked at.

    Raises:
        InputError: a file cannot be read for a reason that is not the row's, or a source changed.
    """
    return _Surveyor(corpus, eye, shown).survey(on_row)


class _Surveyor:
    def __init__(self, corpus: Corpus, eye: Eye, shown: int) -> None:
        self._corpus, self._eye, self._most = corpus, eye, shown
        self._found = Survey({layout.name: SourceCensus() for layout in corpus.layouts})
        self._twins, self._stopped = Twins(), Counter[str]()
        self._picked: dict[str, list[tuple[int, CorpusRow]]] = {layout.name: [] for layout in corpus.layouts}
        self._base = sqlite3.connect("", isolation_level=None)
        self._base.execute("create table people (split text, kind text, digest blob)")

    def survey(self, on_row: OnRow) -> Survey:
        for number, row in enumerate(self._corpus.rows()):
            on_row(number + 1)
            census = self._found.sources[row.source]
            census.rows += 1
            if isinstance(row, LeftOut):
                self._leave_out(row, row.reason, stops=row.stops)
                census.phi.update(row.phi)
                census.phi_rows += bool(row.phi)
            else:
                self._look(row)
        found = self._found
        for split in SPLITS:
            patients, studies = (self._people(split, kind) for kind in ("patient", "study"))
            found.people[split] = patients, studies
        found.same_side = self._twins.same_side
        found.stops += [f"{count} rows: {reason}" for reason, count in self._stopped.items()]
        if not any(census.kept["train"] for census in found.sources.values()):
            found.stops.append("nobody is left to learn from")
        found.shown = self._pairs()
        return found

    def _look(self, row: CorpusRow) -> None:
        """The row's image and report, read and counted."""
        try:
            with outages(row.name):
                pixels, deep = _pixels(row)
        except HoldingError:
            raise
        except InputError:
            self._leave_out(row, NOT_AN_IMAGE)
            return
        rule = self._corpus.section.text.too_long
        text = self._eye.report(row.text, rule)
        if text is None:
            self._leave_out(row, TOO_LONG, stops=rule == "error")
            return
        image = Print.of(pixels)
        twin = self._twins.find(image, row.split)
        self._twins.add(image, row.split, row.name)
        if twin is not None:
            alike = "the same image" if twin.exact else "nearly the same image"
            self._stopped[f"{alike} on two sides of the split"] += 1
            if len(self._found.stops) < NAMED:
                self._found.stops.append(f"{row.name} in {row.split} has {alike} as {twin.name} in {twin.split}")
        self._count(row, text, deep=deep)

    def _count(self, row: CorpusRow, text: str, *, deep: bool) -> None:
        census = self._found.sources[row.source]
        census.kept[row.split] += 1
        census.views[row.view if _VIEW.fullmatch(row.view) else "not said" if not row.view else "other"] += 1
        census.words[len(row.report.split())] += 1
        census.phi.update(row.phi)
        census.phi_rows += bool(row.phi)
        census.masked += bool(row.phi)
        census.deep += deep
        census.removed += row.removed
        census.unknown += self._eye.slots is not None and self._eye.ids(row.text) is None
        census.cut += text != row.text
        self._found.by_domain[row.domain] += 1
        weights = self._found.weights
        weights[row.domain] = weights.get(row.domain, 0.0) + row.weight
        people = ((row.split, "patient", row.patient), (row.split, "study", row.study))
        self._base.executemany("insert into people values (?, ?, ?)", people)
        picked, place = self._picked[row.source], -int(row.key, 16)
        if len(picked) < self._most:
            heapq.heappush(picked, (place, row))
        elif place > picked[0][0]:
            heapq.heapreplace(picked, (place, row))

    def _leave_out(self, row: CorpusRow | LeftOut, reason: str, *, stops: bool = False) -> None:
        census = self._found.sources[row.source]
        census.left_out[reason] += 1
        named = census.named.setdefault(reason, [])
        if len(named) < NAMED:
            named.append(row.row)
        if stops:
            self._stopped[reason] += 1

    def _people(self, split: Split, kind: str) -> int:
        query = "select count(distinct digest) from people where split = ? and kind = ?"
        return int(self._base.execute(query, (split, kind)).fetchone()[0])

    def _pairs(self) -> list[CorpusRow]:
        """Some of each source in turn, until there are enough."""
        left = [[row for _, row in sorted(picked, key=lambda item: -item[0])] for picked in self._picked.values()]
        turns = [row for turn in range(self._most) for rows in left for row in rows[turn : turn + 1]]
        return turns[: self._most]


def _pixels(row: CorpusRow) -> tuple[NDArray[np.uint8], bool]:
    """The row's picture, and whether it was stored with more than 8 bits."""
    content = row.picture.content()
    return decode(content), is_deep(content)
