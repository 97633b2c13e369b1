"""Tests a finished dataset against the records that its model was trained on, and keeps the result with the dataset.

The reference is Parquet (a file, folder or glob) or a folder of images (PNG, JPEG, DICOM), with the report of
`name.png` in `name.txt`. A holdout of the same kind, not trained on, says how near a record is that nobody copied.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from generator.data_view import data_digest
from generator.dataset import open_dataset
from generator.errors import InputError
from generator.inputs_parquet import find_files
from generator.manifest import read_manifest
from generator.privacy_measures import (
    NGRAM,
    SAME,
    Distances,
    Reference,
    copied,
    copy_threshold,
    known_ngrams,
    longest_copy,
)
from generator.records import FileRecord
from generator.store import Store, store_at

PRIVACY = "privacy.json"
_IMAGES = (".png", ".jpg", ".jpeg", ".dcm")
_LISTED = 1000
LEAST_HELD = 100  # for one in a hundred to be told


@dataclass(frozen=True, kw_only=True)
class Record:
    """A record of the reference or the holdout.

    Attributes:
        image: uint8 [H, W] or [H, W, 3].
        report: None where there is none.
    """

    image: NDArray[np.uint8]
    report: str | None


@dataclass(frozen=True, kw_only=True)
class Copy:
    """A pair that counts as a copy.

    Attributes:
        pair_id: of the pair.
        image, report: which of its sides.
        record: position in the reference of the record whose image is closest, from 0.
        distance: to that image.
    """

    pair_id: str
    image: bool
    report: bool
    record: int
    distance: float


@dataclass(frozen=True, kw_only=True)
class Privacy:
    """How near the pairs of a dataset are to a reference.

    Attributes:
        data_sha256: of what `data/` held when it was tested.
        pairs, reference, holdout: how many there were.
        reference_reports: records of the reference that have a report; 0 where reports were not compared.
        copied_images: pairs whose image counts as a copy.
        image_threshold: distance under which it does; None without a holdout, where the ratio to the next record says.
        median_distance, median_ratio: of the pairs' images, to the closest record and relative to the next.
        closer_than_holdout: share of pairs closer to the reference than to the holdout; one half is what chance gives
            when both are of one size; None without a holdout.
        copied_reports: pairs whose report holds a longer verbatim stretch than the threshold.
        report_threshold: words.
        copied_pairs: the first thousand of either.
        warnings: what makes the result weaker than it looks.
    """

    data_sha256: str
    pairs: int
    reference: int
    reference_reports: int
    holdout: int
    copied_images: int
    image_threshold: float | None
    median_distance: float
    median_ratio: float
    closer_than_holdout: float | None
    copied_reports: int
    report_threshold: int
    copied_pairs: tuple[Copy, ...]
    warnings: tuple[str, ...] = ()

    def __str__(self) -> str:
        """For people."""
        reports = f"{self.copied_reports} reports" if self.reference_reports else "reports were not compared"
        counted = f"{self.copied_images} images and {reports} count as copies"
        if not self.reference_reports:
            counted = f"{self.copied_images} images count as copies; {reports}"
        lines = [f"{self.pairs} pairs against {self.reference} records ({self.holdout} held out): {counted}."]
        lines += [f"warning: {one}" for one in self.warnings]
        return "\n".join([*lines, "What these tests cannot see is in the dataset card."])


def assess(
    out: Path | str | Store, reference: str, holdout: str | None, image_column: str, report_column: str
) -> Privacy:
    """The dataset was compared with the reference; nothing is written.

    Raises:
        StoreError: the folder holds no finished dataset.
        InputError: reference or holdout hold no image, or one that cannot be read.
    """
    store = store_at(out)
    dataset, manifest = open_dataset(store), read_manifest(store)
    records = list(read_records(reference, image_column, report_column))
    held = [] if holdout is None else list(read_records(holdout, image_column, report_column))
    for place, found_records in ((reference, records), (holdout, held)):
        if place is not None and not found_records:
            raise InputError(f"{place}: holds no record, so there is nothing to compare with")
    known = known_ngrams(one.report for one in records if one.report)
    against = Reference(one.image for one in records)
    apart, held, warnings = _apart(against, held, holdout)
    found = against.distances(dataset.images())
    stretch = copy_threshold([longest_copy(one.report, known) for one in held if one.report])
    images = copied(found, apart)
    reports = np.array([longest_copy(report, known) > stretch for report in dataset.reports()], bool)
    ids = [row["pair_id"] for row in dataset.columns(["pair_id"])]
    return Privacy(
        data_sha256=data_digest(FileRecord(**one) for one in manifest["files"] if one["path"].startswith("data/")),
        pairs=len(dataset),
        reference=len(records),
        reference_reports=sum(bool(one.report) for one in records),
        holdout=len(held),
        copied_images=int(images.sum()),
        image_threshold=None if apart is None else round(float(np.quantile(apart.nearest, 0.01, method="lower")), 6),
        median_distance=_median(found.nearest),
        median_ratio=_median(found.ratio),
        closer_than_holdout=_closer(found, dataset.images(), held),
        copied_reports=int(reports.sum()),
        report_threshold=stretch,
        copied_pairs=tuple(
            Copy(
                pair_id=ids[place],
                image=bool(images[place]),
                report=bool(reports[place]),
                record=int(found.record[place]),
                distance=round(float(found.nearest[place]), 6),
            )
            for place in np.flatnonzero(images | reports)[:_LISTED].tolist()
        ),
        warnings=warnings,
    )


def _apart(
    against: Reference, held: list[Record], place: str | None
) -> tuple[Distances | None, list[Record], tuple[str, ...]]:
    """Distances of the held-out records to the reference, the records that are not in it, and what to know of them.

    Raises:
        InputError: all of them are in the reference.
    """
    if place is None:
        return None, held, ()
    found = against.distances(one.image for one in held)
    new = found.nearest > SAME
    warnings = []
    if not new.any():
        raise InputError(f"{place}: every record is in the reference too; hold out records that it does not have")
    if not new.all():
        warnings.append(f"{int((~new).sum())} held-out records are in the reference too, and were left out")
    if new.sum() < LEAST_HELD:
        warnings.append(
            f"{int(new.sum())} held-out records cannot tell the closest of a hundred; give {LEAST_HELD} or more"
        )
    kept = [one for one, flag in zip(held, new.tolist(), strict=True) if flag]
    apart = Distances(nearest=found.nearest[new], ratio=found.ratio[new], record=found.record[new])
    return apart, kept, tuple(warnings)


def write_privacy(store: Store, result: Privacy) -> None:
    """`privacy.json` holds the result."""
    with store.draft(PRIVACY) as path:
        path.write_text(json.dumps(asdict(result), indent=1) + "\n", encoding="utf-8")


def current_privacy(store: Store, files: Sequence[FileRecord]) -> dict[str, Any] | None:
    """The result that is kept with the dataset, or None; one of another `data/` is removed.

    Args:
        store: of the dataset.
        files: of `data/`.
    """
    if not store.exists(PRIVACY):
        return None
    values: dict[str, Any] = json.loads(store.read(PRIVACY))
    if values.get("data_sha256") == data_digest(files):
        return {**values, "ngram": NGRAM}
    store.remove(PRIVACY)
    return None


def read_records(place: str, image_column: str, report_column: str) -> Iterator[Record]:
    """The records of a Parquet file, folder or glob, or of a folder of images, in sorted order.

    Raises:
        InputError: there is none, or one that cannot be read.
    """
    tables = [path for path in find_files(place) if path.suffix == ".parquet"]
    images = sorted(path for path in Path(place).rglob("*") if path.suffix.lower() in _IMAGES) if not tables else []
    if not tables and not images:
        raise InputError(f"{place}: holds neither Parquet nor images ({', '.join(_IMAGES)}); name a file or a folder")
    for path in images:
        text = path.with_suffix(".txt")
        report = text.read_text(encoding="utf-8") if text.exists() else None
        yield Record(image=_pixels(path.read_bytes(), str(path), dicom=path.suffix.lower() == ".dcm"), report=report)
    for path in tables:
        yield from _rows(path, image_column, report_column)


def _rows(path: Path, image_column: str, report_column: str) -> Iterator[Record]:
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        names = file.schema_arrow.names
        if image_column not in names:
            raise InputError(f"{path}: has no column {image_column!r}; it has {', '.join(names)}")
        if report_column and report_column not in names:
            raise InputError(
                f"{path}: has no column {report_column!r}; it has {', '.join(names)}. Name the one with reports "
                "(--report-column), or give '' to compare images alone"
            )
        for batch in file.iter_batches(64, columns=[one for one in (image_column, report_column) if one in names]):
            for row in batch.to_pylist():
                value = row[image_column]
                content = value.get("bytes") if isinstance(value, dict) else value
                yield Record(image=_pixels(content, str(path), dicom=False), report=row.get(report_column))


def _pixels(content: Any, where: str, *, dicom: bool) -> NDArray[np.uint8]:
    """The image as uint8 levels.

    Raises:
        InputError: it cannot be read.
    """
    try:
        if dicom:
            return _dicom_pixels(content)
        from PIL import Image

        with Image.open(io.BytesIO(content)) as image:
            return np.asarray(image.convert("L" if image.mode in ("1", "L", "LA") else "RGB"))
    except Exception as error:
        raise InputError(f"{where}: an image cannot be read ({type(error).__name__}: {error})") from error


def _dicom_pixels(content: bytes) -> NDArray[np.uint8]:
    """Pixels of a DICOM image stretched over their own range; what is compared does not depend on the window."""
    import pydicom

    found = pydicom.dcmread(io.BytesIO(content))
    level = found.pixel_array.astype(np.float32)
    if found.get("PhotometricInterpretation") == "MONOCHROME1":
        level = -level
    low, high = float(level.min()), float(level.max())
    return ((level - low) * (255 / max(high - low, 1e-6))).astype(np.uint8)


def _median(values: NDArray[np.float32]) -> float:
    return round(float(np.median(values)), 6) if len(values) else 0.0


def _closer(found: Distances, images: Iterator[NDArray[np.uint8]], held: Sequence[Record]) -> float | None:
    if not held:
        return None
    other = Reference(one.image for one in held).distances(images)
    return round(float((found.nearest < other.nearest).mean()), 6) if len(found.nearest) else 0.0
