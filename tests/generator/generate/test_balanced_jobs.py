"""Jobs that make more than they planned: in `data/` is what was asked for."""

from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from medim_forge.generator.audit.status import status
from medim_forge.generator.audit.verify import verify
from medim_forge.generator.cli.text import status_text
from medim_forge.generator.finalise.manifest import read_manifest
from medim_forge.generator.finalise.refilter import refilter
from medim_forge.generator.generate.job import run_job
from medim_forge.generator.phantoms import draw
from medim_forge.generator.plan.plan import make_plan
from medim_forge.generator.plan.rounds import with_rounds
from medim_forge.generator.plan.stored import stored_plan
from medim_forge.generator.plan.strata import Stratum
from medim_forge.generator.selection.census import take_census
from medim_forge.generator.store.places import store_at
from medim_forge.generator.store.protocol import SUCCESS
from tests.doubles.toy_jobs import AGAIN, QUOTAS, rows_of, run
from tests.doubles.toy_replica import SHUFFLING, fired, set_faults, toy_job


def balance_of(spec):
    return read_manifest(store_at(Path(spec.output.dir)))["balance"]


def test_every_pair_that_such_a_filter_drops_is_made_again_until_one_passes(tmp_path):
    spec = toy_job(tmp_path, filters=AGAIN, balance={"budget": 80})
    result = run(spec)
    rows = rows_of(spec)
    places = [row.pair_index if row.repeats is None else row.repeats for row in rows]
    assert sorted(places) == list(range(8))
    assert Counter(row.domain for row in rows) == {"chest_xray": 5, "pathology": 3}
    assert all(row.agreement >= 0.5 for row in rows)
    assert any(row.repeats is not None for row in rows)
    assert result.rounds == len(balance_of(spec)["rounds"]) > 1
    assert (result.counts.pairs, result.data_rows) == (balance_of(spec)["made"], 8)
    assert len({row.seed for row in rows}) == 8
    verify(spec.output.dir)


def test_a_pair_that_another_filter_drops_too_is_made_again_and_one_that_only_others_drop_is_not(tmp_path):
    filters = [*AGAIN, {"name": "labels", "drop_above": 1}]
    spec = toy_job(tmp_path, filters=filters, balance={"budget": 900, "tries": 100}, sampling={"batch_size": 1})
    run(spec)
    out = Path(spec.output.dir)
    plan, tries = stored_plan(store_at(out)), {}
    for name in ("pairs", "_rejected"):
        for path in sorted(out.glob(f"shards/*/{name}.parquet")):
            for row in pq.read_table(path).to_pylist():
                reasons = " ".join(row.get("reasons") or [])
                tries.setdefault(plan.replaced(row["pair_index"]), {})[row["pair_index"]] = reasons
    assert sorted(tries) == list(range(8))
    ends = [reasons[max(reasons)] for reasons in tries.values()]
    assert {"", "labels>1"} <= set(ends)
    assert not any("agreement" in one for one in ends)
    assert any("agreement" in one and "labels" in one for reasons in tries.values() for one in reasons.values())


@pytest.mark.parametrize("task", ["report_to_image", "image_to_report"])
def test_given_inputs_are_tried_again_and_keep_their_row(tmp_path, task):
    inputs = {"source": "phantoms", "domain": "chest_xray", "pairs": 7, "seed": 3}
    spec = toy_job(tmp_path, task=task, prompts=[], inputs=inputs, filters=AGAIN, balance={"budget": 80})
    run(spec)
    rows = rows_of(spec)
    assert sorted(row.pair_index if row.repeats is None else row.repeats for row in rows) == list(range(7))
    if task == "report_to_image":
        assert all(row.report == plan_report(spec, row) for row in rows)


def plan_report(spec, row):
    from medim_forge.generator.inputs.load import load_inputs

    plan = make_plan(spec)
    place = row.pair_index if row.repeats is None else row.repeats
    loaded, _ = load_inputs(spec, plan.shard(plan.shard_of(place)))
    return next(one.given_report for one in loaded.requests if one.pair_index == place)


@pytest.mark.slow
def test_quotas_of_findings_labels_and_prompts_are_met_in_data(tmp_path):
    quotas = [*QUOTAS["quotas"], {"label": "pneumothorax", "kept": 6}]
    spec = toy_job(
        tmp_path, filters=[{"name": "agreement", "drop_below": 0.0}], balance={"budget": 400, "quotas": quotas}
    )
    result = run(spec)
    rows = rows_of(spec)
    assert sum("nodule" in row.findings_report for row in rows) >= 5
    assert sum(row.domain == "pathology" for row in rows) >= 9
    assert sum(row.scores["label_pneumothorax"] == 1 for row in rows) >= 6
    assert all(one["met"] for one in balance_of(spec)["quotas"])
    assert result.warnings == ()
    assert result.counts.pairs < 400


def test_so_many_pairs_of_a_domain_can_be_asked_for(tmp_path):
    balance = {"budget": 200, "quotas": [{"domain": "chest_xray", "kept": 12, "at_most": 12}]}
    spec = toy_job(tmp_path, filters=[{"name": "agreement", "drop_below": 0.0}], balance=balance)
    run(spec)
    rows = rows_of(spec)
    assert sum(row.domain == "chest_xray" for row in rows) == 12
    left = pq.read_table(Path(spec.output.dir) / "left_out.parquet").to_pylist()
    kept = {row["pair_id"] for path in Path(spec.output.dir).glob("shards/*/pairs.parquet") for row in rows_in(path)}
    assert {row["pair_id"] for row in left} == kept - {row.pair_id for row in rows}
    assert {reason for row in left for reason in row["reasons"]} <= {"domain chest_xray has its 12"}


def rows_in(path):
    return pq.read_table(path, columns=["pair_id"]).to_pylist()


def test_copies_do_not_count_for_a_quota(tmp_path):
    phantom = next(one for seed in range(9) if (one := draw("chest_xray", seed)).findings)
    pq.write_table(pa.table({"report": [phantom.report] * 2}), tmp_path / "inputs.parquet")
    inputs = {"source": "parquet", "path": str(tmp_path / "inputs.parquet"), "domain": "chest_xray"}
    finding = min(phantom.findings)
    near = [{"name": "near_duplicates", "drop_above": 0.5, "options": {"by": "report"}}, {"name": "agreement"}]
    balance = {"budget": 9, "quotas": [{"finding": finding, "kept": 2}]}
    spec = toy_job(tmp_path, task="report_to_image", prompts=[], inputs=inputs, filters=near, balance=balance)
    result = run(spec)
    assert (result.counts.kept, result.data_rows, result.counts.pairs) == (9, 1, 9)
    warning, _ = result.warnings
    assert warning.startswith(f"quota finding {finding}: 1 of 2 pairs")
    assert f"**Mind:** {warning}" in (Path(spec.output.dir) / "README.md").read_text()


def test_the_budget_ends_a_job_whose_quota_it_cannot_meet_and_the_job_succeeds(tmp_path):
    balance = {"budget": 31, "quotas": [{"prompt": 0, "kept": 25}, {"finding": "nodule", "kept": 25}]}
    spec = toy_job(tmp_path, filters=[{"name": "agreement", "drop_below": 0.0}], balance=balance)
    result = run(spec)
    assert result.counts.pairs == 31
    assert len(result.warnings) == 2
    assert result.warnings[0].startswith("quota prompt 0: ")
    assert (Path(spec.output.dir) / SUCCESS).exists()
    assert "31 done, 0 left" in status_text(status(spec.output.dir))


def test_no_more_than_at_most_come_into_data_and_the_first_ones_stay(tmp_path):
    plain = toy_job(tmp_path / "plain", tmp_path / "weights", filters=[{"name": "agreement"}])
    run(plain)
    balance = {"budget": 8, "quotas": [{"prompt": 0, "at_most": 2}]}
    spec = toy_job(tmp_path / "capped", tmp_path / "weights", filters=[{"name": "agreement"}], balance=balance)
    result = run(spec)
    chest = [row.pair_index for row in rows_of(plain) if row.domain == "chest_xray"]
    assert [row.pair_index for row in rows_of(spec) if row.domain == "chest_xray"] == chest[:2]
    assert result.left_out == {"prompt 0 has its 2": 3}
    assert result.rounds == 0


def test_a_filter_that_only_counts_drops_nothing_and_says_how_many_it_would_have(tmp_path):
    dropping = toy_job(tmp_path / "a", tmp_path / "weights", filters=[{"name": "agreement", "drop_below": 0.5}])
    rule = {"name": "agreement", "drop_below": 0.5, "action": "keep"}
    counting = toy_job(tmp_path / "b", tmp_path / "weights", filters=[rule])
    dropped = run(dropping).counts.dropped
    result = run(counting)
    assert (result.counts.dropped, result.data_rows) == (0, 8)
    assert dropped > 0
    assert read_manifest(store_at(counting.output.dir))["flagged"] == {"agreement<0.5": dropped}


@pytest.mark.slow
def test_rows_that_cannot_be_made_are_not_replaced_and_those_of_rounds_are_not_tried_for_ever(tmp_path):
    allowed = {"max_retries": 0, "max_quarantined": 9}
    spec = toy_job(tmp_path, filters=AGAIN, balance={"budget": 80}, compute=allowed)
    run(spec)
    again = next(row for row in rows_of(spec) if row.repeats is not None)
    spec = toy_job(tmp_path / "broken", tmp_path / "checkpoint", filters=AGAIN, balance={"budget": 80}, compute=allowed)
    set_faults(
        *[spec, {"at": "generate", "do": "row", "pair": 3}, {"at": "write", "do": "row", "pair": again.pair_index}]
    )
    result = run(spec)
    assert fired(spec)
    places = [row.pair_index if row.repeats is None else row.repeats for row in rows_of(spec)]
    assert sorted(places) == sorted(set(range(8)) - {3, again.repeats})
    assert result.counts.quarantined == 2


def test_a_place_that_nothing_can_fill_is_given_up_after_its_tries(tmp_path):
    reports = [draw("chest_xray", seed).report for seed in (1, 2, 2, 4)]
    pq.write_table(pa.table({"report": reports}), tmp_path / "in.parquet")
    inputs = {"source": "parquet", "path": str(tmp_path / "in.parquet"), "domain": "chest_xray"}
    near = {"name": "near_duplicates", "drop_above": 0.95, "options": {"by": "report"}, "action": "regenerate"}
    made = {"filters": [near, {"name": "agreement"}], "balance": {"budget": 1000, "tries": 5}, "inputs": inputs}
    spec = toy_job(tmp_path, task="report_to_image", prompts=[], sampling={"batch_size": 2}, **made)
    result = run(spec)
    assert (result.counts.pairs, result.data_rows) == (4 + 4, 3)
    assert result.rounds == 2
    assert result.warnings[0].startswith("data/ lacks 1 of 4 planned pairs")


def test_a_place_holds_one_pair_even_where_a_batch_of_tries_gives_several(tmp_path):
    filters = [{"name": "agreement", "drop_below": -0.5, "action": "regenerate"}]
    spec = toy_job(tmp_path, filters=filters, balance={"budget": 500, "tries": 40}, sampling={"batch_size": 16})
    result = run(spec)
    rows = rows_of(spec)
    places = [row.pair_index if row.repeats is None else row.repeats for row in rows]
    assert sorted(places) == list(range(8))
    assert result.rounds == 1
    assert result.left_out["another pair stands in its place"] > 5
    assert result.counts.pairs == 8 + 16


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_a_bound_that_moves_with_its_controls_never_leaves_a_place_with_two_pairs(tmp_path, seed):
    rule = {"name": "agreement", "options": {"max_false_positives": 0.3}, "action": "regenerate"}
    prompts = [{"domain": "chest_xray", "pairs": 40}]
    made = {"filters": [rule], "prompts": prompts, "balance": {"budget": 400}, "compute": {"pairs_per_shard": 8}}
    spec = toy_job(tmp_path, tmp_path / "weights", seed=seed, **made)
    run_job(spec, local=True, on_event=lambda event: None, parts=SHUFFLING)
    rows = rows_of(spec)
    places = [row.pair_index if row.repeats is None else row.repeats for row in rows]
    assert len(set(places)) == len(places)
    assert read_manifest(store_at(Path(spec.output.dir)))["calibration"][0]["controls"] > 40


def test_other_quotas_are_applied_to_a_finished_dataset_without_its_inputs(tmp_path):
    pq.write_table(
        pa.table({"report": [draw("chest_xray", seed).report for seed in range(6)]}), tmp_path / "in.parquet"
    )
    inputs = {"source": "parquet", "path": str(tmp_path / "in.parquet"), "domain": "chest_xray"}

    def job(**changes):
        filters = [{"name": "agreement"}]
        made = {"task": "report_to_image", "prompts": [], "inputs": inputs, "filters": filters, **changes}
        return toy_job(tmp_path, tmp_path / "weights", **made)

    spec = job()
    run(spec)
    (tmp_path / "in.parquet").unlink()
    findings = Counter(finding for row in rows_of(spec) for finding in row.findings_report)
    finding, count = findings.most_common(1)[0]
    assert count > 1
    found = refilter(spec.output.dir, job(balance={"budget": 6, "quotas": [{"finding": finding, "at_most": 1}]}))
    assert found.data_rows == 6 - count + 1
    assert sum(finding in row.findings_report for row in rows_of(spec)) == 1
    refilter(spec.output.dir, spec)
    assert len(rows_of(spec)) == 6
    verify(spec.output.dir)


@pytest.mark.slow
def test_the_census_is_that_of_the_data_view_whatever_the_policy(tmp_path):
    filters = [
        {"name": "agreement", "drop_below": -0.8, "options": {"max_false_positives": 0.6}, "action": "regenerate"},
        {"name": "near_duplicates", "drop_above": 0.6, "options": {"by": "report"}},
    ]
    quotas = [*QUOTAS["quotas"], {"label": "no_finding", "at_most": 2}]
    balance = {"budget": 150, "quotas": quotas}
    prompts = [{"domain": "chest_xray", "pairs": 30}, {"domain": "pathology", "pairs": 10}]
    spec = toy_job(tmp_path, filters=filters, balance=balance, prompts=prompts, compute={"pairs_per_shard": 8})
    run_job(spec, local=True, on_event=lambda event: None, parts=SHUFFLING)
    store = store_at(spec.output.dir)
    manifest = read_manifest(store)
    assert {one.split("<")[0].split(">")[0] for one in manifest["left_out"]} >= {
        "agreement that mismatched pairs reach",
        "near_duplicates",
        "label no_finding has its 2",
    }
    found = take_census(store, with_rounds(make_plan(spec), store))
    rows = rows_of(spec)
    named = Counter(Stratum("finding", row.domain, finding) for row in rows for finding in row.findings_report)
    assert {one: count for one, count in found.data.items() if one.kind == "finding"} == named
    there = {Stratum(one["kind"], one["domain"], one["name"]): one["data"] for one in manifest["acceptance"]}
    assert {one: count for one, count in there.items() if count} == found.data
    assert sum(found.yields[entry, one] for entry, one in found.yields if one.kind == "prompt") == len(rows)
