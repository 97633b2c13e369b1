"""All filters together under the policy of a job."""

import copy
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medim_forge.generator.errors import RowError, SpecError
from medim_forge.generator.filters import FILTERS, build_judge, drops_for_others, score_names
from medim_forge.generator.filters.threshold import stored
from tests.doubles.bare_pairs import REPORT, Job, Rule, a_pair

SCORES = score_names(Job())
STRICT = Job(
    filters=(
        Rule(name="agreement", drop_below=0.05),
        Rule(name="report_form", drop_below=0.5),
        Rule(name="image_stats", drop_below=1.0, options={"min_entropy": 4}),
    )
)


def test_every_filter_scores_every_pair_even_a_hopeless_one():
    pair = a_pair(image=np.zeros((8, 8), dtype=np.uint8), report="", agreement=math.nan)
    verdict = build_judge(STRICT)(pair)
    assert tuple(verdict.scores) == score_names(STRICT) == SCORES
    assert verdict.reasons == ("image_stats<1 (entropy,std)", "report_form<0.5", "agreement is NaN")


def test_a_good_pair_is_kept_with_all_scores_and_labels():
    verdict = build_judge(STRICT)(a_pair())
    assert verdict.kept
    assert not verdict.reasons
    assert tuple(verdict.scores) == SCORES
    assert set(verdict.labels) == {"findings_report"}


def test_score_names_are_unique_and_the_same_for_every_job():
    assert len(set(SCORES)) == len(SCORES)
    assert score_names(Job()) == score_names(STRICT)
    assert set(FILTERS) <= set(SCORES)


def test_thresholds_change_the_verdict_and_not_the_scores():
    pair = a_pair(agreement=0.01)
    lax, strict = build_judge(Job())(pair), build_judge(STRICT)(pair)
    assert lax.kept
    assert not strict.kept
    assert {**lax.scores} == pytest.approx({**strict.scores}, nan_ok=True)


def test_a_filter_that_raises_names_itself_and_the_pair():
    pair = a_pair(3, image=np.zeros((4, 4, 4), dtype=np.uint8))
    with pytest.raises(RowError, match=r"pair 0000abcd-0000003: filter image_stats failed on it: ValueError") as raised:
        build_judge(Job())(pair)
    assert raised.value.pair_id == pair.pair_id


def test_a_job_that_names_no_filter_drops_blank_images_and_empty_reports_only():
    blank = np.zeros((8, 8), dtype=np.uint8)
    verdict = build_judge(Job())(a_pair(image=blank, report="", agreement=math.nan))
    assert verdict.reasons == ("image_stats<1 (std)", "report_form<0.5")
    assert build_judge(Job())(a_pair(agreement=math.nan)).reasons == ()


def test_a_pair_is_dropped_for_others_where_the_rule_on_copies_drops_it():
    bounded = Job(filters=(Rule(name="near_duplicates", drop_above=0.5), Rule(name="fluency", drop_below=0.0)))
    lenient = Job(filters=(Rule(name="duplicates", drop_above=1.0),))
    scores = dict.fromkeys(SCORES, -1.0) | {"near_duplicates": 1.0}
    for job, dropped in ((Job(), True), (bounded, True), (lenient, False)):
        assert drops_for_others(job, scores | {"duplicates": 1.0}) is dropped
        assert not drops_for_others(job, scores | {"duplicates": 0.0})


def test_a_filter_named_without_bounds_only_scores():
    job = Job(filters=tuple(Rule(name=name) for name in FILTERS))
    assert build_judge(job)(a_pair(image=np.zeros((8, 8), dtype=np.uint8), report="", agreement=math.nan)).kept


def test_an_unknown_filter_is_refused_with_a_suggestion():
    with pytest.raises(SpecError, match=r"'agrement' is not a known filter \(did you mean agreement\?\)"):
        build_judge(Job(filters=(Rule(name="agrement"),)))


def test_a_filter_named_twice_is_refused():
    with pytest.raises(SpecError, match="agreement is named twice"):
        build_judge(Job(filters=(Rule(name="agreement"), Rule(name="agreement"))))


def measured(pair, image_agreement, fluency, sentences):
    return replace(pair, image_agreement=image_agreement, fluency=fluency, sentence_agreement=tuple(sentences))


REPORTS = st.one_of(
    st.sampled_from([REPORT, "", "___", "No effusion.", "There is an effusion. There is no effusion.", "\x00\n. ."]),
    st.text(max_size=60),
)
PAIRS = st.builds(
    measured,
    st.builds(
        a_pair,
        st.integers(0, 5),
        report=REPORTS,
        agreement=st.floats(),
        domain=st.sampled_from(["chest_xray", "pathology"]),
    ),
    st.floats(),
    st.floats(),
    st.lists(st.floats(), max_size=3),
)
BOUNDED = Job(filters=tuple(Rule(name=name, drop_below=0.0, drop_above=1.0) for name in FILTERS))


@given(pair=PAIRS)
def test_every_filter_scores_any_pair_and_no_nan_passes_a_bound(pair):
    verdict = build_judge(BOUNDED)(pair)
    assert tuple(verdict.scores) == SCORES
    for name in set(FILTERS) - {"duplicates", "near_duplicates"}:
        inside = 0.0 <= stored(verdict.scores[name]) <= 1.0
        assert inside != any(
            reason.startswith((f"{name}<", f"{name}>", f"{name} is NaN")) for reason in verdict.reasons
        )


@given(pairs=st.lists(PAIRS, max_size=5), order=st.randoms(use_true_random=False))
def test_a_verdict_depends_on_its_pair_alone(pairs, order):
    judge = build_judge(STRICT)
    alone = [repr(build_judge(STRICT)(copy.deepcopy(pair))) for pair in pairs]
    positions = list(range(len(pairs)))
    order.shuffle(positions)
    together = {position: repr(judge(pairs[position])) for position in positions}
    assert [together[position] for position in range(len(pairs))] == alone


@given(pair=PAIRS)
def test_judging_changes_nothing_in_the_pair(pair):
    before = copy.deepcopy(pair)
    build_judge(STRICT)(pair)
    assert repr(pair) == repr(before)
    assert np.array_equal(pair.image, before.image)
