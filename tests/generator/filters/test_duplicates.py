"""Copies within a shard: the first by pair index stays, whatever the order of judging."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medim_forge.generator.filters import build_judge
from medim_forge.generator.filters.duplicates import mark_duplicates, report_sha256
from medim_forge.generator.plan.plan import make_plan
from medim_forge.generator.records import Judged, ReplicaFacts
from medim_forge.generator.shards.make import run_shard
from medim_forge.generator.similarity import sign
from tests.doubles.bare_pairs import REPORT, Job, Rule, a_pair, noise

JUDGE = build_judge(Job())
OTHER = "There is a left pleural effusion."


def judged(index, content, report=REPORT):
    pair = a_pair(index, image=noise(content), report=report)
    return Judged(pair=pair, verdict=JUDGE(pair), signature=sign(pair))


def outcome(marked):
    return {one.pair.request.pair_index: (one.verdict.kept, one.verdict.scores["duplicates"]) for one in marked}


def test_a_later_copy_is_dropped_with_its_reason_and_the_first_is_untouched():
    first, copy, new = judged(0, 7), judged(1, 7), judged(2, 8)
    marked = mark_duplicates([first, copy, new])
    assert marked[0] == first
    assert marked[2] == new
    assert marked[1].verdict.reasons == ("duplicates>0",)
    assert not marked[1].verdict.kept
    assert marked[1].verdict.scores["duplicates"] == 1.0


def test_the_same_image_with_another_report_is_no_copy():
    assert all(one.verdict.kept for one in mark_duplicates([judged(0, 7), judged(1, 7, OTHER)]))


def test_case_and_spacing_of_the_report_do_not_make_a_pair_new():
    assert not mark_duplicates([judged(0, 7), judged(1, 7, f"  {REPORT.upper()}\n")])[1].verdict.kept


def test_other_reasons_are_kept_beside_the_copy():
    blank = np.zeros((8, 8), dtype=np.uint8)
    pairs = [a_pair(index, image=blank) for index in (0, 1)]
    marked = mark_duplicates([Judged(pair=pair, verdict=JUDGE(pair), signature=sign(pair)) for pair in pairs])
    assert marked[1].verdict.reasons == ("image_stats<1 (std)", "duplicates>0")


def test_the_job_can_keep_copies_and_still_sees_them_scored():
    marked = mark_duplicates([judged(0, 7), judged(1, 7)], Rule(name="duplicates", drop_above=1.0))
    assert outcome(marked) == {0: (True, 0.0), 1: (True, 1.0)}


@given(contents=st.lists(st.integers(0, 3), max_size=8), order=st.randoms(use_true_random=False))
def test_the_order_of_judging_changes_no_outcome(contents, order):
    pairs = [judged(index, content) for index, content in enumerate(contents)]
    shuffled = list(pairs)
    order.shuffle(shuffled)
    marked = mark_duplicates(shuffled)
    assert [one.pair for one in marked] == [one.pair for one in shuffled]
    assert outcome(marked) == outcome(mark_duplicates(pairs))
    assert sum(one.verdict.kept for one in marked) == len(set(contents))


def test_images_of_another_shape_with_the_same_bytes_differ():
    flat = noise(shape=(4, 9))
    pair, square, columns = (a_pair(image=image) for image in (flat, flat.reshape(6, 6), np.asfortranarray(flat)))
    assert pair.pixels_sha256 != square.pixels_sha256
    assert pair.pixels_sha256 == columns.pixels_sha256


@pytest.mark.parametrize(("one", "other", "same"), [("A b.", "a  b.", True), ("a b.", "ab.", False)])
def test_reports_hash_by_their_words(one, other, same):
    assert (report_sha256(one) == report_sha256(other)) is same


def test_a_shard_drops_its_copies_and_counts_the_reason(spec, tmp_path):
    class TwinReplica:
        facts = ReplicaFacts(model_sha256="ab" * 32, device="cpu", versions={})

        def generate(self, shard):
            return [replace(a_pair(image=noise(1)), request=request) for request in shard.requests]

    job = spec()
    record = run_shard(make_plan(job).shard(0), job, TwinReplica(), build_judge(job), [], tmp_path)
    assert (record.counts.pairs, record.counts.kept, record.counts.dropped) == (3, 1, 2)
    assert record.counts.rejects == {"duplicates>0": 2}
