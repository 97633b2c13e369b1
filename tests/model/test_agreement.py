"""The embedded model hears whether a report belongs to an image, and hears nothing once its weights are permuted."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from medim_forge.generator.phantoms import OPENING, draw
from medim_forge.model import checkpoint
from medim_forge.model.medim import Given, Medim

pytestmark = pytest.mark.slow

PAIRS = 32  # of each domain
FIRST_SEED = 7_000_000_000_000  # phantoms that no checkpoint was trained on


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    torch.set_num_threads(1)


def permuted(parts: checkpoint.Checkpoint) -> checkpoint.Checkpoint:
    """The same weights, each backbone matrix with its entries in another order."""
    random = torch.Generator().manual_seed(5)
    for parameter in parts.backbone.parameters():
        if parameter.ndim > 1:
            order = torch.randperm(parameter.numel(), generator=random)
            parameter.data = parameter.data.flatten()[order].view(parameter.shape)
    return parts


def agreements(model: Medim, domain: str) -> tuple[np.ndarray, np.ndarray]:
    """Agreement [PAIRS] of images with their own reports, and with those of other images."""
    phantoms = [draw(domain, FIRST_SEED + index) for index in range(PAIRS)]
    codes = [model.layout.to_codes(model.encode_image(phantom.image, domain), domain).numpy() for phantom in phantoms]
    found = []
    for shift in (0, 7):
        rows = [
            Given(domain=domain, seed=index, report=phantoms[(index + shift) % PAIRS].report) for index in range(PAIRS)
        ]
        found.append(np.array(model.agreement(rows, codes, [OPENING[domain]] * PAIRS)))
    return found[0], found[1]


def separation(model: Medim, domain: str) -> tuple[float, float]:
    """AUC of true against shuffled reports, and the difference of their mean agreements, nats per token."""
    true, shuffled = agreements(model, domain)
    labels = np.repeat([1, 0], PAIRS)
    return float(roc_auc_score(labels, np.concatenate([true, shuffled]))), float(true.mean() - shuffled.mean())


@pytest.mark.parametrize("domain", sorted(OPENING))
def test_permuted_backbone_weights_drop_the_agreement_to_its_floor(domain):
    folder = checkpoint.resolve("phantom")
    auc, gap = separation(Medim.load(folder), domain)
    assert auc > 0.8
    assert gap > 0.5
    floor_auc, floor_gap = separation(Medim(permuted(checkpoint.load(folder))), domain)
    assert abs(floor_auc - 0.5) < 0.25
    assert abs(floor_gap) < 0.1 * gap
