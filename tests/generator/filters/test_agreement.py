"""The agreement score and its bounds."""

import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medim_forge.generator.errors import SpecError
from medim_forge.generator.filters import build_judge
from medim_forge.generator.filters.agreement import KIND, Agreement, one_in, partners
from tests.doubles.bare_pairs import Job, Rule, a_pair
from tests.doubles.pairs import make_pair


@given(agreement=st.floats(allow_nan=False, width=32), bound=st.floats(-10, 10, width=32))
def test_pairs_under_the_bound_are_dropped_and_no_others(agreement, bound):
    verdict = Agreement.of(Rule(name="agreement", drop_below=bound)).judge(a_pair(agreement=agreement))
    assert verdict.kept == (agreement >= bound)
    assert verdict.scores["agreement"] == verdict.scores["agreement_report"] == agreement


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


def both(report, image, sentences=()):
    return replace(a_pair(agreement=report), image_agreement=image, sentence_agreement=tuple(sentences))


def test_the_main_score_is_the_mean_of_both_ways():
    scores = build_judge(Job())(both(1.0, -0.5, [0.25, -2.0, 3.0])).scores
    assert scores["agreement"] == 0.25
    assert (scores["agreement_report"], scores["agreement_image"], scores["agreement_sentence"]) == (1.0, -0.5, -2.0)
    assert math.isnan(scores["agreement_shuffled"])


def test_one_sentence_that_does_not_agree_can_drop_a_pair():
    judge = Agreement.of(Rule(name="agreement", options={"min_sentence": -1.0})).judge
    assert judge(both(1.0, 1.0, [2.0, -0.5])).kept
    assert judge(both(1.0, 1.0, [2.0, -1.5])).reasons == ("agreement_sentence<-1",)
    assert judge(both(1.0, 1.0)).reasons == ("agreement_sentence is NaN",)


@settings(max_examples=40)
@given(order=st.permutations(range(7)))
def test_partners_depend_on_the_set_of_pairs_and_have_another_report_of_the_same_domain(order):
    domains = ["chest_xray", "chest_xray", "pathology", "chest_xray", "pathology", "pathology", "chest_xray"]
    pairs = [a_pair(i, report=f"Report {i // 2}.", domain=domains[i]) for i in range(7)]
    found = partners([pairs[place] for place in order])
    assert {one: other.request.pair_index for one, other in found.items()} == {
        pairs[0].pair_id: 3, pairs[1].pair_id: 3, pairs[3].pair_id: 6, pairs[6].pair_id: 0,
        pairs[2].pair_id: 4, pairs[4].pair_id: 2, pairs[5].pair_id: 2,
    }  # fmt: skip


def test_a_partner_with_other_findings_comes_before_one_with_other_words():
    texts = ["No effusion.", "There is no pneumothorax.", "Pulmonary edema.", "No effusion is seen."]
    pairs = [a_pair(place, report=text) for place, text in enumerate(texts)]
    assert [partners(pairs)[pair.pair_id].request.pair_index for pair in pairs] == [2, 2, 3, 2]


def test_pairs_that_all_say_the_same_have_no_partner():
    assert partners([a_pair(0), a_pair(1)]) == {}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"samples": 4}, r"options.samples is not a known key. Known: max_false_positives, min_sentence"),
        ({"max_false_positives": 1.0}, r"max_false_positives is 1; give a share between 0 and 1"),
        ({"min_sentence": "low"}, r"min_sentence is 'low'; give a number"),
    ],
)
def test_wrong_options_are_refused(options, message):
    with pytest.raises(SpecError, match=message):
        KIND.filter_of(Rule(name="agreement", options=options))


def test_one_pair_in_three_of_each_domain_has_a_control_whatever_their_order():
    pairs = [make_pair(index) for index in range(9)]  # chest and pathology in turn

    def chosen(some, every=3):
        return [some[place].request.pair_index for place in one_in(every, some)]

    assert chosen(pairs) == chosen(pairs[::-1]) == [0, 1, 6, 7]
    assert chosen(pairs, 2) == [0, 1, 4, 5, 8]
    assert chosen(pairs[1:2]) == [1]
    assert chosen(pairs, 1) == list(range(9))
