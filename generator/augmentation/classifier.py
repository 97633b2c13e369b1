"""The classifier whose gain is measured: few pixels, principal components, one logistic regression per finding."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from medim_forge.generator.jobspec.augment import ClassifierSection
from medim_forge.generator.metrics import Labels

Features = NDArray[np.float32]
MAX_STEPS = 2000


@dataclass(frozen=True, kw_only=True)
class LabelledSet:
    """Images as features, with their findings.

    Attributes:
        features: float32 [N, P].
        labels: bool [N, F].
    """

    features: Features
    labels: Labels

    def __len__(self) -> int:
        """How many images."""
        return len(self.features)

    def take(self, rows: NDArray[np.intp]) -> LabelledSet:
        """The rows named, in that order, repeated where named again."""
        return LabelledSet(features=self.features[rows], labels=self.labels[rows])

    def joined(self, other: LabelledSet) -> LabelledSet:
        """Both, this one first."""
        return LabelledSet(
            features=np.concatenate([self.features, other.features]), labels=np.concatenate([self.labels, other.labels])
        )


def pixel_features(images: Sequence[NDArray[np.uint8]], *, side: int, colour: bool) -> Features:
    """Pixels averaged down to `side` x `side`, mean 0 and deviation 1 by image: float32 [N, side * side * channels].

    Args:
        images: uint8 [H, W] or [H, W, 3] of any size.
        side: pixels.
        colour: three channels, or luminance alone.
    """
    mode = "RGB" if colour else "L"
    rows = np.zeros((len(images), side * side * (3 if colour else 1)), dtype=np.float32)
    for row, image in zip(rows, images, strict=True):
        small = Image.fromarray(image).convert(mode).resize((side, side), Image.Resampling.BOX)
        row[:] = np.asarray(small, dtype=np.float32).ravel()
    centred = rows - rows.mean(axis=1, keepdims=True)
    features: Features = centred / np.maximum(centred.std(axis=1, keepdims=True), 1.0)
    return features


def fit_predict(train: LabelledSet, test: Features, settings: ClassifierSection) -> Labels:
    """Findings predicted for the test images, bool [N, F]; deterministic, and alike for any number of cores.

    A finding that all training images have, or none, is predicted alike for every test image.
    """
    components = min(settings.components, len(train) - 1, train.features.shape[1])
    with threadpool_limits(limits=1):
        reduce = make_pipeline(StandardScaler(), PCA(n_components=components, svd_solver="full"), StandardScaler())
        reduced_train = reduce.fit_transform(train.features.astype(np.float64))
        reduced_test = reduce.transform(test.astype(np.float64))
        columns = [fit_finding(reduced_train, labels, reduced_test, settings.strength) for labels in train.labels.T]
    return np.stack(columns, axis=1)


def fit_finding(train: NDArray[np.float64], labels: Labels, test: NDArray[np.float64], strength: float) -> Labels:
    """One finding predicted for the test images, bool [N]; both classes weigh the same, however rare the finding."""
    if labels.all() or not labels.any():
        return np.full(len(test), bool(labels[0]))
    model = LogisticRegression(C=strength, class_weight="balanced", max_iter=MAX_STEPS)
    predicted: Labels = model.fit(train, labels).predict(test)
    return predicted
