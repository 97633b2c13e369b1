"""Features and fit of the classifier."""

import numpy as np
import pytest

from medim_forge.generator.augmentation.classifier import LabelledSet, fit_predict, pixel_features
from medim_forge.generator.jobspec.augment import ClassifierSection

SETTINGS = ClassifierSection(side=8, components=5, strength=1.0)


def a_set(rows=60, seed=0):
    random = np.random.default_rng(seed)
    labels = np.stack([random.random(rows) < 0.4, random.random(rows) < 0.2], axis=1)
    features = random.standard_normal((rows, 64)).astype(np.float32)
    features[:, :8] += 4 * labels[:, :1]
    features[:, 8:16] -= 4 * labels[:, 1:]
    return LabelledSet(features=features, labels=labels)


def test_separable_findings_are_learned():
    train, test = a_set(), a_set(seed=1)
    assert (fit_predict(train, test.features, SETTINGS) == test.labels).mean() > 0.95


def test_the_fit_is_the_same_every_time():
    train, test = a_set(), a_set(seed=1)
    first, again = (fit_predict(train, test.features, SETTINGS) for _ in range(2))
    assert np.array_equal(first, again)


@pytest.mark.parametrize("value", [True, False])
def test_a_finding_without_a_counterexample_is_predicted_alike_for_all(value):
    train = a_set()
    train.labels[:, 1] = value
    assert (fit_predict(train, a_set(seed=1).features, SETTINGS)[:, 1] == value).all()


def test_few_pairs_lower_the_number_of_components_instead_of_failing():
    assert fit_predict(a_set(rows=4), a_set(seed=1).features, SETTINGS).shape == (60, 2)


def test_features_are_standardised_block_means():
    image = np.kron(np.array([[0, 100], [100, 200]], dtype=np.uint8), np.ones((5, 5), dtype=np.uint8))
    features = pixel_features([image, image // 2], side=2, colour=False)
    assert features.dtype == np.float32
    assert features[0] == pytest.approx(np.array([-1, 0, 0, 1]) * np.sqrt(2), abs=1e-5)
    assert features[1] == pytest.approx(features[0], abs=1e-5)


def test_features_have_three_channels_in_colour_and_one_in_grey():
    image = np.random.default_rng(0).integers(0, 256, (12, 12, 3)).astype(np.uint8)
    assert pixel_features([image], side=4, colour=True).shape == (1, 48)
    assert pixel_features([image], side=4, colour=False).shape == (1, 16)
    assert np.isfinite(pixel_features([np.zeros_like(image)], side=4, colour=True)).all()


def test_rows_are_taken_and_joined_in_order():
    one, other = a_set(rows=3), a_set(rows=2, seed=1)
    both = one.joined(other)
    assert len(both) == 5
    assert np.array_equal(
        both.take(np.array([4, 0, 4])).labels, np.stack([other.labels[1], one.labels[0], other.labels[1]])
    )
