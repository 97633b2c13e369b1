"""What the next round of a job is, and which balances are refused."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from medim_forge.generator.errors import SpecError
from medim_forge.generator.filters.observations import OBSERVATIONS
from medim_forge.generator.jobspec.balance import QuotaSection
from medim_forge.generator.plan.plan import make_plan
from medim_forge.generator.plan.strata import Stratum
from medim_forge.generator.selection.census import Census
from medim_forge.generator.selection.next_round import next_round
from tests.doubles.pairs import make_spec

AGAIN = [{"name": "agreement", "drop_below": 0.5, "action": "regenerate"}]


def census(plan, yields, data=None):
    found = Census()
    found.yields.update(yields)
    found.data.update(data or {})
    return found


NODULE = Stratum("finding", "chest_xray", "nodule")


def joint(quotas, budget=1000, **changes):
    prompts = [{"domain": "chest_xray", "pairs": 40}, {"domain": "chest_xray", "findings": ["nodule"], "pairs": 8}]
    return make_plan(make_spec(prompts=prompts, balance={"budget": budget, "quotas": quotas}, **changes))


def test_the_entry_that_yields_most_is_repeated_and_so_often_as_should_do():
    plan = joint([{"finding": "nodule", "kept": 20}])
    grown = next_round(plan, census(plan, {(0, NODULE): 4, (1, NODULE): 6}, {NODULE: 10}))
    repeats = grown.rounds[0].repeats
    # 10 are lacking, 3 more for chance, at (6 + 1/2) / (8 + 1) each: 18 pairs, and what fills the batch of 16.
    assert len(repeats) == 32
    assert set(repeats) == set(plan.of_entry(1))


def test_an_entry_that_asks_and_never_delivered_gives_way_to_one_that_delivers():
    plan = joint([{"finding": "nodule", "kept": 20}])
    grown = next_round(plan, census(plan, {(0, NODULE): 8}, {NODULE: 8}))
    assert set(grown.rounds[0].repeats) <= set(plan.of_entry(0))


def test_what_one_quota_brings_counts_for_the_next():
    quotas = [{"prompt": 1, "kept": 16}, {"finding": "nodule", "kept": 10}]
    plan, prompt = joint(quotas), Stratum("prompt", "chest_xray", "1")
    every = {(1, NODULE): 8, (1, prompt): 8}
    grown = next_round(plan, census(plan, every, {NODULE: 8, prompt: 8}))
    assert len(grown.rounds[0].repeats) == 16


def test_a_met_balance_and_a_spent_budget_give_no_round():
    met = joint([{"finding": "nodule", "kept": 2}, {"finding": "edema", "at_most": 1}])
    assert next_round(met, census(met, {}, {NODULE: 2})) is None
    spent = joint([{"finding": "nodule", "kept": 2}], budget=48)
    assert next_round(spent, census(spent, {})) is None


@example(wanted=[48, 48, 48], made=0, budget=49, again=0)
@example(wanted=[48, 48, 48], made=40, budget=50, again=0)
@given(
    wanted=st.lists(st.integers(1, 48), min_size=1, max_size=3),
    made=st.integers(0, 40),
    budget=st.integers(48, 400),
    again=st.integers(0, 20),
)
def test_a_round_never_passes_the_budget_or_doubles_the_job_and_repeats_planned_pairs_only(wanted, made, budget, again):
    names = ["nodule", "edema", "tube"]
    quotas = [{"finding": name, "kept": kept} for name, kept in zip(names, wanted, strict=False)]
    plan = joint(quotas, budget=budget)
    look = census(plan, {(0, NODULE): made}, {NODULE: made})
    look.open = np.arange(again)
    for _ in range(50):
        grown = next_round(plan, look)
        if grown is None:
            break
        last = grown.rounds[-1]
        assert 0 < len(last.repeats) <= budget - plan.pairs
        assert len(last.repeats) - last.replacements <= plan.pairs + plan.spec.sampling.batch_size
        assert set(last.repeats[: last.replacements]) <= set(look.open)
        assert np.bincount(last.repeats[: last.replacements], minlength=1).max() < plan.spec.balance.tries
        assert 0 <= last.repeats.min() <= last.repeats.max() < plan.planned
        plan = grown
    assert plan.pairs <= budget
    given_up = not made and 3 * (budget - plan.pairs) < plan.pairs
    assert plan.pairs == budget or len(plan.rounds) == 50 or made >= max(wanted) or given_up or len(wanted) > 1


@settings(max_examples=40)
@given(sizes=st.lists(st.integers(1, 11), max_size=4), planned=st.integers(1, 9))
def test_pairs_of_rounds_have_numbers_shards_and_requests_of_their_own(sizes, planned):
    prompts = [{"domain": "chest_xray", "pairs": planned}]
    plan = make_plan(make_spec(prompts=prompts, compute={"pairs_per_shard": 4}))
    for size in sizes:
        plan = plan.extended(np.arange(size, dtype=np.int64) % planned, size // 2)
    shards = list(plan)
    assert len(shards) == plan.shards == -(-planned // 4) + sum(-(-size // 4) for size in sizes)
    requests = [request for shard in shards for request in shard.requests]
    assert len(requests) == plan.pairs == planned + sum(sizes)
    indices = [one.pair_index for one in requests]
    assert indices == sorted(set(indices))
    for shard in shards:
        for request in shard.requests:
            assert plan.shard_of(request.pair_index) == shard.index
            assert plan.request(request.pair_index) == request
            assert plan.index_of(request.pair_id) == request.pair_index
            assert plan.entry(request.pair_index) == 0
    assert int(plan.entries()[0]) == plan.pairs
    assert sum(one.repeats is not None for one in requests) == sum(sizes)
    assert sum(plan.replaced(one) is None for one in indices) == sum(size - size // 2 for size in sizes)
    for missing in set(range(plan.shards * 4)) - set(indices):
        with pytest.raises(IndexError):
            plan.request(missing)
        with pytest.raises(SpecError):
            plan.index_of(f"{plan.spec_sha256[:8]}-{missing:07d}")


def test_labels_of_quotas_are_those_of_the_labeler():
    assert [QuotaSection(label=name, kept=1).label for name in OBSERVATIONS] == list(OBSERVATIONS)
    with pytest.raises(ValidationError, match=r"Input should be no_finding, .*, support_devices"):
        QuotaSection(label="effusion", kept=1)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"filters": [{"name": "image_stats", "action": "regenerate"}], "balance": {"budget": 20}},
            "nothing to act on",
        ),
        ({"filters": [{"name": "labels", "action": "keep"}]}, "nothing to act on"),
        ({"filters": [{"name": "duplicates", "drop_above": 0, "action": "keep"}]}, "never holds exact copies"),
        ({"balance": {"budget": 20, "quotas": [{"prompt": 0, "kept": 21}]}}, "kept = 21 is above budget = 20"),
        ({"balance": {"budget": 20, "quotas": [{"prompt": n, "kept": 11} for n in (0, 1)]}}, "want 22 pairs in all"),
        ({"filters": [{"name": "near_duplicates", "drop_above": 95}]}, "its score runs from 0 to 1"),
        ({"filters": [{"name": "near_duplicates", "drop_below": 0.9}]}, "would drop what is new"),
        ({"filters": AGAIN}, r"agreement has action: regenerate, which needs a bound"),
        ({"balance": {"budget": 20}}, "balance asks for nothing"),
        ({"balance": {"budget": 20, "quotas": [{"kept": 2}]}}, "names none of domain, finding, label and prompt"),
        (
            {"balance": {"budget": 20, "quotas": [{"finding": "tube", "prompt": 0, "kept": 2}]}},
            "names finding and prompt",
        ),
        ({"balance": {"budget": 20, "quotas": [{"finding": "tube"}]}}, "asks for nothing; give kept"),
        ({"balance": {"budget": 20, "quotas": [{"finding": "tube", "kept": 3, "at_most": 2}]}}, "at_most = 2 is below"),
        ({"balance": {"budget": 20, "quotas": [{"label": "pneumo", "kept": 3}]}}, r"label = 'pneumo' is not known"),
        ({"balance": {"budget": 20, "quotas": [{"prompt": 7, "kept": 3}]}}, "prompts has entries 0 to 1"),
        ({"balance": {"budget": 20, "quotas": [{"prompt": 0, "kept": 3}] * 2}}, "quotas names prompt 0 twice"),
    ],
)
def test_a_balance_that_cannot_be_meant_is_refused(changes, message):
    with pytest.raises(SpecError, match=message):
        make_spec(**changes)


@pytest.mark.parametrize(
    ("balance", "message"),
    [
        ({"budget": 11, "quotas": [{"prompt": 0, "kept": 3}]}, r"budget = 11 is below the 12 planned pairs"),
        (
            {"budget": 20, "quotas": [{"finding": "nodul", "kept": 3}]},
            r"quotas\[0\]\.finding: 'nodul'.*did you mean nodule",
        ),
    ],
)
def test_a_balance_that_the_plan_cannot_meet_is_refused(balance, message):
    with pytest.raises(SpecError, match=message):
        make_plan(make_spec(balance=balance))


def test_labels_are_refused_where_no_chest_report_is_made():
    prompts = [{"domain": "pathology", "pairs": 3}]
    with pytest.raises(SpecError, match="labels are of chest reports"):
        make_plan(make_spec(prompts=prompts, balance={"budget": 9, "quotas": [{"label": "edema", "kept": 1}]}))


@pytest.mark.parametrize(("task", "name"), [("report_to_image", "contradictions"), ("image_to_report", "image_stats")])
def test_making_again_what_is_given_is_refused(task, name):
    rule = {"name": name, "drop_above": 0, "action": "regenerate"}
    inputs = {"source": "phantoms", "domain": "chest_xray", "pairs": 3}
    changes = {"task": task, "prompts": [], "inputs": inputs, "filters": [rule], "balance": {"budget": 9}}
    with pytest.raises(SpecError, match=f"{name} has action: regenerate, but judges what task: {task} is given"):
        make_spec(**changes)


def test_a_quota_without_any_success_grows_slowly_and_is_given_up():
    plan, rounds = joint([{"finding": "edema", "kept": 100}], budget=400), []
    while (grown := next_round(plan, census(plan, {}))) is not None:
        rounds.append(grown.pairs - plan.pairs)
        plan = grown
    assert rounds[0] == 16
    assert all(size <= 16 + sum(rounds) for size in rounds)
    assert plan.pairs < 400
    assert 3 * (400 - plan.pairs) < plan.pairs


def test_an_entry_whose_own_quota_is_full_is_not_asked_for_more():
    plan = joint([{"prompt": 1, "at_most": 4}, {"finding": "nodule", "kept": 20}])
    full = {NODULE: 4, Stratum("prompt", "chest_xray", "1"): 4}
    grown = next_round(plan, census(plan, {(1, NODULE): 4}, full))
    assert set(grown.rounds[0].repeats) <= set(plan.of_entry(0))
    every = joint([{"prompt": n, "at_most": 4} for n in (0, 1)] + [{"finding": "nodule", "kept": 20}])
    entries = {Stratum("prompt", "chest_xray", str(n)): 4 for n in (0, 1)}
    assert next_round(every, census(every, {(1, NODULE): 4}, {NODULE: 4, **entries})) is None
