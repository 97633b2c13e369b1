"""What only the whole dataset can decide: near-copies in any shard, and false-positive rates."""

from dataclasses import replace

import numpy as np
import pytest

from medim_forge.generator.finalise.view import build_data_view
from medim_forge.generator.selection.policy import LEAST_CONTROLS, Calibration, calibrate, view_policy
from medim_forge.generator.selection.rows import control_rows
from medim_forge.generator.store import store_at
from tests.doubles.pairs import commit_shard, make_judged, make_pair, make_provenance, make_spec, near_copy, roomy_plan


@pytest.mark.parametrize("rate", [0.01, 0.05, 0.3])
def test_a_calibrated_threshold_is_passed_by_its_rate_of_wrong_pairs(rate):
    values = np.random.default_rng(0).normal(size=400).astype(np.float32)
    rows = [{"domain": "chest_xray", "score_agreement_shuffled": value} for value in values.tolist()]
    (found,) = calibrate(rows, rate).values()
    assert (found.rate, found.controls) == (rate, 400)
    assert (values >= np.float32(found.bound)).mean() == pytest.approx(rate)


def test_no_rate_is_told_from_few_controls():
    rows = [{"domain": "pathology", "score_agreement_shuffled": 0.5}] * (LEAST_CONTROLS - 1)
    assert calibrate(rows, 0.05)["pathology"] == Calibration(rate=0.05, controls=LEAST_CONTROLS - 1, bound=None)
    nothing = {"domain": "pathology", "score_agreement_shuffled": None}
    assert calibrate([nothing], 0.05)["pathology"].controls == 0


def scored(index, agreement, shuffled):
    judged = make_judged(make_pair(index, "chest_xray"))
    judged.verdict.scores.update(agreement=agreement, agreement_shuffled=shuffled)
    return judged


def view(folder, spec, shards):
    store = store_at(folder)
    policy = view_policy(spec, control_rows(store, shards))
    return build_data_view(store, roomy_plan(shards), make_provenance(), total_bytes=1, policy=policy)


def test_pairs_that_agree_no_better_than_wrong_ones_are_left_out_of_the_dataset(tmp_path):
    spec = make_spec(filters=[{"name": "agreement", "options": {"max_false_positives": 0.1}}])
    commit_shard(tmp_path, spec, 0, [scored(index, 0.0 if index % 5 else 2.0, index / 20) for index in range(20)])
    found = view(tmp_path, spec, 1)
    assert (found.rows, found.left_out) == (4, 16)
    (reason,) = found.reasons
    assert reason.startswith("agreement that mismatched pairs reach<0.85")


def test_near_copies_of_other_shards_are_left_out_where_the_job_asks_for_it(tmp_path):
    pairs = [make_pair(index) for index in range(6)]
    strict = make_spec(filters=[{"name": "near_duplicates", "drop_above": 0.9}])
    for spec, folder, rows in ((make_spec(), "lax", 8), (strict, "strict", 6)):
        commit_shard(tmp_path / folder, spec, 0, [make_judged(pair) for pair in pairs])
        copies = [make_judged(near_copy(pairs[place], 20 + place)) for place in (0, 2)]
        commit_shard(tmp_path / folder, spec, 1, copies)
        found = view(tmp_path / folder, spec, 2)
        assert (found.rows, found.left_out) == (rows, 8 - rows)


def test_a_near_copy_of_a_pair_that_was_dropped_stays(tmp_path):
    strict = make_spec(filters=[{"name": "near_duplicates", "drop_above": 0.9}])
    first = make_pair(0)
    dropped = make_judged(first)
    dropped = replace(dropped, verdict=replace(dropped.verdict, kept=False, reasons=("blank",)))
    commit_shard(tmp_path, strict, 0, [dropped, make_judged(near_copy(first, 20)), make_judged(near_copy(first, 21))])
    found = view(tmp_path, strict, 1)
    assert (found.rows, found.left_out) == (1, 1)
