"""Tests a finished dataset against the records that its model was trained on, and keeps the result with the dataset.

Reference and holdout are read as jobs read what they are given, DICOM as a viewer shows it; see `inputs/pairs.py`. A
holdout of the same kind, not trained on, says how near a record is that was not copied.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medim_forge.generator.audit.nearest_records import (
    LEVEL,
    SAME,
    Distances,
    Reference,
    copied,
    copy_threshold,
    known_ngrams,
    longest_copy,
)
from medim_forge.generator.dataset import Dataset, open_dataset
from medim_forge.generator.errors import InputError, StoreError
from medim_forge.generator.finalise import (
    Change,
    carry_out,
    finish_pending,
    read_manifest,
    standing_rules,
    whole_dataset,
)
from medim_forge.generator.finalise.manifest import facts_of, policy_of
from medim_forge.generator.finalise.privacy_note import Copy, Privacy, privacy_record
from medim_forge.generator.finalise.view import data_digest
from medim_forge.generator.inputs.pairs import FilePairs, GivenPair, ParquetPairs, Unreadable, open_pairs
from medim_forge.generator.inputs.places import PICTURES
from medim_forge.generator.plan import read_spec
from medim_forge.generator.records import FileRecord
from medim_forge.generator.store import SUCCESS, Store, store_at
from medim_forge.model.quoting import shown

# Of files that are left out, and counted by kind in the card.
_SUFFIXES = (
    *PICTURES, ".avi", ".csv", ".dcm", ".doc", ".docx", ".gz", ".html", ".jp2", ".json", ".jsonl", ".log", ".md",
    ".mp4", ".mrxs", ".ndpi", ".nii", ".npy", ".npz", ".parquet", ".pdf", ".rtf", ".svs", ".tar", ".tsv", ".txt",
    ".xls", ".xlsx", ".xml", ".yaml", ".yml", ".zip",
)  # fmt: skip
_LISTED = 1000
_NAMED = 10  # of what cannot be read, in an error
LEAST_HELD = 100  # held-out records, to know the closest of a hundred


def assess(
    out: Path | str | Store,
    reference: str,
    holdout: str | None,
    image_column: str,
    report_column: str,
    *,
    named: bool = False,
) -> Privacy:
    """The dataset was compared with the reference; nothing is written.

    Args:
        out: the dataset.
        reference: what the model was trained on: a place as `open_pairs` takes it.
        holdout: records of the same kind that it was not trained on.
        image_column: of Parquet.
        report_column: of Parquet; empty for images alone.
        named: whether an error names the files of rows beside their numbers; they are often people's names.

    Raises:
        StoreError: the folder holds no finished dataset.
        InputError: reference or holdout hold no image, or one that cannot be read.
    """
    store = store_at(out)
    finish_pending(store, "privacy")
    dataset, manifest = open_dataset(store), read_manifest(store)
    records, warnings = _read(open_pairs(reference, image_column, report_column), named=named)
    held: list[GivenPair] = []
    if holdout is not None:
        held, about_holdout = _read(open_pairs(holdout, image_column, report_column), named=named)
        warnings += about_holdout
    known = known_ngrams(record.report for record in records if record.report)
    against = Reference(record.pixels for record in records)
    apart, held, about_overlap = _apart(against, held, holdout)
    found = against.distances(dataset.images())
    stretch = copy_threshold([longest_copy(record.report, known) for record in held if record.report])
    images = copied(found, apart)
    reports = np.array([longest_copy(report, known) > stretch for report in dataset.reports()], bool)
    ids = [row["pair_id"] for row in dataset.columns(["pair_id"])]
    return Privacy(
        data_sha256=_data_digest(manifest),
        pairs=len(dataset),
        reference=len(records),
        reference_reports=sum(record.report is not None for record in records),
        holdout=len(held),
        copied_images=int(images.sum()),
        image_threshold=None if apart is None else round(float(np.quantile(apart.nearest, LEVEL, method="lower")), 6),
        median_distance=_median(found.nearest),
        median_ratio=_median(found.ratio),
        closer_than_holdout=_closer(dataset, records, held),
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
        warnings=(*_expected(manifest), *warnings, *about_overlap),
    )


def _expected(manifest: Mapping[str, Any]) -> Iterator[str]:
    """What was given to a job is found again in a reference that holds it, which says nothing of the model."""
    for side in ("image", "report"):
        if manifest.get("origin", {}).get(side) == "given":
            yield f"the {side}s of this dataset were given, not generated: to find them in a reference is no leak"


def _read(pairs: ParquetPairs | FilePairs, *, named: bool = False) -> tuple[list[GivenPair], tuple[str, ...]]:
    """Every record of a reference or holdout, and what to know of it.

    Raises:
        InputError: there is none, or some cannot be read; says how many and names the first of them.
    """
    records: list[GivenPair] = []
    unreadable: list[Unreadable] = []
    for found in pairs:
        if isinstance(found, GivenPair):
            records.append(found)
        else:
            unreadable.append(found)
    if unreadable:
        more = f"; and {len(unreadable) - _NAMED} more" if len(unreadable) > _NAMED else ""
        raise InputError(
            f"{pairs.place}: {len(unreadable)} of {len(pairs)} records cannot be read, and a copy of one would not be "
            f"seen: {'; '.join(_told(pairs, row, named) for row in unreadable[:_NAMED])}{more}. Mend them, or "
            "take them away."
        )
    if not records:
        raise InputError(f"{pairs.place}: holds no record, so there is nothing to compare with")
    if not pairs.left_out:
        return records, ()
    # Files may be named after patients, and the result is published with the dataset, so it says which kinds they are.
    kinds = Counter(map(_kind, pairs.left_out))
    listed = ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items()))
    return records, (f"{len(pairs.left_out)} files beside the {len(records)} records were not compared: {listed}",)


def _told(pairs: ParquetPairs | FilePairs, row: Unreadable, named: bool) -> str:
    """Why a row cannot be read, and what it is called where that is asked for."""
    return f"{row.reason} ({shown(pairs.named(row.row), 4096)})" if named else row.reason


def _kind(path: Path) -> str:
    """What kind of file a suffix says; unknown suffixes may be parts of names."""
    suffix = path.suffix.lower()
    return "without suffix" if not suffix else suffix if suffix in _SUFFIXES else "of other kinds"


def _apart(
    against: Reference, held: list[GivenPair], place: str | None
) -> tuple[Distances | None, list[GivenPair], tuple[str, ...]]:
    """Distances of the held-out records to the reference, the records that are not in it, and what to know of them.

    Raises:
        InputError: all of them are in the reference.
    """
    if place is None:
        return None, held, ()
    found = against.distances(record.pixels for record in held)
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
    kept = [record for record, is_new in zip(held, new.tolist(), strict=True) if is_new]
    apart = Distances(nearest=found.nearest[new], ratio=found.ratio[new], record=found.record[new])
    return apart, kept, tuple(warnings)


def _median(values: NDArray[np.float32]) -> float:
    """The median, rounded; 0 of nothing."""
    return round(float(np.median(values)), 6) if len(values) else 0.0


def _closer(dataset: Dataset, records: Sequence[GivenPair], held: Sequence[GivenPair]) -> float | None:
    """The share of images that are closer to the reference than to the held-out records; None without those.

    The closest of many records is closer than the closest of few, so as many are compared on both sides: of the larger
    one those that a fixed seed draws. An image that is as close to both counts half.
    """
    if not held:
        return None
    size = min(len(records), len(held))
    to_reference, to_holdout = (
        Reference(record.pixels for record in _drawn(side, size)).distances(dataset.images()).nearest
        for side in (records, held)
    )
    if not len(to_reference):
        return 0.0
    return round(float((to_reference < to_holdout).mean() + (to_reference == to_holdout).mean() / 2), 6)


def _drawn(side: Sequence[GivenPair], size: int) -> list[GivenPair]:
    """So many of the records, in order, the same ones each time."""
    chosen = np.random.default_rng(0).permutation(len(side))[:size]
    return [side[place] for place in sorted(chosen.tolist())]


def record_privacy(out: Path | str | Store, result: Privacy) -> None:
    """`privacy.json`, card and manifest of the dataset hold the result; `data/` is written anew with the same bytes.

    Raises:
        StoreError: another command is at work on the dataset, or has changed it since it was tested.
    """
    store = store_at(out)
    with whole_dataset(store, "privacy"):
        spec, manifest = read_spec(store), read_manifest(store)
        if _data_digest(manifest) != result.data_sha256:
            raise StoreError(f"{store}: data/ was changed while it was tested; run `medim privacy` again.")
        rules = standing_rules(store, spec)
        change = Change(
            command="privacy",
            complete=store.exists(SUCCESS),
            facts=facts_of(manifest, spec),
            policy=None if rules is None else policy_of(rules),
            privacy=privacy_record(result),
        )
        carry_out(store, change)


def _data_digest(manifest: Mapping[str, Any]) -> str:
    return data_digest(FileRecord(**file) for file in manifest["files"] if file["path"].startswith("data/"))
