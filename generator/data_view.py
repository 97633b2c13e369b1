"""Writes `data/`: the kept pairs of all shards, without exact copies, in few files of a size that trainers like.

The shards stay the record; `data/` can be remade from them at any time, with the same bytes. One row group is in memory
at a time, and what was seen is remembered on disk, so that memory does not grow with the number of pairs.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, nullcontext
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from generator.provenance import Provenance
from generator.records import FileRecord
from generator.schema import ROW_GROUP_ROWS, pairs_schema
from generator.store import Source, Store, shard_name
from generator.writers.parquet import PAIRS_FILE, open_parquet

DATA = "data"
FILE_BYTES = 256 * 1024 * 1024
_PIECE = 2**20


@dataclass(frozen=True, kw_only=True)
class DataView:
    """What `data/` holds.

    Attributes:
        rows: kept pairs, each once.
        duplicates: kept pairs left out, because a pair of lower index has the same image and report.
        files: relative to the dataset, sorted by path.
    """

    rows: int
    duplicates: int
    files: tuple[FileRecord, ...]


def build_data_view(
    store: Store, shards: int, provenance: Provenance, *, total_bytes: int, file_bytes: int = FILE_BYTES
) -> DataView:
    """`data/train-XXXXX-of-XXXXX.parquet` exist, all of them, and nothing else is in `data/`.

    Args:
        store: of the dataset.
        shards: how many there are, all committed.
        provenance: of the job.
        total_bytes: size of all `pairs.parquet` together.
        file_bytes: target size of a file; files are of about equal size, and no larger than one row group above it.
    """
    limit = total_bytes / max(1, -(-total_bytes // file_bytes))
    draft = store.new_attempt(0, 0)
    try:
        with closing(_Seen(draft / "seen.sqlite")) as seen:
            paths = _write_files(draft, _new_rows(store, shards, seen), pairs_schema(provenance), limit)
            rows, duplicates = seen.new, seen.copies
        made = draft / DATA
        made.mkdir()
        for number, path in enumerate(paths):
            path.rename(made / f"train-{number:05d}-of-{len(paths):05d}.parquet")
        files = tuple(file_record(path, f"{DATA}/{path.name}") for path in sorted(made.iterdir()))
        store.replace_folder(DATA, made)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return DataView(rows=rows, duplicates=duplicates, files=files)


def file_record(source: Source, name: str) -> FileRecord:
    """Size and sha256 of a file, read in pieces; `name` is what the record calls it."""
    digest, size = hashlib.sha256(), 0
    with source.open("rb") if isinstance(source, Path) else nullcontext(source) as file:
        while piece := file.read(_PIECE):
            digest.update(piece)
            size += len(piece)
    return FileRecord(path=name, size=size, sha256=digest.hexdigest())


class _Seen:
    """Remembers on disk which images with which reports came before."""

    def __init__(self, path: Path) -> None:
        self.new = 0
        self.copies = 0
        self._database = sqlite3.connect(path, isolation_level=None)
        # The file does not outlive this process: nothing is gained by making it durable.
        self._database.execute("PRAGMA journal_mode = OFF")
        self._database.execute("PRAGMA synchronous = OFF")
        self._database.execute("CREATE TABLE seen (key BLOB PRIMARY KEY) WITHOUT ROWID")

    def is_new(self, image_sha256: str, report: str) -> bool:
        """Whether this content comes for the first time."""
        key = hashlib.sha256(f"{image_sha256}\n{report}".encode()).digest()
        new = self._database.execute("INSERT OR IGNORE INTO seen VALUES (?)", (key,)).rowcount == 1
        self.new += new
        self.copies += not new
        return new

    def close(self) -> None:
        """Lets go of the file."""
        self._database.close()


def _new_rows(store: Store, shards: int, seen: _Seen) -> Iterator[pa.Table]:
    """The kept rows of every shard in order, without those that were seen."""
    for source in store.sources(f"{shard_name(index)}/{PAIRS_FILE}" for index in range(shards)):
        with pq.ParquetFile(source) as file:
            for batch in file.iter_batches(batch_size=ROW_GROUP_ROWS):
                keys = zip(batch.column("image_sha256").to_pylist(), batch.column("report").to_pylist(), strict=True)
                mask = pa.array([seen.is_new(*key) for key in keys], pa.bool_())
                yield pa.Table.from_batches([batch]).filter(mask)


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
