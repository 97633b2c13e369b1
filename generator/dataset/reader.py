"""Reads a finished dataset: the one door for trainers, references and experiments.

    dataset = open_dataset("out/quickstart")
    for row in dataset.rows(domain="chest_xray"):
        row.pixels(), row.report, row.findings_report

A `Dataset` has `__len__` and `__getitem__`, so that torch takes it as it is; torch itself is not imported here:

    torch.utils.data.DataLoader(dataset, batch_size=16, shuffle=True, num_workers=2, collate_fn=list)

Reading in order is faster: an `IterableDataset` yields from `dataset.rows(part=worker.id, parts=worker.num_workers)`.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from medim_forge.generator.dataset.listed import refuse_unlisted
from medim_forge.generator.dataset.png import decode_png
from medim_forge.generator.dataset.schema import INPUT_PREFIX, SCHEMA_VERSION
from medim_forge.generator.errors import StoreError
from medim_forge.generator.files import Handle
from medim_forge.generator.filters import SCORE_PREFIX
from medim_forge.generator.records import Domain, Task
from medim_forge.generator.store import PENDING, Store, store_at
from medim_forge.generator.store.tables import footer_of, read_group

_CACHED_ROW_GROUPS = 4


@dataclass(frozen=True, kw_only=True)
class Row:
    """One kept pair; its columns are those of `generator/dataset/schema.py`.

    Attributes:
        pair_id: unique in the dataset.
        pair_index: 0-based number of the pair in the job.
        repeats: `pair_index` of the planned pair whose prompt or input it tries again; None for a planned pair.
        shard: that holds the pair.
        task: how it was made.
        domain: what kind of image, e.g. `chest_xray`.
        prompt: opening words that were given.
        prompt_chars: how many leading characters of `report` were given.
        report: whole report.
        findings_asked: what the prompt asks for, sorted.
        findings_report: what the labeler reads in the report, sorted; None when no filter reads reports.
        png: the image file.
        width: pixels.
        height: pixels.
        image_codes: codebook ids in raster order.
        seed: of the pair.
        report_logprob: nats per generated token; None when all were given.
        image_logprob: the same for image codes.
        agreement: of the report given the image, nats per report token; None when not defined.
        image_agreement: of the image given the report, nats per image code; None when not defined.
        sentence_agreement: `agreement` of each sentence behind the opening.
        embedding: the model's view of the image.
        image_phash: perceptual hash of the image, hex.
        report_minhash: MinHash of the report, hex.
        scores: of the filters, by name; None where not defined.
        image_sha256: of `png`.
        sop_instance_uid: of the DICOM image; None without DICOM.
        dicom_path: of the DICOM image, relative to the dataset; None without DICOM.
        model_sha256: of the weights.
        spec_sha256: of the job.
        synthetic: always true.
        image_origin, report_origin: generated, drawn or given; empty in datasets that do not say so yet.
        source_row: row of the job's inputs; None without inputs.
        source_sha256: of that row's file, image or report.
        source_name: of that file or image; None unless the job keeps names.
        inputs: columns of the input table that the job keeps, as text.
    """

    pair_id: str
    pair_index: int
    repeats: int | None
    shard: int
    task: Task
    domain: Domain
    prompt: str
    prompt_chars: int
    report: str
    findings_asked: tuple[str, ...]
    findings_report: tuple[str, ...] | None
    png: bytes = field(repr=False)
    width: int
    height: int
    image_codes: tuple[int, ...] = field(repr=False)
    seed: int
    report_logprob: float | None
    image_logprob: float | None
    agreement: float | None
    image_agreement: float | None
    sentence_agreement: tuple[float, ...]
    embedding: tuple[float, ...] = field(repr=False)
    image_phash: str
    report_minhash: str = field(repr=False)
    scores: Mapping[str, float | None]
    image_sha256: str
    sop_instance_uid: str | None
    dicom_path: str | None
    model_sha256: str
    spec_sha256: str
    synthetic: bool
    image_origin: str = ""
    report_origin: str = ""
    source_row: int | None = None
    source_sha256: str | None = None
    source_name: str | None = None
    inputs: Mapping[str, str | None] = field(default_factory=dict)

    def pixels(self) -> NDArray[np.uint8]:
        """The image: uint8 [H, W] or [H, W, 3].

        Raises:
            InputError: the bytes are no image.
        """
        return decode_png(self.png)


@dataclass(frozen=True)
class _RowGroup:
    """Where some consecutive rows lie."""

    file: Handle
    number: int
    rows: int


class Dataset:
    """The rows of some Parquet files of one schema, in file order.

    Args:
        files: `data/*.parquet`, or the `pairs.parquet` of a shard.

    Raises:
        StoreError: a file cannot be read, or has another schema version.
    """

    def __init__(self, files: Sequence[Handle]) -> None:
        self.files = tuple(files)
        self._groups = [group for file in self.files for group in _row_groups(file)]
        self._ends = np.cumsum([group.rows for group in self._groups], dtype=np.int64).tolist()
        self._cache: OrderedDict[int, pa.Table] = OrderedDict()

    def __len__(self) -> int:
        """The number of rows."""
        return int(self._ends[-1]) if self._ends else 0

    def __getitem__(self, index: int) -> Row:
        """The row at a position; the row groups used last stay decoded."""
        position = index + len(self) if index < 0 else index
        if not 0 <= position < len(self):
            raise IndexError(f"row {index} of a dataset of {len(self)} rows")
        number = bisect_right(self._ends, position)
        start = self._ends[number] - self._groups[number].rows
        return row_of(self._table(number).slice(position - start, 1).to_pylist()[0])

    def __getstate__(self) -> dict[str, Any]:
        """The state that is sent to a worker leaves decoded row groups out: it reads its own."""
        return {**self.__dict__, "_cache": OrderedDict()}

    def rows(self, domain: Domain | None = None, *, part: int = 0, parts: int = 1) -> Iterator[Row]:
        """The rows in order, one row group in memory at a time.

        Args:
            domain: only its rows; None for all.
            part: which share of the row groups, from 0.
            parts: how many shares; together they give every row once.
        """
        if not 0 <= part < parts:
            raise ValueError(f"part {part} of {parts} parts does not exist; parts count from 0")
        for group in self._groups[part::parts]:
            for values in read_group(group.file, group.number).to_pylist():
                if domain is None or values["domain"] == domain:
                    yield row_of(values)

    def row(self, pair_id: str) -> Row:
        """The row of a pair.

        Raises:
            StoreError: the dataset does not hold it.
        """
        place = self.find(pair_id)
        if place is not None:
            return self[place]
        raise StoreError(
            f"{_names(self.files)}: no pair {pair_id} among {len(self)} kept pairs; it may have been dropped, "
            "quarantined or a duplicate: look into shards/*/_rejected.parquet"
        )

    def find(self, pair_id: str) -> int | None:
        """The position of a pair; None where the dataset does not hold it."""
        ids = (row["pair_id"] for row in self.columns(["pair_id"]))
        return next((place for place, found in enumerate(ids) if found == pair_id), None)

    def columns(self, names: Sequence[str]) -> Iterator[dict[str, Any]]:
        """The named columns of every row in order; images are not read unless named."""
        for group in self._groups:
            yield from read_group(group.file, group.number, names).to_pylist()

    def images(self, domain: Domain | None = None) -> Iterator[NDArray[np.uint8]]:
        """The pixels of every row in order: uint8 [H, W] or [H, W, 3]."""
        return (row.pixels() for row in self.rows(domain))

    def reports(self, domain: Domain | None = None) -> Iterator[str]:
        """The report of every row in order; images are not read."""
        return (row["report"] for row in self.columns(["report", "domain"]) if domain in (None, row["domain"]))

    def _table(self, number: int) -> pa.Table:
        """A row group, decoded; the ones used last are kept."""
        if number not in self._cache:
            group = self._groups[number]
            self._cache[number] = read_group(group.file, group.number)
            if len(self._cache) > _CACHED_ROW_GROUPS:
                self._cache.popitem(last=False)
        self._cache.move_to_end(number)
        return self._cache[number]


def open_dataset(folder: Path | str | Store) -> Dataset:
    """The kept and deduplicated pairs of a finished dataset.

    Raises:
        StoreError: the folder holds no finished dataset, or not the one that its manifest lists.
    """
    store = store_at(folder)
    refuse_pending(store)
    refuse_unlisted(store)
    return open_data(store)


def refuse_pending(store: Store) -> None:
    """No command on the whole dataset is at work, or was interrupted.

    Raises:
        StoreError: one is or was: what lies there is neither the old dataset nor the new one.
    """
    if store.exists(PENDING):
        raise StoreError(
            f"{store}: a command on the whole dataset is at work or was interrupted ({PENDING}), so it is neither as "
            "it was nor as it will be. Wait until that has ended, or run it again: it goes on."
        )


def open_data(store: Store) -> Dataset:
    """What `data/` holds at this moment, whether or not somebody is about to change it.

    Raises:
        StoreError: there is nothing.
    """
    names = [name for name in store.files("data") if name.endswith(".parquet")]
    if not names:
        raise StoreError(
            f"{store}: there is no data/*.parquet, so no finished dataset; finish the job with `medim run`, "
            "which makes what is missing"
        )
    return Dataset(list(store.handles(names)))


def row_of(values: Mapping[str, Any]) -> Row:
    """The row that a mapping of column values holds."""
    prefixes = (SCORE_PREFIX, INPUT_PREFIX)
    plain = {name: value for name, value in values.items() if not name.startswith(prefixes) and name != "image"}
    inputs = {name.removeprefix(INPUT_PREFIX): value for name, value in values.items() if name.startswith(INPUT_PREFIX)}
    scores = {name.removeprefix(SCORE_PREFIX): value for name, value in values.items() if name.startswith(SCORE_PREFIX)}
    found = plain["findings_report"]
    plain["findings_report"] = None if found is None else tuple(found)
    plain["findings_asked"] = tuple(plain["findings_asked"])
    for name in ("image_codes", "sentence_agreement", "embedding"):
        plain[name] = tuple(plain[name])
    return Row(**plain, png=values["image"]["bytes"], scores=scores, inputs=inputs)


def _row_groups(file: Handle) -> list[_RowGroup]:
    """The row groups of a file.

    Raises:
        StoreError: it cannot be read, or has another schema version.
    """
    metadata = footer_of(file)
    version = (metadata.metadata or {}).get(b"schema_version", b"none").decode()
    if version != str(SCHEMA_VERSION):
        raise StoreError(
            f"{file}: schema version is {version}, this release reads {SCHEMA_VERSION}; use the release that wrote it"
        )
    return [_RowGroup(file, number, metadata.row_group(number).num_rows) for number in range(metadata.num_row_groups)]


def _names(files: Sequence[Handle]) -> str:
    return str(files[0]) if len(files) == 1 else f"{files[0]} and {len(files) - 1} more files"
