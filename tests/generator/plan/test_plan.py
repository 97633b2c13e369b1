"""Plans: every pair once, the same ids and seeds however the job is cut and whoever runs it."""

from __future__ import annotations

import time
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medim_forge.generator.errors import SpecError
from medim_forge.generator.plan.plan import deal, make_plan, pair_seed, plan_record


def test_shards_hold_every_pair_once_in_order(spec):
    plan = make_plan(spec())
    assert (plan.pairs, plan.shards) == (8, 3)
    shards = list(plan)
    assert [shard.index for shard in shards] == [0, 1, 2]
    assert [len(shard.requests) for shard in shards] == [3, 3, 2]
    assert [request.pair_index for shard in shards for request in shard.requests] == list(range(8))
    assert len({request.pair_id for shard in shards for request in shard.requests}) == 8


def test_pair_ids_and_seeds_do_not_depend_on_shards_or_replicas(spec):
    plan = make_plan(spec())
    other = make_plan(spec(compute={"pairs_per_shard": 3, "replicas": 5, "max_retries": 0}))
    assert list(plan) == list(other)
    recut = make_plan(spec(compute={"pairs_per_shard": 4}))
    before, after = (
        [(request.pair_index, request.seed, request.prompt) for shard in made for request in shard.requests]
        for made in (plan, recut)
    )
    assert before == after


def test_pair_id_leads_back_to_the_pair(spec):
    plan = make_plan(spec())
    request = plan.request(5)
    assert request.pair_id == f"{plan.spec_sha256[:8]}-0000005"
    assert plan.index_of(request.pair_id) == 5
    assert request in plan.shard(plan.shard_of(5)).requests


@pytest.mark.parametrize(
    "wrong", ["x", "", "00000000-0000001", "{sha}-0000008", "{sha}-5", "{sha}--000005", "{sha}-000000\u0665"]
)
def test_foreign_pair_id_is_refused_naming_the_known_ones(spec, wrong):
    plan = make_plan(spec())
    with pytest.raises(SpecError, match="Its ids run from"):
        plan.index_of(wrong.format(sha=plan.spec_sha256[:8]))


@pytest.mark.parametrize("index", [-1, 3])
def test_shard_outside_the_plan_is_refused(spec, index):
    with pytest.raises(IndexError, match="shards 0 to 2"):
        make_plan(spec()).shard(index)


def test_pair_outside_the_plan_is_refused(spec):
    with pytest.raises(IndexError, match="the plan has 8 pairs in 3 shards"):
        make_plan(spec()).request(8)


@given(st.integers(0, 2**63 - 1), st.integers(0, 10**9))
def test_seed_has_63_bits_and_follows_from_job_seed_and_index(job_seed, index):
    seed = pair_seed(job_seed, index)
    assert 0 <= seed < 2**63
    assert seed == pair_seed(job_seed, index)
    assert seed != pair_seed(job_seed, index + 1)


def test_seed_is_the_documented_hash():
    # The first 8 bytes of sha256(b"7/3") are 653e83e7d95bb7be; another hash would orphan every dataset made before.
    assert pair_seed(7, 3) == 3647706739097066463


def test_neighbouring_job_seeds_share_no_pair_seed():
    assert not {pair_seed(1, index) for index in range(1000)} & {pair_seed(2, index) for index in range(1000)}


@given(st.lists(st.integers(1, 60), min_size=1, max_size=6), st.integers(2, 20))
def test_every_stretch_holds_each_entry_in_proportion(counts, size):
    dealt = deal(counts)
    total = sum(counts)
    assert Counter(dealt.tolist()) == Counter(dict(enumerate(counts)))
    for start in range(0, total - size + 1, size):
        stretch = Counter(dealt[start : start + size].tolist())
        for entry, count in enumerate(counts):
            assert abs(stretch[entry] - size * count / total) <= len(counts) + 1


def test_quickstart_like_job_has_both_domains_in_every_shard(spec):
    prompts = [{"domain": "chest_xray", "pairs": 40}, {"domain": "pathology", "pairs": 24}]
    plan = make_plan(spec(prompts=prompts, compute={"pairs_per_shard": 8}))
    for shard in plan:
        assert Counter(request.prompt.domain for request in shard.requests) == {"chest_xray": 5, "pathology": 3}


def test_order_within_an_entry_is_kept():
    dealt = deal([3, 3])
    np.testing.assert_array_equal(dealt, [0, 1, 0, 1, 0, 1])
    assert dealt.dtype == np.int32


def test_a_million_pairs_are_planned_in_a_second(spec):
    prompts = [{"domain": "chest_xray", "pairs": 700_000}, {"domain": "pathology", "pairs": 300_000}]
    started = time.process_time()
    plan = make_plan(spec(prompts=prompts, compute={"pairs_per_shard": 32}))
    last = plan.shard(plan.shards - 1)
    assert time.process_time() - started < 1.0
    assert last.requests[-1].pair_index == 999_999


def test_plan_record_pins_spec_weights_and_inputs(spec):
    plan = make_plan(spec())
    record = plan_record(plan, model_sha256="ab" * 32, versions={"torch": "2", "numpy": "1"})
    assert record["spec_sha256"] == spec().sha256
    assert record["model_sha256"] == "ab" * 32
    assert (record["pairs"], record["shards"], record["inputs"], record["words_sha256"]) == (8, 3, None, {})
    assert list(record["versions"]) == ["numpy", "torch"]


def test_wrong_filter_option_is_refused_before_anything_starts(spec):
    with pytest.raises(SpecError, match=r"jobs/small\.yaml: .*min_stdd"):
        make_plan(spec(filters=[{"name": "image_stats", "options": {"min_stdd": 3}}]))


def test_unknown_finding_is_refused_before_anything_starts(spec):
    with pytest.raises(SpecError, match=r"jobs/small\.yaml: prompts\[0\]"):
        make_plan(spec(prompts=[{"domain": "chest_xray", "findings": ["broken_rib"], "pairs": 1}]))
