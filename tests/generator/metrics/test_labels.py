"""Scores of label matrices against scikit-learn and against shares worked out by hand."""

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.metrics import accuracy_score, f1_score

from medim_forge.generator.metrics.labels import (
    f1_by_finding,
    label_matrix,
    label_scores,
    macro_f1,
    micro_f1,
    shuffled_floor,
)

SHAPES = st.tuples(st.integers(1, 12), st.integers(1, 4))
TWO = SHAPES.flatmap(lambda shape: st.tuples(*[hnp.arrays(np.bool_, shape)] * 2))


def names(count):
    return tuple(f"finding_{at}" for at in range(count))


@given(matrices=TWO)
def test_f1_is_that_of_scikit_learn(matrices):
    true, predicted = matrices
    # scikit-learn takes a single column for binary labels: two columns keep it multi-label.
    wide_true, wide_predicted = np.hstack([true, true]), np.hstack([predicted, predicted])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        by_finding = f1_score(wide_true, wide_predicted, average=None, zero_division=0)
        macro = f1_score(wide_true, wide_predicted, average="macro", zero_division=0)
        micro = f1_score(wide_true, wide_predicted, average="micro", zero_division=0)
        exact = accuracy_score(wide_true, wide_predicted)
    assert f1_by_finding(true, predicted) == pytest.approx(by_finding[: true.shape[1]])
    assert macro_f1(true, predicted) == pytest.approx(macro)
    assert micro_f1(true, predicted) == pytest.approx(micro)
    assert label_scores(true, predicted, names(true.shape[1])).exact == pytest.approx(exact)


def test_all_scores_of_a_small_case():
    true = label_matrix([{"a"}, {"a", "b"}, set(), {"b"}], ("a", "b"))
    predicted = label_matrix([{"a"}, {"b"}, {"a"}, {"b", "of another domain"}], ("a", "b"))
    scores = label_scores(true, predicted, ("a", "b"))
    assert scores.n == 4
    assert scores.f1 == {"a": pytest.approx(0.5), "b": pytest.approx(1.0)}
    assert scores.macro_f1 == pytest.approx(0.75)
    assert scores.micro_f1 == pytest.approx(0.75)
    assert scores.exact == pytest.approx(0.5)
    assert scores.prevalence_true == {"a": 0.5, "b": 0.5}
    assert scores.prevalence_predicted == {"a": 0.5, "b": 0.5}


def test_a_finding_that_neither_side_has_scores_nothing():
    empty = np.zeros((5, 2), dtype=np.bool_)
    assert macro_f1(empty, empty) == 0.0


def test_no_items_still_make_a_matrix_with_every_column():
    assert label_matrix([], ("a", "b")).shape == (0, 2)


@pytest.mark.parametrize("shape", [(3, 1), (2, 2), (0, 2)])
def test_matrices_that_cannot_be_compared_are_refused(shape):
    other = (3, 2) if shape[0] else shape
    with pytest.raises(ValueError, match=r"two equal non-empty \[N, F\]"):
        macro_f1(np.ones(shape, dtype=np.bool_), np.ones(other, dtype=np.bool_))


def test_the_shuffled_floor_is_what_prevalence_earns():
    random = np.random.default_rng(0)
    true = random.random((4000, 2)) < (0.2, 0.5)
    floor = shuffled_floor(true, true, ("a", "b"), seed=1, permutations=20)
    assert label_scores(true, true, ("a", "b")).macro_f1 == 1.0
    assert floor.f1["a"] == pytest.approx(0.2, abs=0.02)
    assert floor.f1["b"] == pytest.approx(0.5, abs=0.02)
    assert floor.macro_f1 == pytest.approx(0.35, abs=0.02)


def test_the_shuffled_floor_is_the_same_for_the_same_seed_only():
    true = np.random.default_rng(0).random((50, 3)) < 0.3
    floors = [shuffled_floor(true, true, names(3), seed=seed, permutations=5) for seed in (1, 1, 2)]
    assert floors[0] == floors[1]
    assert floors[0] != floors[2]


def test_a_floor_of_no_permutations_is_refused():
    one = np.ones((2, 1), dtype=np.bool_)
    with pytest.raises(ValueError, match="permutations is 0"):
        shuffled_floor(one, one, ("a",), seed=0, permutations=0)


def test_values_and_findings_must_be_as_many():
    one = np.ones((2, 2), dtype=np.bool_)
    with pytest.raises(ValueError, match="zip"):
        label_scores(one, one, ("a",))
