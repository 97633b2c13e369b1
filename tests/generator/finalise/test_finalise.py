"""From committed shards to a finished dataset: what `data/`, manifest and card hold, twice the same."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shutil

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml

from medim_forge.generator.errors import StoreError
from medim_forge.generator.finalise.card import dataset_card
from medim_forge.generator.finalise.finalise import finalise
from medim_forge.generator.finalise.tally import Tally
from medim_forge.generator.finalise.view import build_data_view
from medim_forge.generator.plan.plan import make_plan, plan_record
from medim_forge.generator.plan.stored import claim_dataset
from medim_forge.generator.store.local import LocalStore
from medim_forge.generator.store.places import store_at
from medim_forge.generator.store.protocol import shard_folder
from tests.doubles.pairs import (
    commit_shard,
    commit_tiny,
    finish_tiny,
    make_facts,
    make_judged,
    make_pair,
    make_provenance,
    make_quarantined,
    make_spec,
    roomy_plan,
)


def data_rows(out):
    return [row for path in sorted((out / "data").iterdir()) for row in pq.read_table(path).to_pylist()]


def manifest(out):
    return json.loads((out / "manifest.json").read_text())


def test_data_holds_what_was_kept_in_order_and_each_content_once(tmp_path):
    finish_tiny(tmp_path)
    # Pair 5 was dropped, pair 8 repeats pair 0 of another shard, pair 11 could not be made.
    assert [row["pair_index"] for row in data_rows(tmp_path)] == [0, 1, 2, 3, 4, 6, 7, 9, 10]
    assert manifest(tmp_path)["counts"] == {
        "shards": 3, "pairs": 12, "kept": 10, "dropped": 1, "quarantined": 1,
        "duplicates": 1, "left_out": 0, "restored": 0, "data_rows": 9,
    }  # fmt: skip
    recorded = pq.read_table(shard_folder(tmp_path, 2) / "pairs.parquet").column("pair_index").to_pylist()
    assert recorded == [8, 9, 10]


def test_a_copy_has_the_same_image_and_the_same_report(tmp_path):
    spec = make_spec()
    claim_dataset(store_at(tmp_path), spec, {"model_sha256": make_facts().model_sha256})
    pair = make_pair(0)
    others = [
        dataclasses.replace(make_pair(2), image=pair.image),
        dataclasses.replace(make_pair(4), report=pair.report),
        dataclasses.replace(make_pair(6), image=pair.image, report=pair.report),
    ]
    commit_shard(tmp_path, spec, 0, [make_judged(pair)])
    commit_shard(tmp_path, spec, 1, [make_judged(other) for other in others])
    view = build_data_view(LocalStore(tmp_path), roomy_plan(2), make_provenance(), total_bytes=1)
    assert (view.rows, view.duplicates) == (3, 1)
    assert [row["pair_index"] for row in data_rows(tmp_path)] == [0, 2, 4]


def test_finalising_again_or_elsewhere_gives_the_same_bytes_but_for_the_run(tmp_path):
    finish_tiny(tmp_path / "a")
    spec = make_spec(output={"dir": "elsewhere"})
    finish_tiny(tmp_path / "b", spec)
    before = {path: path.read_bytes() for path in (tmp_path / "b").rglob("*") if path.is_file()}
    (tmp_path / "b" / "_SUCCESS").unlink()
    finalise(tmp_path / "b", spec, make_plan(spec), make_facts())
    (tmp_path / "b" / "_SUCCESS").touch()
    assert {path: path.read_bytes() for path in (tmp_path / "b").rglob("*") if path.is_file()} == before
    for name in ("README.md", "contact_sheet.png", "data/train-00000-of-00001.parquet", "plan.json"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes(), name
    first, second = manifest(tmp_path / "a"), manifest(tmp_path / "b")
    assert first.pop("run")
    assert second.pop("run")
    assert first == second


def test_data_remade_after_a_crash_replaces_what_lay_there(tmp_path):
    finish_tiny(tmp_path)
    expected = (tmp_path / "data" / "train-00000-of-00001.parquet").read_bytes()
    (tmp_path / "data" / "train-00000-of-00001.parquet").write_bytes(b"half")
    (tmp_path / "data" / "stray.parquet").write_bytes(b"old")
    spec = make_spec()
    finalise(tmp_path, spec, make_plan(spec), make_facts())
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["train-00000-of-00001.parquet"]
    assert (tmp_path / "data" / "train-00000-of-00001.parquet").read_bytes() == expected
    assert list((tmp_path / ".tmp").iterdir()) == []


def test_success_is_gone_while_the_dataset_is_being_finalised(tmp_path):
    finish_tiny(tmp_path)
    spec = make_spec()
    finalise(tmp_path, spec, make_plan(spec), make_facts())
    assert not (tmp_path / "_SUCCESS").exists()


def test_a_missing_shard_is_named_and_nothing_is_written(tmp_path):
    spec = commit_tiny(tmp_path)
    shutil.rmtree(shard_folder(tmp_path, 1))
    with pytest.raises(StoreError, match=r"000001: shard 1 is not committed; `medim run` makes"):
        finalise(tmp_path, spec, make_plan(spec), make_facts())
    assert not (tmp_path / "data").exists()
    assert not (tmp_path / "manifest.json").exists()


def test_a_shard_of_other_weights_is_refused(tmp_path):
    spec = commit_tiny(tmp_path)
    with pytest.raises(StoreError, match=r"model_sha256 is abab.*, the dataset's is cdcd"):
        finalise(tmp_path, spec, make_plan(spec), dataclasses.replace(make_facts(), model_sha256="cd" * 32))


def test_the_manifest_names_every_file_with_its_digest(tmp_path):
    finish_tiny(tmp_path)
    found = manifest(tmp_path)
    listed = {entry["path"]: entry for entry in found["files"]}
    there = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    assert there - set(listed) == {
        "manifest.json", "spec.yaml", "_SUCCESS", *(f"shards/{index:06d}/_shard.json" for index in range(3))
    }  # fmt: skip
    for path, entry in listed.items():
        content = (tmp_path / path).read_bytes()
        assert (len(content), hashlib.sha256(content).hexdigest()) == (entry["size"], entry["sha256"])


def test_the_manifest_says_what_was_asked_kept_and_why_not(tmp_path):
    finish_tiny(tmp_path)
    found = manifest(tmp_path)
    assert found["counts"] == {
        "shards": 3, "pairs": 12, "kept": 10, "dropped": 1, "quarantined": 1, "duplicates": 1,
        "left_out": 0, "restored": 0, "data_rows": 9,
    }  # fmt: skip
    assert found["rejects"] == {"report_form<0.5": 1}
    chest, pathology = found["kept_rate"]
    # The factory quarantines a chest row, so that there are seven of them.
    assert (chest["domain"], chest["asked"], chest["kept"]) == ("chest_xray", 7, 6)
    assert (pathology["domain"], pathology["asked"], pathology["kept"]) == ("pathology", 5, 4)
    assert found["versions"] == {"torch": "2.13.0"}
    assert found["sampling_mode"] == "corrected"
    assert [shard["index"] for shard in found["run"]["shards"]] == [0, 1, 2]
    assert found["run"]["shards"][0]["attempt"] == 1


def test_the_card_can_be_read_by_hugging_face_and_by_people(tmp_path):
    finish_tiny(tmp_path)
    _, head, body = (tmp_path / "README.md").read_text().split("---\n", 2)
    values = yaml.safe_load(head)
    assert values["configs"] == [
        {"config_name": "default", "data_files": [{"split": "train", "path": "data/*.parquet"}]}
    ]
    assert "synthetic" in values["tags"]
    assert values["license"] == "apache-2.0"
    assert values["size_categories"] == ["n<1K"]
    assert "may be used for diagnosis" in body
    assert "| dropped by the filters | 1 |" in body
    assert "| report_form<0.5 | 1 |" in body
    assert "- Embedded phantoms only: no patient data." in body
    assert "| `score_agreement` | float |" in body


def test_a_card_of_unknown_weights_claims_no_license(tmp_path):
    spec = make_spec(model={"checkpoint": "/data/medim"})
    finish_tiny(tmp_path, spec, dataclasses.replace(make_facts(), learned_from="unknown"))
    head = yaml.safe_load((tmp_path / "README.md").read_text().split("---\n", 2)[1])
    assert (head["license"], head["license_name"]) == ("other", "see-training-data-terms")


@pytest.mark.parametrize("side", ["image", "report"])
def test_a_card_of_given_data_names_their_terms_first_whatever_the_weights(tmp_path, side):
    spec = finish_tiny(tmp_path)
    plan, store = make_plan(spec), LocalStore(tmp_path)
    view = build_data_view(store, plan, make_provenance(), total_bytes=1)
    card = dataset_card(plan, plan, make_provenance(**{side: "given"}), Tally(), view, {})
    head = yaml.safe_load(card.split("---\n", 2)[1])
    assert (head["license"], head["license_name"]) == ("other", "see-terms-of-given-data")
    assert f"## Terms of the given {side}s" in card
    assert "identities were never attached" not in card
    # In which language given reports are is not known.
    assert ("language" in head) is (side == "image")


def test_a_dataset_with_nothing_kept_is_still_finished(tmp_path):
    spec = make_spec(prompts=[{"domain": "chest_xray", "pairs": 2}])
    plan = make_plan(spec)
    claim_dataset(store_at(tmp_path), spec, plan_record(plan, model_sha256=make_facts().model_sha256, versions={}))
    commit_shard(tmp_path, spec, 0, [make_judged(make_pair(0), reasons=("std<4",))], [make_quarantined(1)])
    finalise(tmp_path, spec, plan, make_facts())
    assert data_rows(tmp_path) == []
    assert (tmp_path / "contact_sheet.png").stat().st_size > 0


def test_row_groups_are_full_and_files_are_cut_by_size_whatever_the_shards_are(tmp_path):
    spec = make_spec()
    claim_dataset(store_at(tmp_path), spec, {"model_sha256": make_facts().model_sha256})
    random = np.random.default_rng(0)
    shape = make_judged(make_pair(0))
    total = 0
    for index, size in enumerate((1, 150, 0, 99, 150)):
        judged = []
        for number in range(size):
            image = random.integers(0, 256, (16, 16), np.uint8)
            request = dataclasses.replace(shape.pair.request, pair_index=1000 * index + number)
            pair = dataclasses.replace(shape.pair, image=image, request=request)
            judged.append(dataclasses.replace(shape, pair=pair))
        record = commit_shard(tmp_path, make_spec(output={"dir": "x", "dicom": None}), index, judged)
        total += sum(file.size for file in record.files if file.path == "pairs.parquet")
    whole = build_data_view(LocalStore(tmp_path), roomy_plan(5), make_provenance(), total_bytes=total)
    (path,) = (tmp_path / "data").iterdir()
    groups = pq.read_metadata(path)
    assert [groups.row_group(number).num_rows for number in range(groups.num_row_groups)] == [128, 128, 128, 16]
    rows = data_rows(tmp_path)
    cut = build_data_view(
        LocalStore(tmp_path), roomy_plan(5), make_provenance(), total_bytes=total, file_bytes=total // 2 + 1
    )
    assert (whole.rows, cut.rows) == (400, 400)
    assert [file.path for file in cut.files] == [f"data/train-{number:05d}-of-00002.parquet" for number in range(2)]
    assert [row["pair_index"] for row in data_rows(tmp_path)] == [row["pair_index"] for row in rows]
    tiny = build_data_view(LocalStore(tmp_path), roomy_plan(5), make_provenance(), total_bytes=total, file_bytes=1)
    assert len(tiny.files) == 4


def test_the_kept_rate_of_every_finding_counts_dropped_pairs_too(tmp_path):
    finish_tiny(tmp_path)
    found = {(one["domain"], one["name"]): one for one in manifest(tmp_path)["acceptance"] if one["kind"] == "finding"}
    dropped = pq.read_table(shard_folder(tmp_path, 1) / "_rejected.parquet").to_pylist()
    assert [row["pair_index"] for row in dropped] == [5]
    assert dropped[0]["findings_report"]
    lost = {one for one, counts in found.items() if counts["judged"] > counts["kept"]}
    assert lost == {("pathology", finding) for finding in dropped[0]["findings_report"]}
    assert all(found[one]["judged"] == found[one]["kept"] + 1 for one in lost)
    assert "| judged pairs | kept by their shard | in `data/` |" in (tmp_path / "README.md").read_text()


def test_pairs_are_counted_by_what_they_were_asked_for_in_the_shards_and_in_the_dataset(tmp_path):
    finish_tiny(tmp_path)
    found = {one["name"]: one for one in manifest(tmp_path)["acceptance"] if one["kind"] == "prompt"}
    counts = {name: (one["judged"], one["kept"], one["data"]) for name, one in found.items()}
    # Pair 5 was dropped, pair 8 is a copy, pair 11 was quarantined.
    assert counts == {"0": (6, 6, 5), "1": (5, 4, 4)}


def test_a_prompt_of_which_no_pair_could_be_made_is_in_card_and_manifest(tmp_path):
    spec = make_spec(prompts=[{"domain": "chest_xray", "pairs": 2}])
    plan = make_plan(spec)
    claim_dataset(store_at(tmp_path), spec, plan_record(plan, model_sha256=make_facts().model_sha256, versions={}))
    commit_shard(tmp_path, spec, 0, [], [make_quarantined(0), make_quarantined(1)])
    finalise(tmp_path, spec, plan, make_facts())
    found = {row["name"]: row for row in manifest(tmp_path)["acceptance"] if row["kind"] == "prompt"}
    assert (found["0"]["judged"], found["0"]["kept"], found["0"]["data"], found["0"]["share"]) == (0, 0, 0, 0.0)
    assert "| 0 | chest_xray | its opening words | 0 | 0 | 0 | 0.000 |" in (tmp_path / "README.md").read_text()
    assert "data/ is empty" in manifest(tmp_path)["warnings"][0]
