"""How well the replica's own agreement tells a pair's report from one that finds something else: AUC, as one JSON.

python benchmarks/agreement.py DATASET [DATASET ...]
"""

from __future__ import annotations

import json
import platform
import sys

import numpy as np
import torch
from sklearn.metrics import roc_auc_score

from medim_forge.generator.dataset.reader import open_dataset
from medim_forge.generator.filters.agreement import both_ways
from medim_forge.generator.phantoms import DOMAINS, OPENING
from medim_forge.model import checkpoint
from medim_forge.model.medim import Given, Medim

BATCH = 16


def scores(model: Medim, rows: list, reports: list[str]) -> dict[str, list[float]]:
    """Agreement of each row's image with the report at its place, both ways and together."""
    found: dict[str, list[float]] = {"report_given_image": [], "image_given_report": [], "both_ways": []}
    for at in range(0, len(rows), BATCH):
        part = rows[at : at + BATCH]
        given = [
            Given(domain=row.domain, seed=row.seed, report=report)
            for row, report in zip(part, reports[at : at + BATCH], strict=True)
        ]
        codes = [np.array(row.image_codes, dtype=np.int32) for row in part]
        with torch.inference_mode():
            made = model.scorer(given, codes, [OPENING[row.domain] for row in part]).score()
        report, image = made.agreement.tolist(), made.image_agreement.tolist()
        for name, values in (
            ("report_given_image", report),
            ("image_given_report", image),
            ("both_ways", map(both_ways, report, image)),
        ):
            found[name] += values
    return found


def wrong(rows: list, place: int) -> str:
    """The report of the next row that finds something else."""
    others = (rows[(place + step) % len(rows)] for step in range(1, len(rows)))
    return next(other.report for other in others if other.findings_report != rows[place].findings_report)


def main() -> None:
    """Print the figures of finished datasets taken together."""
    folder = checkpoint.resolve("phantom")
    model = Medim.load(folder)
    result: dict[str, object] = {
        "checkpoint": checkpoint.sha256(folder),
        "torch": torch.__version__,
        "machine": platform.machine(),
    }
    for domain in DOMAINS:
        rows = [row for name in sys.argv[1:] for row in open_dataset(name).rows(domain)]
        if len(rows) < 2:
            continue
        own = scores(model, rows, [row.report for row in rows])
        other = scores(model, rows, [wrong(rows, place) for place in range(len(rows))])
        truth = [1] * len(rows) + [0] * len(rows)
        aucs = {name: round(float(roc_auc_score(truth, own[name] + other[name])), 4) for name in own}
        result[domain] = {"pairs": len(rows), "auc": aucs}
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
