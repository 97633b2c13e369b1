"""What a test against training data found, kept beside `data/` for as long as that stays the same."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from medim_forge.generator.finalise.view import data_digest
from medim_forge.generator.records import FileRecord
from medim_forge.generator.store import Store
from medim_forge.generator.store.documents import read_json, sealed_text

NGRAM = 8  # words
PRIVACY = "privacy.json"


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
        pairs, reference, holdout: how many pairs and records were compared.
        reference_reports: records of the reference that have a report; 0 where reports were not compared.
        copied_images: pairs whose image counts as a copy.
        image_threshold: distance under which it does; None without a holdout, where the ratio to the next record says.
        median_distance, median_ratio: of the pairs' images, to the closest record and relative to the next.
        closer_than_holdout: share of pairs closer to the reference than to the holdout, as many records of each; one
            half is what chance gives; None without a holdout.
        copied_reports: pairs whose report holds a longer verbatim stretch than the threshold.
        report_threshold: words.
        copied_pairs: the first thousand pairs that count as copies.
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


def privacy_record(result: Privacy) -> dict[str, Any]:
    """What `privacy.json` holds."""
    values: dict[str, Any] = json.loads(json.dumps(asdict(result)))
    return values


def write_privacy(store: Store, record: Mapping[str, Any]) -> None:
    """The result lies in the dataset, as `privacy.json`."""
    with store.draft(PRIVACY) as path:
        path.write_text(sealed_text(record), encoding="utf-8")


def current_privacy(store: Store, files: Sequence[FileRecord]) -> dict[str, Any] | None:
    """The result that is kept with the dataset, or None; a result about another `data/` is removed.

    Args:
        store: of the dataset.
        files: of `data/`.
    """
    if not store.exists(PRIVACY):
        return None
    values = read_json(store, PRIVACY, "Delete it, and run `medim privacy` again.")
    if values.get("data_sha256") == data_digest(files):
        return {**values, "ngram": NGRAM}
    store.remove(PRIVACY)
    return None
