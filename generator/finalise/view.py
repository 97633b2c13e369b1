"""Writes `data/`: the kept pairs of all shards, without exact copies, in few files of a size that trainers like.

The shards stay the record; `data/` can be remade from them at any time, with the same bytes. One shard is in memory
at a time, and what was seen before is kept on disk, so that memory does not grow with the number of pairs; only the
index of near-duplicates does, where the job asks for it.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from medim_forge.generator.dataset import PAIRS_FILE, REJECTED_FILE, Provenance
from medim_forge.generator.dataset.schema import ROW_GROUP_ROWS, pairs_schema
from medim_forge.generator.files import file_record
from medim_forge.generator.finalise.restored import RESTORED, RestoredObjects
from medim_forge.generator.plan import Plan
from medim_forge.generator.plan.strata import Stratum
from medim_forge.generator.records import FileRecord
from medim_forge.generator.selection import ViewPolicy
from medim_forge.generator.selection.rows import judged_table
from medim_forge.generator.selection.select import Selection, seen_contents
from medim_forge.generator.store import SUCCESS, Store, shard_name
from medim_forge.generator.store.disk import FULL, writing
from medim_forge.generator.writers.parquet import open_parquet

DATA = "data"
LEFT_OUT = "left_out.parquet"
_LEFT_OUT_SCHEMA = pa.schema(
    [("pair_id", pa.string()), ("pair_index", pa.int64()), ("reasons", pa.list_(pa.string()))],
    metadata={"synthetic": "true"},
)
FILE_BYTES = 256 * 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class DataView:
    """What `data/` holds.

    Attributes:
        rows: kept pairs, each once.
        duplicates: kept pairs left out, because a pair of lower index has the same image and report.
        left_out: pairs that their shard kept and the policy on the whole dataset did not.
        restored: pairs that their shard dropped and another policy takes back.
        unwritable: pairs that it would take back too, but that cannot be written as DICOM.
        reasons: why pairs were left out, sorted; a pair may have several.
        flags: bounds that pairs in `data/` do not meet, of filters with `action: keep`, sorted.
        dropped: pairs that the policy's filters leave out, by filter and stratum.
        decided_anew: whether the policy decided about all judged pairs, not only about those that their shard kept.
        strata: pairs in `data/` by stratum.
        places: planned pairs in whose place one in `data/` stands; counted for jobs with a balance only.
        files: of `data/`, relative to the dataset, sorted by path.
        objects: DICOM of restored pairs, in the same way.
    """

    rows: int
    duplicates: int
    left_out: int
    restored: int
    unwritable: int
    reasons: Mapping[str, int]
    flags: Mapping[str, int]
    dropped: Mapping[tuple[str, Stratum], int]
    decided_anew: bool
    strata: Mapping[Stratum, int]
    places: int
    files: tuple[FileRecord, ...]
    objects: tuple[FileRecord, ...] = ()


def build_data_view(
    store: Store,
    plan: Plan,
    provenance: Provenance,
    *,
    total_bytes: int,
    file_bytes: int = FILE_BYTES,
    policy: ViewPolicy | None = None,
) -> DataView:
    """`data/train-XXXXX-of-XXXXX.parquet` exist, all of them, and nothing else is in `data/`; `_SUCCESS` is gone.

    Args:
        store: of the dataset.
        plan: of the job; all of its shards are committed.
        provenance: of the job.
        total_bytes: size of all `pairs.parquet` together.
        file_bytes: target size of a file; files are of about equal size, and no larger than one row group above it.
        policy: on the whole dataset; None for none.
    """
    limit = total_bytes / max(1, -(-total_bytes // file_bytes))
    draft = store.new_attempt(0, 0)
    objects = RestoredObjects(provenance, plan.spec.output.dicom, draft / "objects" / RESTORED)
    try:
        with writing(store, only=FULL), seen_contents(draft) as seen:
            schema, chosen = pairs_schema(provenance), Selection(policy or ViewPolicy(), plan, seen)
            with pq.ParquetWriter(draft / LEFT_OUT, _LEFT_OUT_SCHEMA, compression="zstd") as left_out:
                rows = _chosen_rows(store, plan.shards, schema, chosen, objects, left_out)
                paths = _write_files(draft, rows, schema, limit)
            files = _install(store, draft, paths, objects)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return DataView(
        rows=chosen.rows,
        duplicates=chosen.copies,
        left_out=chosen.left_out,
        restored=chosen.restored,
        unwritable=chosen.unwritable,
        reasons=dict(sorted(chosen.reasons.items())),
        flags=dict(sorted(chosen.flags.items())),
        dropped=chosen.dropped,
        decided_anew=chosen.policy.decide is not None,
        strata=dict(sorted(chosen.data.items())),
        places=chosen.places,
        files=files,
        objects=tuple(sorted(objects.files, key=lambda file: file.path)),
    )


def _install(store: Store, draft: Path, paths: Sequence[Path], objects: RestoredObjects) -> tuple[FileRecord, ...]:
    """The files of `data/`, and what goes with them, are those of the draft; `_SUCCESS` is gone."""
    made = draft / DATA
    made.mkdir()
    for number, path in enumerate(paths):
        path.rename(made / f"train-{number:05d}-of-{len(paths):05d}.parquet")
    files = tuple(file_record(path, f"{DATA}/{path.name}") for path in sorted(made.iterdir()))
    # From here on the dataset is not complete, and not a moment before: what is refused earlier leaves it as it was.
    store.remove(SUCCESS)
    store.replace_folder(DATA, made)
    with store.draft(LEFT_OUT) as path:
        shutil.copyfile(draft / LEFT_OUT, path)
    if objects.files or store.files(RESTORED):
        store.replace_folder(RESTORED, objects.folder)
    return files


def data_digest(files: Iterable[FileRecord]) -> str:
    """Hex sha256 of all that `data/` holds."""
    ordered = sorted(files, key=lambda file: file.path)
    return hashlib.sha256("".join(file.sha256 for file in ordered).encode()).hexdigest()


def _chosen_rows(
    store: Store,
    shards: int,
    schema: pa.Schema,
    chosen: Selection,
    objects: RestoredObjects,
    left_out: pq.ParquetWriter,
) -> Iterator[pa.Table]:
    """The rows of every shard in order that `data/` holds; dropped ones too where the policy decides anew.

    What a shard kept and `data/` does not hold is written to `left_out` with the reasons.
    """
    names = (PAIRS_FILE, REJECTED_FILE) if chosen.policy.decide else (PAIRS_FILE,)
    handles = store.handles(f"{shard_name(index)}/{name}" for index in range(shards) for name in names)
    for _ in range(shards):
        tables = [judged_table(next(handles), schema) for _ in names]
        kept = [True] * tables[0].num_rows + [False] * sum(table.num_rows for table in tables[1:])
        table = pa.concat_tables(tables)
        order = np.argsort(table.column("pair_index").to_numpy(), kind="stable")
        for start in range(0, len(order), ROW_GROUP_ROWS):
            places = order[start : start + ROW_GROUP_ROWS]
            batch = table.take(pa.array(places))
            rows = batch.drop_columns(["image"]).to_pylist()
            outcomes = [
                chosen.decide(row, kept=kept[place], write=_write_objects(batch, number, objects))
                for number, (row, place) in enumerate(zip(rows, places, strict=True))
            ]
            lost = [
                {"pair_id": row["pair_id"], "pair_index": row["pair_index"], "reasons": outcome.reasons}
                for row, outcome, place in zip(rows, outcomes, places, strict=True)
                if kept[place] and not outcome.taken
            ]
            if lost:
                left_out.write_table(pa.Table.from_pylist(lost, _LEFT_OUT_SCHEMA))
            yield objects.with_objects(batch.filter(pa.array([outcome.taken for outcome in outcomes], pa.bool_())))


def _write_objects(batch: pa.Table, number: int, objects: RestoredObjects) -> Callable[[Mapping[str, Any]], bool]:
    """A function that writes the objects of a row of the batch, with the image that the row comes without."""
    return lambda row: objects.write({**row, "image": batch.column("image")[number].as_py()})


def _write_files(folder: Path, tables: Iterator[pa.Table], schema: pa.Schema, limit: float) -> list[Path]:
    """The files in order, at least one; a file ends after the row group that reaches `limit` bytes."""
    paths: list[Path] = []
    groups = _row_groups(tables, schema)
    group = next(groups, None)
    while group is not None or not paths:
        path = folder / f"part-{len(paths):05d}.parquet"
        with pa.OSFile(str(path), "wb") as sink, open_parquet(sink, schema) as writer:
            while group is not None:
                writer.write_table(group, row_group_size=ROW_GROUP_ROWS)
                group = next(groups, None)
                if sink.tell() >= limit:
                    break
        with path.open("rb") as file:
            os.fsync(file.fileno())
        paths.append(path)
    return paths


def _row_groups(tables: Iterator[pa.Table], schema: pa.Schema) -> Iterator[pa.Table]:
    """The same rows in tables of `ROW_GROUP_ROWS`, the last one shorter: small shards make no small row groups."""
    waiting = schema.empty_table()
    for table in tables:
        waiting = pa.concat_tables([waiting, table.cast(schema)])
        while waiting.num_rows >= ROW_GROUP_ROWS:
            yield waiting.slice(0, ROW_GROUP_ROWS)
            waiting = waiting.slice(ROW_GROUP_ROWS)
    if waiting.num_rows:
        yield waiting
