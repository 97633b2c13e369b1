"""What pairs of a shard are to each other."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medim_forge.generator.shards.compare import mark_near, related
from medim_forge.generator.similarity.nearest import NearIndex
from medim_forge.generator.similarity.signature import hex_of, phash, phash_of, sign
from tests.doubles.pairs import make_facts, make_judged, make_pair, make_spec, near_copy


def compared(judged, replica):
    return related(judged, make_spec(), replica)


class Shuffling:
    facts = make_facts()

    def __init__(self):
        self.asked = []

    def generate(self, shard):
        raise NotImplementedError

    def shuffled(self, pairs, others):
        self.asked = [(pair.pair_id, other.pair_id) for pair, other in zip(pairs, others, strict=True)]
        return [float(pair.request.pair_index) for pair in pairs]


class Plain:
    facts = make_facts()

    def generate(self, shard):
        raise NotImplementedError


def test_a_near_copy_is_near_and_another_is_not():
    pairs = [make_pair(index) for index in range(6)]
    judged = [make_judged(pair) for pair in (*pairs, near_copy(pairs[0], 20), near_copy(pairs[1], 21))]
    scores = [item.verdict.scores["near_duplicates"] for item in mark_near(judged, make_spec())]
    assert scores[0] == scores[1] == 0
    assert max(scores[:6]) < 0.9
    assert min(scores[6:]) > 0.9


def test_near_copies_are_compared_by_what_the_job_names_and_none_is_dropped_here():
    pair = make_pair(0)
    other = replace(near_copy(pair, 2), report="Quite another text.")
    judged = [make_judged(pair), make_judged(other)]

    def near(**options):
        rule = {"name": "near_duplicates", "drop_above": 0.9, "options": options}
        found = mark_near(judged, make_spec(filters=[rule]))
        assert all(item.verdict.kept for item in found)
        return [item.verdict.scores["near_duplicates"] > 0.9 for item in found]

    assert near() == [False, False]
    assert near(by="image") == [False, True]
    assert near(by="report") == [False, False]


@settings(max_examples=15)
@given(order=st.permutations(range(6)))
def test_relations_depend_on_the_set_of_pairs(order):
    judged = [make_judged(make_pair(index)) for index in range(5)]
    judged.append(make_judged(near_copy(make_pair(0), 8)))
    straight = {item.pair.pair_id: item.verdict for item in compared(judged, Shuffling())}
    shuffled = {item.pair.pair_id: item.verdict for item in compared([judged[place] for place in order], Shuffling())}
    assert {name: repr(value) for name, value in straight.items()} == {
        name: repr(value) for name, value in shuffled.items()
    }


def test_mismatched_pairs_are_scored_by_replicas_that_can():
    judged = [make_judged(make_pair(index)) for index in range(4)]
    replica = Shuffling()
    found = compared(judged, replica)
    assert [item.verdict.scores["agreement_shuffled"] for item in found] == [0, 1, 2, 3]
    ids = [item.pair.pair_id for item in judged]
    assert set(replica.asked) == {(ids[0], ids[2]), (ids[2], ids[0]), (ids[1], ids[3]), (ids[3], ids[1])}
    before = [item.verdict.scores["agreement_shuffled"] for item in judged]
    assert [item.verdict.scores["agreement_shuffled"] for item in compared(judged, Plain())] == before


def test_pathology_is_compared_by_embedding():
    first, second = make_pair(1), make_pair(3)
    grid = np.linspace(-1, 1, 16).astype(np.float16)
    index = NearIndex()
    index.add(sign(replace(first, embedding=grid)))
    same = index.nearest(sign(replace(second, embedding=grid + np.float16(0.5))))
    other = index.nearest(sign(replace(first, embedding=grid**2)))
    assert same.image == pytest.approx(1, abs=1e-3)
    assert other.image == pytest.approx(0, abs=1e-2)
    assert index.nearest(sign(replace(make_pair(1, "chest_xray"), report=first.report, embedding=grid))).both == 0


def test_an_index_grows_past_its_first_block():
    index, rng = NearIndex(), np.random.default_rng(0)
    base = sign(make_pair(0))
    for _ in range(1500):
        index.add(replace(base, phash=rng.integers(0, 2**63, 4, dtype=np.uint64)))
    assert index.nearest(base).image < 0.75
    index.add(base)
    assert index.nearest(base).image == 1


def test_a_hash_survives_its_column():
    made = phash(make_pair(0).image)
    assert np.array_equal(phash_of(hex_of(made)), made)
    assert not math.isnan(float(made[0]))
