"""A pair of a finished dataset is made again, alone, and compared; the toy replica makes it."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from PIL import Image

from medim_forge.generator.audit.reproduce import reproduce
from medim_forge.generator.cli.text import reproduced_text
from medim_forge.generator.errors import EnvironmentFault, QuarantineError, SpecError, StoreError, VerifyError
from medim_forge.generator.generate.job import JobResult, run_job
from medim_forge.generator.inputs.manifest import NAMES
from medim_forge.generator.inputs.places import find_images
from medim_forge.generator.jobspec.generate import GenerateSpec
from medim_forge.generator.phantoms import draw
from medim_forge.generator.store.protocol import shard_folder
from tests.doubles.toy_replica import PARTS, ToyReplica, set_faults, toy_job


def run(spec: GenerateSpec) -> JobResult:
    return run_job(spec, local=True, on_event=lambda event: None, parts=PARTS)


@pytest.fixture
def spec(tmp_path) -> GenerateSpec:
    return toy_job(tmp_path)


@pytest.fixture
def out(tmp_path) -> Path:
    return tmp_path / "out"


def pair_ids(out: Path, name: str) -> list[str]:
    return [
        pair_id
        for path in sorted(out.glob(f"shards/*/{name}"))
        for pair_id in pq.read_table(path)["pair_id"].to_pylist()
    ]


def test_a_pair_is_reproduced_with_all_other_shards_deleted(tmp_path, out):
    run(toy_job(tmp_path, output={"dir": str(out), "dicom": {}}))
    pair_id = pair_ids(out, "pairs.parquet")[-1]
    shard = int(pair_id.split("-")[1]) // 2
    for folder in (out / "shards").iterdir():
        if folder != shard_folder(out, shard):
            shutil.rmtree(folder)
    found = reproduce(out, pair_id, PARTS)
    assert found.pair_id == pair_id
    assert len(found.files) == 2
    assert "the same" in reproduced_text(found)


def test_a_dropped_pair_is_reproduced_too(spec, out):
    run(spec)
    assert reproduce(out, pair_ids(out, "_rejected.parquet")[0], PARTS).columns > 20


def test_a_near_copy_of_another_is_kept_by_its_shard_left_out_of_the_dataset_and_reproduced_alone(tmp_path, out):
    filters = [{"name": "near_duplicates", "drop_above": 0.0, "options": {"by": "report"}}]
    result = run(toy_job(tmp_path, filters=filters, output={"dir": str(out), "dicom": {}}))
    kept = pair_ids(out, "pairs.parquet")
    assert result.data_rows < len(kept)
    for pair_id in kept:
        assert reproduce(out, pair_id, PARTS).pair_id == pair_id


@pytest.mark.parametrize("where", ["shards/*/pairs.parquet", "data/*.parquet"])
def test_a_flipped_byte_in_a_png_makes_reproduce_fail_naming_the_pair(spec, out, where):
    run(spec)
    pair_id = pair_ids(out, "pairs.parquet")[0]
    shard = int(pair_id.split("-")[1]) // 2
    png = next(
        row["image"]["bytes"]
        for row in pq.read_table(shard_folder(out, shard) / "pairs.parquet").to_pylist()
        if row["pair_id"] == pair_id
    )
    path = next(file for file in sorted(out.glob(where)) if png in file.read_bytes())
    content = bytearray(path.read_bytes())
    content[content.index(png) + len(png) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(VerifyError, match=f"pair {pair_id}: its PNG in .* is damaged"):
        reproduce(out, pair_id, PARTS)


def test_reproduce_names_what_differs_when_the_replica_computes_otherwise(spec, out, monkeypatch):
    run(spec)
    pair_id = pair_ids(out, "pairs.parquet")[0]
    monkeypatch.setattr("tests.doubles.toy_replica.ToyReplica.make", lightened())
    with pytest.raises(VerifyError, match=f"pair {pair_id}: made again, it differs.*image_sha256"):
        reproduce(out, pair_id, PARTS)


def lightened():
    original = ToyReplica.make

    def pair(self, request):
        made = original(self, request)
        return replace(made, image=made.image ^ 1)

    return pair


def test_reproduce_refuses_other_weights(spec, out):
    run(spec)
    (Path(spec.model.checkpoint) / "weights").write_text("other")
    with pytest.raises(StoreError, match="other weights"):
        reproduce(out, pair_ids(out, "pairs.parquet")[0], PARTS)


def test_reproduce_of_a_pair_that_the_job_never_makes_is_a_clear_error(spec, out):
    run(spec)
    with pytest.raises(SpecError, match="is not a pair of toy"):
        reproduce(out, "00000000-0000001", PARTS)


def test_a_pair_of_a_given_image_is_reproduced_as_long_as_that_image_is_there(tmp_path, out):
    place = tmp_path / "given"
    place.mkdir()
    for number in range(4):
        Image.fromarray(draw("chest_xray", number).image).save(place / f"smith_{number}.png")
    inputs = {"source": "images", "path": str(place), "domain": "chest_xray"}
    run(toy_job(tmp_path, task="image_to_report", prompts=(), inputs=inputs))
    pair_id = next(pair_id for pair_id in pair_ids(out, "pairs.parquet") if pair_id.endswith(("2", "3")))
    # Others may go or come; names that were deleted are looked for again, and compared with the manifest.
    (place / "smith_0.png").unlink()
    assert reproduce(out, pair_id, PARTS).pair_id == pair_id
    (out / NAMES).unlink()
    find_images(str(place), "images", fresh=True)
    with pytest.raises(EnvironmentFault, match=r"row \d (was changed since the job was planned|is beyond)"):
        reproduce(out, pair_id, PARTS)


def test_reproduce_of_a_quarantined_row_says_why_there_is_nothing(spec, out):
    set_faults(spec, {"at": "generate", "do": "row", "pair": 3})
    with pytest.raises(QuarantineError):
        run(spec)
    plan = json.loads((out / "plan.json").read_text())
    with pytest.raises(VerifyError, match=r"was never made.*logits are NaN"):
        reproduce(out, f"{plan['spec_sha256'][:8]}-0000003", PARTS)
