"""Checks a finished dataset against its own records: every file, row, image and DICOM object."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from medim_forge.generator.dataset import PAIRS_FILE, REJECTED_FILE, Provenance, provenance_of
from medim_forge.generator.dataset.png import decode_png
from medim_forge.generator.dataset.reader import refuse_pending
from medim_forge.generator.dataset.schema import ROW_GROUP_ROWS, pairs_schema, rejected_schema
from medim_forge.generator.errors import InputError, StoreError, VerifyError
from medim_forge.generator.files import file_record, sha256_hex
from medim_forge.generator.finalise import read_manifest
from medim_forge.generator.finalise.manifest import learned_from
from medim_forge.generator.finalise.restored import RESTORED
from medim_forge.generator.finalise.view import DATA
from medim_forge.generator.jobspec import GenerateSpec
from medim_forge.generator.plan import read_spec
from medim_forge.generator.records import Counts, ReplicaFacts, ShardRecord
from medim_forge.generator.store import FOLDERS, RECORD, SUCCESS, Store, shard_name, store_at
from medim_forge.generator.store.tables import read_batches, schema_of

_SHOWN = 20


@dataclass(frozen=True, kw_only=True)
class VerifyReport:
    """What `verify` found.

    Attributes:
        folder: the dataset.
        shards: looked at.
        files: hashed.
        images: decoded and compared with their sha256.
        dicom_objects: compared with their row.
        problems: one line each, naming file or pair; empty when all is well.
    """

    folder: str
    shards: int
    files: int
    images: int
    dicom_objects: int
    problems: tuple[str, ...]

    @property
    def looked_at(self) -> str:
        """What was compared, as the beginning of a line."""
        return (
            f"{self.folder}: {self.shards} shards, {self.files} files hashed, {self.images} images and "
            f"{self.dicom_objects} DICOM objects compared"
        )


def verify(folder: Path | str | Store) -> VerifyReport:
    """The dataset holds what its records say.

    Raises:
        StoreError: the folder is no finished dataset: spec or manifest is missing or broken.
        VerifyError: it does not; the message names files and pairs.
    """
    report = inspect(folder)
    if report.problems:
        more = len(report.problems) - _SHOWN
        listed = "\n  ".join([*report.problems[:_SHOWN], *([f"and {more} more"] if more > 0 else [])])
        raise VerifyError(
            f"{report.looked_at}: {len(report.problems)} problems\n  {listed}\n"
            "To mend it, delete the shard folders that are named, and _SUCCESS, and run the job again: it remakes what "
            "is missing with the same bytes."
        )
    return report


def inspect(folder: Path | str | Store) -> VerifyReport:
    """What a look at every byte of the dataset finds.

    Raises:
        StoreError: the folder is no finished dataset: spec or manifest is missing or broken.
    """
    store = store_at(folder)
    refuse_pending(store)
    spec, manifest = read_spec(store), read_manifest(store)
    return _Check(store, spec, manifest).run()


class _Check:
    """One pass over a dataset."""

    def __init__(self, store: Store, spec: GenerateSpec, manifest: Mapping[str, Any]) -> None:
        self.store = store
        self.spec = spec
        self.problems: list[str] = []
        self.files = self.images = self.dicom_objects = 0
        try:
            self.counts: dict[str, int] = {name: int(count) for name, count in manifest["counts"].items()}
            self.expected = {entry["path"]: entry for entry in manifest["files"]}
            self.provenance: Provenance = provenance_of(
                spec,
                ReplicaFacts(
                    model_sha256=manifest["model_sha256"],
                    device="",
                    versions={},
                    training_data_terms=tuple(manifest["training_data_terms"]),
                    learned_from=learned_from(manifest, spec),
                ),
            )
            if manifest["spec_sha256"] != spec.sha256:
                self.problems.append(f"manifest.json: spec_sha256 is not that of spec.yaml ({spec.sha256})")
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise StoreError(
                f"{store}/manifest.json: is incomplete ({error!r}); `medim run` writes it again"
            ) from error

    def run(self) -> VerifyReport:
        """The report of the whole pass."""
        self._hash_files()
        records = (self._shard(index) for index in range(self.counts["shards"]))
        sums = sum((record.counts for record in records if record), Counts()).totals()
        del sums["shards"]  # a shard that is missing is named already
        self._same_counts("the shards", sums)
        tables = [name for name in self.store.files(DATA) if name.endswith(".parquet")]
        rows = sum(self._table(name, pairs_schema(self.provenance)) for name in tables)
        self._same_counts("data/", {"data_rows": rows})
        counts = self.counts
        left = counts["kept"] - counts["duplicates"] - counts["left_out"] + counts["restored"]
        self._same_counts("the manifest itself", {"data_rows": left})
        return VerifyReport(
            folder=str(self.store),
            shards=self.counts["shards"],
            files=self.files,
            images=self.images,
            dicom_objects=self.dicom_objects,
            problems=tuple(self.problems),
        )

    def _hash_files(self) -> None:
        """Compares every file with the manifest; a file that is not in it is a problem too."""
        there = {name for folder in FOLDERS for name in self.store.files(folder)}
        known = there | {name for name in self.expected if "/" not in name and self.store.exists(name)}
        handles = self.store.handles(name for name in self.expected if name in known)
        for path, entry in self.expected.items():
            if path not in known:
                self.problems.append(f"{path}: is missing")
                continue
            self.files += 1
            found = file_record(next(handles), path)
            if (found.size, found.sha256) != (entry["size"], entry["sha256"]):
                self.problems.append(
                    f"{path}: is not the file that was written ({found.size} bytes, sha256 {found.sha256}; "
                    f"recorded {entry['size']} bytes, {entry['sha256']})"
                )
        # Records of shards are compared with the manifest one by one; one of a shard that it does not count is a stray.
        records = {f"{shard_name(index)}/{RECORD}" for index in range(self.counts["shards"])}
        self.problems += [f"{name}: is not in the manifest" for name in sorted(there - records - self.expected.keys())]
        # A job that lacks more rows than it allows ends without it, and holds what its records say.
        if not self.store.exists(SUCCESS) and self.counts["quarantined"] <= self.spec.compute.max_quarantined:
            self.problems.append(f"{SUCCESS}: is missing: the dataset is not finished; run its job again")

    def _shard(self, index: int) -> ShardRecord | None:
        """Checks the rows of a shard against its record, and the record against the manifest."""
        where = shard_name(index)
        try:
            record = self.store.record(index)
        except StoreError as error:
            self.problems.append(str(error))
            return None
        for name in ("spec_sha256", "model_sha256"):
            if getattr(record, name) != getattr(self.provenance, name):
                self.problems.append(f"{where}/{RECORD}: {name} is not that of the dataset")
        for file in record.files:
            entry = self.expected.get(f"{where}/{file.path}")
            if entry is None or (entry["size"], entry["sha256"]) != (file.size, file.sha256):
                self.problems.append(f"{where}/{file.path}: {RECORD} and manifest.json disagree about it")
        kept = self._table(f"{where}/{PAIRS_FILE}", pairs_schema(self.provenance), dicom=True)
        rejected = self._table(f"{where}/{REJECTED_FILE}", rejected_schema(self.provenance))
        for name, found, recorded in (
            (PAIRS_FILE, kept, record.counts.kept),
            (REJECTED_FILE, rejected, record.counts.dropped + record.counts.quarantined),
        ):
            if found != recorded:
                self.problems.append(f"{where}/{name}: holds {found} rows, {RECORD} says {recorded}")
        return record

    def _table(self, name: str, schema: pa.Schema, *, dicom: bool = False) -> int:
        """Checks schema and rows of a Parquet file; the number of rows that could be read."""
        count = 0
        try:
            handle = self.store.handle(name)
            if _facts(schema_of(handle)) != _facts(schema):
                self.problems.append(
                    f"{name}: columns or metadata are not those of this job and release; an earlier one made them, "
                    "or somebody changed them"
                )
            for batch in read_batches(handle, ROW_GROUP_ROWS, checked=False):
                for row in batch.to_pylist():
                    count += 1
                    self.problems += [f"{name}: pair {row['pair_id']}: {problem}" for problem in self._row(row, dicom)]
        except (OSError, StoreError, KeyError) as error:
            self.problems.append(f"{name}: cannot be read ({type(error).__name__}: {error})")
        return count

    def _row(self, row: Mapping[str, Any], dicom: bool) -> Iterator[str]:
        """What is wrong with one row."""
        if row["synthetic"] is not True:
            yield "is not marked synthetic"
        if row["image"] is None:
            if "error" not in row or row["error"] is None:
                yield "has no image"
            return
        self.images += 1
        png = row["image"]["bytes"]
        if sha256_hex(png) != row["image_sha256"]:
            yield "image is not the one that was written: its sha256 differs from image_sha256"
        try:
            pixels = decode_png(png)
        except InputError as error:
            yield f"image: {error}"
            return
        if pixels.shape[:2] != (row["height"], row["width"]):
            found = f"{pixels.shape[1]} x {pixels.shape[0]}"
            yield f"image is {found} pixels, the row says {row['width']} x {row['height']}"
        restored = (row["dicom_path"] or "").startswith(f"{RESTORED}/")
        if (dicom or restored) and self.spec.output.dicom is not None:
            from medim_forge.generator.audit.verify_dicom import dicom_problems

            self.dicom_objects += 2
            yield from dicom_problems(self.store, row, pixels, self.provenance, self.spec.output.dicom)

    def _same_counts(self, who: str, found: Mapping[str, int]) -> None:
        """Compares what was counted with the counts of the manifest."""
        for name, count in found.items():
            if count != self.counts.get(name):
                self.problems.append(f"manifest.json: counts.{name} is {self.counts.get(name)}, {who} hold {count}")


def _facts(schema: pa.Schema) -> list[Any]:
    """What two schemas must agree on; Parquet numbers the children of lists in metadata of its own."""
    return [schema.metadata, *((field.name, field.type, field.nullable, field.metadata) for field in schema)]
