"""The agreement score and its bounds."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from generator.errors import SpecError
from generator.filters.agreement import Agreement
from tests.generator.filters.pairs import Rule, a_pair


@settings(max_examples=60, deadline=None)
@given(agreement=st.floats(allow_nan=False), bound=st.floats(-10, 10))
def test_pairs_under_the_bound_are_dropped_and_no_others(agreement, bound):
    verdict = Agreement.of(Rule(name="agreement", drop_below=bound)).judge(a_pair(agreement=agreement))
    assert verdict.kept == (agreement >= bound)
    assert verdict.scores == {"agreement": agreement}


def test_without_a_bound_even_nan_is_kept_and_scored():
    verdict = Agreement.of(Rule(name="agreement")).judge(a_pair(agreement=math.nan))
    assert verdict.kept
    assert math.isnan(verdict.scores["agreement"])


@pytest.mark.parametrize("bounds", [{"drop_below": -1.0}, {"drop_above": 1.0}, {"drop_below": -1.0, "drop_above": 1.0}])
def test_nan_is_dropped_under_any_bound(bounds):
    verdict = Agreement.of(Rule(name="agreement", **bounds)).judge(a_pair(agreement=math.nan))
    assert verdict.reasons == ("agreement is NaN",)


def test_scores_over_the_upper_bound_are_dropped():
    assert Agreement.of(Rule(name="agreement", drop_above=2)).judge(a_pair(agreement=2.5)).reasons == ("agreement>2",)


def test_an_option_is_refused():
    with pytest.raises(SpecError, match=r"options.samples is not a known key. Known: none"):
        Agreement.of(Rule(name="agreement", options={"samples": 4}))
