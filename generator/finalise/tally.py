"""Counts over the committed shards of a dataset: what was asked for, what was kept, and why the rest was not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import product
from typing import Any

from medim_forge.generator.dataset import PAIRS_FILE, REJECTED_FILE, Provenance
from medim_forge.generator.errors import StoreError
from medim_forge.generator.files import Handle, file_record
from medim_forge.generator.filters.columns import SCORE_PREFIX
from medim_forge.generator.filters.novelty import LIMIT
from medim_forge.generator.filters.novelty import NAME as NOVELTY
from medim_forge.generator.filters.threshold import filter_of
from medim_forge.generator.plan import Plan
from medim_forge.generator.plan.strata import STRATUM_COLUMNS, Stratum, of_domain, strata_of, strata_of_prompts
from medim_forge.generator.records import Counts, Domain, ShardRecord
from medim_forge.generator.store import RECORD, Store, shard_name
from medim_forge.generator.store.tables import read_table, schema_of


@dataclass(frozen=True, kw_only=True)
class Rate:
    """How many of the pairs asked for were kept."""

    asked: int = 0
    kept: int = 0

    @property
    def share(self) -> float:
        """Kept over asked, 0 when nothing was asked."""
        return self.kept / self.asked if self.asked else 0.0


@dataclass
class Tally:
    """Sums over shards. Its size does not grow with the number of pairs, only with kinds of pairs and reasons.

    Attributes:
        counts: of all pairs.
        pairs_bytes: size of all `pairs.parquet` together.
        asked: pairs by domain, quarantined ones too.
        judged: pairs by stratum, dropped ones too: filters must not delete a kind of pairs unseen.
        kept_of: kept pairs by stratum.
        measured: judged pairs whose given side was compared with the data of training.
        novel: of these, pairs whose given side is beyond the limit of those data.
        dropped: pairs that a filter drops, by filter and stratum; a pair may count for several filters.
    """

    counts: Counts = field(default_factory=Counts)
    pairs_bytes: int = 0
    asked: Counter[Domain] = field(default_factory=Counter)
    judged: Counter[Stratum] = field(default_factory=Counter)
    kept_of: Counter[Stratum] = field(default_factory=Counter)
    measured: int = 0
    novel: int = 0
    dropped: Counter[tuple[str, Stratum]] = field(default_factory=Counter)

    def add(self, record: ShardRecord, kept: Handle, rejected: Handle, plan: Plan) -> None:
        """One more shard is counted."""
        self.counts += record.counts
        self.pairs_bytes += sum(file.size for file in record.files if file.path == PAIRS_FILE)
        for row in read_table(kept, STRATUM_COLUMNS).to_pylist():
            strata = strata_of(row, plan)
            self.asked[row["domain"]] += 1
            self.judged.update(strata)
            self.kept_of.update(strata)
        for row in read_table(rejected, [*STRATUM_COLUMNS, "stage", "reasons"]).to_pylist():
            self.asked[row["domain"]] += 1
            if row["stage"] == "filter":
                strata = strata_of(row, plan)
                self.judged.update(strata)
                self.dropped.update(product({filter_of(reason) for reason in row["reasons"]}, strata))

        for table in (kept, rejected):
            found = _novelty(table)
            self.measured += len(found)
            self.novel += sum(value > LIMIT for value in found)

    def by_domain(self) -> dict[Domain, Rate]:
        """The kept rate of every domain, sorted."""
        return {
            domain: Rate(asked=self.asked[domain], kept=self.kept_of[of_domain(domain)])
            for domain in sorted(self.asked)
        }


def _novelty(table: Handle) -> list[float]:
    """The novelty of every pair of a table that has one; a table from before this score has none."""
    name = f"{SCORE_PREFIX}{NOVELTY}"
    if name not in schema_of(table).names:
        return []
    return [value for value in read_table(table, [name]).column(name).to_pylist() if value is not None]


def shard_records(store: Store, shards: int, provenance: Provenance) -> Iterator[ShardRecord]:
    """The record of every shard in order, one at a time.

    Raises:
        StoreError: a shard is missing, or was made from another spec or other weights.
    """
    for record in store.records(range(shards)):
        for name, expected in (("spec_sha256", provenance.spec_sha256), ("model_sha256", provenance.model_sha256)):
            found = getattr(record, name)
            if found != expected:
                where = f"{store}/{shard_name(record.index)}"
                raise StoreError(
                    f"{where}/{RECORD}: {name} is {found}, the dataset's is {expected}; delete {where} and run again"
                )
        yield record


def shard_tables(store: Store, shards: int, name: str) -> Iterator[Handle]:
    """What the table of every shard is read from, in order."""
    return store.handles(f"{shard_name(index)}/{name}" for index in range(shards))


def tally(store: Store, plan: Plan, provenance: Provenance) -> Tally:
    """The sums over all shards.

    Raises:
        StoreError: a shard is missing, or was made from another spec or other weights.
    """
    sums, shards = Tally(), plan.shards
    kept, rejected = shard_tables(store, shards, PAIRS_FILE), shard_tables(store, shards, REJECTED_FILE)
    for record in shard_records(store, shards, provenance):
        sums.add(record, next(kept), next(rejected), plan)
    return sums


def check_shards(store: Store, plan: Plan, provenance: Provenance) -> None:
    """Every shard of the plan is there and none beyond it, and their tables are what was committed, to the last bit.

    Raises:
        StoreError: one is not; names it and says what to do.
    """
    shards = plan.shards
    if store.exists(f"{shard_name(shards)}/{RECORD}"):
        raise StoreError(
            f"{store}: {shard_name(shards)} is beyond the {shards} shards of plan.json and rounds/. If a file of "
            f"rounds/ was lost, put it back, or delete the shards from {shards} on and run the job again."
        )
    kept, rejected = shard_tables(store, shards, PAIRS_FILE), shard_tables(store, shards, REJECTED_FILE)
    for record in shard_records(store, shards, provenance):
        for name, table in ((PAIRS_FILE, next(kept)), (REJECTED_FILE, next(rejected))):
            _check_unchanged(store, record, name, table)


def _check_unchanged(store: Store, record: ShardRecord, name: str, table: Handle) -> None:
    """A table of a shard is what the shard wrote: nothing else gets into `data/`."""
    written = next((file for file in record.files if file.path == name), None)
    where = shard_name(record.index)
    try:
        found = file_record(table, name)
    except OSError as error:
        raise StoreError(
            f"{store}/{where}/{name}: cannot be read ({error.strerror or error}). Delete {where} and run the job "
            "again, which remakes it."
        ) from error
    if found != written:
        raise StoreError(
            f"{store}/{where}/{name}: was changed since it was committed: its sha256 is another one. Delete {where} "
            "and run the job again, which remakes it with the same bytes."
        )


@dataclass(frozen=True, kw_only=True)
class Acceptance:
    """What became of the pairs of one stratum.

    Attributes:
        stratum: the kind of pairs.
        judged: made and judged, dropped ones too.
        kept: by their shard.
        data: in `data/`.
    """

    stratum: Stratum
    judged: int
    kept: int
    data: int

    @property
    def share(self) -> float:
        """Of the judged pairs, how many are in `data/`."""
        return self.data / self.judged if self.judged else 0.0

    def record(self) -> dict[str, Any]:
        """The entry of the manifest."""
        counts = {"judged": self.judged, "kept": self.kept, "data": self.data, "share": round(self.share, 6)}
        return {**self.stratum._asdict(), **counts}


def acceptance(plan: Plan, tally: Tally, data: Mapping[Stratum, int]) -> tuple[Acceptance, ...]:
    """What became of every prompt and of every stratum that a judged pair is in, sorted; prompts by position.

    Args:
        plan: of the job.
        tally: over the shards.
        data: pairs in `data/` by stratum.
    """
    return tuple(
        Acceptance(
            stratum=stratum,
            judged=tally.judged[stratum],
            kept=tally.kept_of[stratum],
            data=data.get(stratum, 0),
        )
        for stratum in sorted({*strata_of_prompts(plan), *tally.judged}, key=_position)
    )


def _position(stratum: Stratum) -> tuple[str, str, Stratum]:
    """By kind, and within a kind by name; the names of prompts are numbers."""
    return stratum.kind, stratum.name.zfill(8) if stratum.kind == "prompt" else "", stratum
