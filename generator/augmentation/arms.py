"""What the classifiers of an augmentation experiment are trained and tested on."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from medim_forge.generator.augmentation.acquisition import acquire
from medim_forge.generator.augmentation.classifier import LabelledSet, pixel_features
from medim_forge.generator.dataset import open_dataset
from medim_forge.generator.domains import facts_of
from medim_forge.generator.errors import StoreError
from medim_forge.generator.jobspec import AugmentSpec
from medim_forge.generator.jobspec.augment import Arm
from medim_forge.generator.metrics import label_matrix
from medim_forge.generator.phantoms import FINDINGS, draw, read_findings


def labelled(pairs: Iterable[tuple[NDArray[np.uint8], frozenset[str]]], spec: AugmentSpec) -> LabelledSet:
    """Images and findings as the classifier takes them; images are kept as features only."""
    features, found = [], []
    for image, findings in pairs:
        features.append(pixel_features([image], side=spec.classifier.side, colour=facts_of(spec.domain).colour is True))
        found.append(findings)
    return LabelledSet(features=np.concatenate(features), labels=label_matrix(found, FINDINGS[spec.domain]))


def real_set(spec: AugmentSpec, first_seed: int, pairs: int) -> LabelledSet:
    """Phantoms under the shifted acquisition, any combination of findings, labelled by what was drawn."""

    def drawn() -> Iterable[tuple[NDArray[np.uint8], frozenset[str]]]:
        for seed in range(first_seed, first_seed + pairs):
            phantom = draw(spec.domain, seed, held_out=None)
            random = np.random.default_rng([spec.seed, seed])
            yield acquire(phantom.image, spec.real.shift, random), phantom.findings

    return labelled(drawn(), spec)


def evaluation_set(spec: AugmentSpec) -> LabelledSet:
    """The pairs that judge every classifier."""
    return real_set(spec, spec.real.first_seed, spec.real.test_pairs)


def train_set(spec: AugmentSpec, repetition: int) -> LabelledSet:
    """The real pairs of one repetition; no two repetitions share one, and none is in the test set."""
    first = spec.real.first_seed + spec.real.test_pairs + repetition * spec.real.pairs
    return real_set(spec, first, spec.real.pairs)


def synthetic_set(spec: AugmentSpec, folder: Path | str) -> LabelledSet:
    """The pairs of a finished dataset, labelled by their reports: nothing else is known of what they show.

    Raises:
        StoreError: the folder holds no finished dataset, none of the domain, or one whose images were given.
    """
    rows = list(islice(open_dataset(folder).rows(spec.domain), spec.synthetic.pairs))
    if any(row.image_origin == "given" for row in rows):
        raise StoreError(
            f"{folder}: its images were given to the job that made it, so they are not synthetic and cannot stand for "
            "synthetic pairs; name a dataset of generated images."
        )
    pairs = [(row.pixels(), read_findings(row.report)) for row in rows]
    if not pairs:
        raise StoreError(f"{folder}: holds no {spec.domain} pair; name a dataset of that domain, or change domain.")
    return labelled(pairs, spec)


def arm_set(arm: Arm, real: LabelledSet, synthetic: LabelledSet, random: np.random.Generator) -> LabelledSet:
    """What a classifier of the arm is trained on.

    Args:
        arm: `real` alone; `real_synthetic` adds the synthetic pairs; `real_shuffled`, the negative control, adds them
            mismatched, each image with the findings of another; `real_duplicated` repeats the real pairs to the same
            count.
        real: the repetition's.
        synthetic: the same for every repetition.
        random: of the shuffling.
    """
    if arm == "real":
        return real
    if arm == "real_duplicated":
        return real.take(np.arange(len(real) + len(synthetic)) % len(real))
    if arm == "real_shuffled":
        order = random.permutation(len(synthetic))
        synthetic = LabelledSet(features=synthetic.features, labels=synthetic.labels[order])
    return real.joined(synthetic)
