"""Jobs that make more than they planned: the same bytes whatever happens, and in `data/` what was asked for."""

import json
import shutil
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from generator.balance import take_census
from generator.dataset import open_dataset
from generator.errors import DrainedError, QuarantineError, StoreError, VerifyError
from generator.growth import Growth
from generator.job import run_job
from generator.manifest import read_manifest
from generator.phantoms import draw
from generator.plan import make_plan
from generator.refilter import refilter
from generator.reproduce import reproduce
from generator.rounds import stored_plan, with_rounds
from generator.status import status
from generator.store import SUCCESS, committed, store_at
from generator.strata import Stratum
from generator.verify import verify
from tests.generator.toy_replica import PARTS, content_of, fired, set_faults, toy_job

AGAIN = [{"name": "agreement", "drop_below": 0.5, "action": "regenerate"}]
QUOTAS = {"budget": 120, "quotas": [{"finding": "nodule", "kept": 5}, {"prompt": 1, "kept": 9}]}


def run(spec, told=None):
    return run_job(spec, local=True, on_event=lambda event: (told or []).append(event.message), parts=PARTS)


def rows_of(spec):
    return list(open_dataset(spec.output.dir).rows())


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
    assert (result.pairs, result.data_rows) == (balance_of(spec)["made"], 8)
    assert len({row.seed for row in rows}) == 8
    verify(spec.output.dir)


def test_a_pair_that_another_filter_drops_too_is_made_again_and_one_that_only_others_drop_is_not(tmp_path):
    filters = [*AGAIN, {"name": "labels", "drop_above": 1}]
    spec = toy_job(tmp_path, filters=filters, balance={"budget": 80})
    run(spec)
    out = Path(spec.output.dir)
    plan, last = stored_plan(store_at(out)), {}
    for name in ("pairs", "_rejected"):
        for path in sorted(out.glob(f"shards/*/{name}.parquet")):
            for row in pq.read_table(path).to_pylist():
                place = plan.replaced(row["pair_index"])
                last[place] = max(last.get(place, (-1, [])), (row["pair_index"], row.get("reasons") or []))
    assert sorted(last) == list(range(8))
    reasons = [tuple(why) for _, why in last.values()]
    assert ("labels>1",) in reasons
    assert not any(one.startswith("agreement") for why in reasons for one in why)


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
    from generator.inputs import load_inputs

    plan = make_plan(spec)
    place = row.pair_index if row.repeats is None else row.repeats
    loaded, _ = load_inputs(spec, plan.shard(plan.shard_of(place)))
    return next(one.given_report for one in loaded.requests if one.pair_index == place)


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
    assert result.pairs < 400


def test_copies_do_not_count_for_a_quota(tmp_path):
    phantom = next(one for seed in range(9) if (one := draw("chest_xray", seed)).findings)
    pq.write_table(pa.table({"report": [phantom.report] * 2}), tmp_path / "inputs.parquet")
    inputs = {"source": "parquet", "path": str(tmp_path / "inputs.parquet"), "domain": "chest_xray"}
    finding = min(phantom.findings)
    near = [{"name": "near_duplicates", "drop_above": 0.5, "options": {"by": "report"}}, {"name": "agreement"}]
    balance = {"budget": 9, "quotas": [{"finding": finding, "kept": 2}]}
    spec = toy_job(tmp_path, task="report_to_image", prompts=[], inputs=inputs, filters=near, balance=balance)
    result = run(spec)
    assert (result.kept, result.data_rows, result.pairs) == (9, 1, 9)
    (warning,) = result.warnings
    assert warning.startswith(f"quota finding {finding}: 1 of 2 pairs")
    assert f"**Mind:** {warning}" in (Path(spec.output.dir) / "README.md").read_text()


def test_the_budget_ends_a_job_whose_quota_nothing_can_meet_and_the_job_succeeds(tmp_path):
    spec = toy_job(tmp_path, filters=[{"name": "agreement", "drop_below": 2.0}], balance={**QUOTAS, "budget": 31})
    result = run(spec)
    assert (result.pairs, result.data_rows) == (31, 0)
    assert len(result.warnings) == 2
    assert (Path(spec.output.dir) / SUCCESS).exists()
    assert "31 done, 0 left" in str(status(spec.output.dir))


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
    dropped = run(dropping).dropped
    result = run(counting)
    assert (result.dropped, result.data_rows) == (0, 8)
    assert dropped > 0
    assert read_manifest(store_at(counting.output.dir))["flagged"] == {"agreement<0.5": dropped}


def test_a_job_stopped_anywhere_makes_the_same_bytes_as_one_that_was_not(tmp_path):
    def job(name):
        folder = tmp_path / name
        return toy_job(folder, tmp_path / "weights", filters=AGAIN, balance=QUOTAS, compute={"max_retries": 0})

    whole = job("whole")
    run(whole)
    expected = content_of(Path(whole.output.dir))
    shards = len(committed(Path(whole.output.dir)))
    assert len(list(Path(whole.output.dir).glob("rounds/*.json"))) > 2
    spec, stops = job("stopped"), 0
    for stop in range(1, shards, 3):

        def interrupt(event, stop=stop):
            if event.kind == "committed" and event.shards_done >= stop:
                raise DrainedError("stopped")

        with pytest.raises(DrainedError):
            run_job(spec, local=True, on_event=interrupt, parts=PARTS)
        stops += 1
    run(spec)
    assert stops > 5
    assert content_of(Path(spec.output.dir)) == expected


def test_a_round_is_what_its_file_says_even_if_a_shard_before_it_was_lost_and_remade(tmp_path):
    spec = toy_job(tmp_path, filters=AGAIN, balance={"budget": 80})
    run(spec)
    out = Path(spec.output.dir)
    expected = content_of(out)
    for index in (0, 5):
        shutil.rmtree(out / "shards" / f"{index:06d}")
    (out / SUCCESS).unlink()
    run(spec)
    assert content_of(out) == expected


def test_a_round_that_another_driver_wrote_first_is_the_one_that_counts(tmp_path):
    spec = toy_job(tmp_path, filters=AGAIN, balance={"budget": 80})
    run(spec)
    out = Path(spec.output.dir)
    first = (out / "rounds" / "0001.json").read_bytes()

    class Silent:
        def grown(self, shards, pairs):
            self.last = shards, pairs

        def tell(self, kind, message):
            pass

    growth = Growth(store_at(out), make_plan(spec), Silent())
    shards = growth.more()
    assert (out / "rounds" / "0001.json").read_bytes() == first
    assert list(shards) == list(range(4, growth.plan.shards))
    assert growth.plan.rounds[0].repeats.tolist() == json.loads(first)["repeats"]


def test_a_pair_of_a_round_is_reproduced(tmp_path):
    spec = toy_job(tmp_path, filters=AGAIN, balance={"budget": 80})
    run(spec)
    again = next(row for row in rows_of(spec) if row.repeats is not None)
    assert reproduce(spec.output.dir, again.pair_id, PARTS).pair_id == again.pair_id


def test_a_round_file_that_was_changed_or_lost_is_noticed(tmp_path):
    spec = toy_job(tmp_path, filters=AGAIN, balance={"budget": 80})
    run(spec)
    path = Path(spec.output.dir) / "rounds" / "0001.json"
    text = path.read_text()
    path.write_text(text.replace('"repeats": [', '"repeats": [0, '))
    with pytest.raises(VerifyError, match=r"rounds/0001\.json: is not the file that was written"):
        verify(spec.output.dir)
    for broken in ("{", text.replace('"first_shard": 4', '"first_shard": 5'), text.replace("[", '["x", ')):
        path.write_text(broken)
        with pytest.raises(StoreError, match=r"rounds/0001\.json"):
            stored_plan(store_at(spec.output.dir))
    path.unlink()
    with pytest.raises(StoreError):
        status(spec.output.dir)


def test_rows_that_cannot_be_made_are_not_replaced(tmp_path):
    spec = toy_job(tmp_path, filters=AGAIN, balance={"budget": 80}, compute={"max_retries": 0})
    set_faults(spec, {"at": "generate", "do": "row", "pair": 3})
    with pytest.raises(QuarantineError):
        run(spec)
    assert fired(spec)
    places = [row.pair_index if row.repeats is None else row.repeats for row in rows_of(spec)]
    assert sorted(places) == [0, 1, 2, 4, 5, 6, 7]


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
    assert found.totals.data_rows == 6 - count + 1
    assert sum(finding in row.findings_report for row in rows_of(spec)) == 1
    refilter(spec.output.dir, spec)
    assert len(rows_of(spec)) == 6
    verify(spec.output.dir)


def test_the_census_is_that_of_the_data_view(tmp_path):
    spec = toy_job(tmp_path, filters=[{"name": "agreement", "drop_below": 0.0}], balance=QUOTAS)
    run(spec)
    store = store_at(spec.output.dir)
    found = take_census(store, with_rounds(make_plan(spec), store))
    rows = rows_of(spec)
    named = Counter(Stratum("finding", row.domain, finding) for row in rows for finding in row.findings_report)
    assert {one: count for one, count in found.data.items() if one.kind == "finding"} == named
    acceptance = read_manifest(store)["acceptance"]
    assert {
        Stratum(one["kind"], one["domain"], one["name"]): one["data"] for one in acceptance if one["data"]
    } == found.data
