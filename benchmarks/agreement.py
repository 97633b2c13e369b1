"""How well the replica's own agreement score tells a pair's report from another pair's: AUC, as one JSON.

python benchmarks/agreement.py DATASET [DATASET ...]
"""

from __future__ import annotations

import json
import platform
import sys

import numpy as np
import torch
from sklearn.metrics import roc_auc_score

from generator.dataset import open_dataset
from generator.phantoms import DOMAINS, OPENING
from model import checkpoint
from model.medim import Given, Medim

BATCH = 16


def scores(model: Medim, rows: list, reports: list[str]) -> list[float]:
    """Agreement of each row's image with the report at its place."""
    found: list[float] = []
    for at in range(0, len(rows), BATCH):
        part = rows[at : at + BATCH]
        given = [
            Given(domain=row.domain, seed=row.seed, report=report)
            for row, report in zip(part, reports[at : at + BATCH], strict=True)
        ]
        codes = [np.array(row.image_codes, dtype=np.int32) for row in part]
        found += model.agreement(given, codes, [OPENING[row.domain] for row in part])
    return found


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
        other = scores(model, rows, [rows[(index + 1) % len(rows)].report for index in range(len(rows))])
        truth = [1] * len(own) + [0] * len(other)
        result[domain] = {"pairs": len(rows), "auc": round(float(roc_auc_score(truth, own + other)), 4)}
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
