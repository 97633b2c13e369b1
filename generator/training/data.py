"""Training data drawn from the embedded domain, cached as arrays.

Legend: R rows, H W pixels, C channels, I codes, T report slots.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from medim_forge.generator.phantoms import OPENING, draw, sentences
from medim_forge.generator.training.arrays import place_arrays, read_arrays
from medim_forge.model.layout import TokenLayout
from medim_forge.model.text import ReportTokenizer, build_report_tokenizer

TRAIN_SEEDS = 0
VALIDATION_SEEDS = 1 << 40


@dataclass(frozen=True, kw_only=True)
class Corpus:
    """Phantoms of one domain.

    Attributes:
        domain: which.
        images: uint8 [R, H, W, C].
        reports: R texts.
        findings: R sorted, comma-separated finding names.
    """

    domain: str
    images: NDArray[np.uint8]
    reports: list[str]
    findings: list[str]


def draw_corpus(domain: str, rows: int, first_seed: int, cache: Path | None = None) -> Corpus:
    """Phantoms of seeds `first_seed ..`, without the combinations that are held out of training.

    Args:
        domain: which.
        rows: how many.
        first_seed: training and validation use ranges that never meet.
        cache: folder to keep the arrays in; a cached corpus is read back instead of drawn.
    """
    path = cache / f"{domain}_{first_seed}_{rows}.npz" if cache else None
    if path is not None and path.exists():
        stored = read_arrays(path, ("images", "reports", "findings"))
        return Corpus(
            domain=domain,
            images=stored["images"],
            reports=list(stored["reports"]),
            findings=list(stored["findings"]),
        )
    phantoms = [draw(domain, first_seed + row) for row in range(rows)]
    images = np.stack([p.image if p.image.ndim == 3 else p.image[..., None] for p in phantoms])
    corpus = Corpus(
        domain=domain,
        images=images,
        reports=[p.report for p in phantoms],
        findings=[",".join(sorted(p.findings)) for p in phantoms],
    )
    if path is not None:
        arrays = {"images": images, "reports": np.array(corpus.reports), "findings": np.array(corpus.findings)}
        place_arrays(path, arrays)
    return corpus


def report_tokenizer() -> ReportTokenizer:
    """The report tokenizer of the embedded domain, made from its grammar's sentences."""
    openings = [OPENING[domain] for domain in sorted(OPENING)]
    return build_report_tokenizer(
        openings, [s for domain in sorted(OPENING) for s in sentences(domain) if s not in openings]
    )


def domain_report_ids(tokenizer: ReportTokenizer) -> dict[str, list[int]]:
    """By domain, the ids of its sentences: what its reports are made of."""
    opening = {domain: OPENING[domain] for domain in sorted(OPENING)}
    return {
        domain: sorted({i for sentence in sentences(domain) for i in tokenizer.encode(f"{first} {sentence}")[2:]})
        for domain, first in opening.items()
    }


def report_ids(reports: list[str], tokenizer: ReportTokenizer, layout: TokenLayout) -> NDArray[np.int64]:
    """Report slots [R, T]: bos, pieces, end, pads.

    Raises:
        ValueError: a report does not fit the slots.
    """
    assert layout.end_id is not None
    ids_RT = np.full((len(reports), layout.report_slots), layout.pad_id, dtype=np.int64)
    for row, report in enumerate(reports):
        ids = [*tokenizer.encode(report), layout.end_id]
        if len(ids) > layout.report_slots:
            raise ValueError(f"report of {len(ids)} ids does not fit {layout.report_slots} slots: {report!r}")
        ids_RT[row, : len(ids)] = ids
    return ids_RT
