"""Every job file does what it says, with its counts cut down."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml
from PIL import Image

from medim_forge.generator.jobspec.load import parse_spec

JOBS = Path(__file__).resolve().parents[1] / "jobs"
FILES = sorted(path.name for path in JOBS.glob("*.yaml"))
QUIET = {"on_event": lambda event: None}

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def values(name, out, **cut):
    job = yaml.safe_load((JOBS / name).read_text(encoding="utf-8"))
    job["output"]["dir"] = str(out)
    return {**job, **cut}


def smaller(job, pairs=3):
    """The generate job with a few pairs of everything that it asks for."""
    if "prompts" in job:
        job["prompts"] = [{**one, "pairs": pairs} for one in job["prompts"]]
    if job.get("inputs"):
        job["inputs"] = {**job["inputs"], "pairs": pairs}
    job["sampling"] = {**job.get("sampling", {}), "steps": 4, "text_steps": 8, "batch_size": 4}
    return job


@pytest.mark.parametrize("name", ["quickstart", "cxr_pairs", "pathology_pairs", "report_to_image", "image_to_report"])
def test_a_generate_job_makes_its_dataset(name, tmp_path):
    from medim_forge.generator.audit.verify import verify
    from medim_forge.generator.generate.job import run_job

    spec = parse_spec(smaller(values(f"{name}.yaml", tmp_path / "out")), source=name)
    result = run_job(spec, local=True, **QUIET)
    assert result.counts.kept + result.counts.dropped == result.counts.pairs > 0
    assert (tmp_path / "out" / "_SUCCESS").exists()
    rows = sum(
        pq.read_table(path, columns=["pair_id"]).num_rows for path in (tmp_path / "out" / "data").glob("*.parquet")
    )
    assert rows == result.data_rows == result.counts.kept - result.duplicates
    verify(tmp_path / "out")
    with Image.open(tmp_path / "out" / "contact_sheet.png") as sheet:
        assert min(sheet.size) > 200


def test_the_job_with_quotas_makes_rounds_within_its_budget(tmp_path):
    import json

    from medim_forge.generator.audit.verify import verify
    from medim_forge.generator.generate.job import run_job

    job = smaller(values("balanced_cxr.yaml", tmp_path / "out"))
    quotas = [{**one, "kept": 3} if "kept" in one else {**one, "at_most": 2} for one in job["balance"]["quotas"]]
    job["balance"] = {"budget": 16, "quotas": quotas}
    result = run_job(parse_spec(job, source="balanced_cxr"), local=True, **QUIET)
    balance = json.loads((tmp_path / "out" / "manifest.json").read_text(encoding="utf-8"))["balance"]
    assert 9 < result.counts.pairs == balance["made"] <= 16
    assert result.rounds == len(balance["rounds"]) > 0
    assert all(one["met"] for one in balance["quotas"]) or result.counts.pairs == 16
    verify(tmp_path / "out")


def medim_job(name, tmp_path, checkpoint, **sampling):
    """A job for the published weights, with tiny ones and a few pairs, on the CPU."""
    job = values(f"{name}.yaml", tmp_path / "out", model={"checkpoint": str(checkpoint)})
    if "prompts" in job:
        job["prompts"] = [{**one, "pairs": 2} for one in job["prompts"]]
    else:
        import pyarrow as pa

        images = [png(height, width) for height, width in ((40, 40), (30, 50), (64, 32))]
        pq.write_table(pa.table({"image": images}), tmp_path / "images.parquet")
        job["inputs"] = {**job["inputs"], "path": str(tmp_path / "images.parquet")}
    job["sampling"] = {**job["sampling"], "steps": 6, "batch_size": 2, **sampling}
    job["compute"] = {**job["compute"], "gpus_per_replica": 0, "pairs_per_shard": 2}
    job["filters"] = [{"name": "report_form"}]  # random weights finish no report
    return parse_spec(job, source=name)


def png(height, width):
    import io

    import numpy as np

    stream = io.BytesIO()
    pixels = np.random.default_rng(height).integers(0, 256, (height, width, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


@pytest.mark.parametrize("name", ["medim_cxr_pairs", "medim_pathology_pairs", "medim_image_to_report"])
@pytest.mark.parametrize("mode", ["official", "corrected"])
def test_a_job_for_the_published_weights_makes_its_dataset_and_carries_their_terms(
    name, mode, tmp_path, official_checkpoint
):
    import json

    from medim_forge.generator.audit.verify import verify
    from medim_forge.generator.generate.job import run_job

    spec = medim_job(name, tmp_path, official_checkpoint, mode=mode)
    result = run_job(spec, local=True, **QUIET)
    assert result.counts.pairs == result.counts.kept + result.counts.dropped + result.counts.quarantined
    assert result.counts.kept > 0
    out = tmp_path / "out"
    verify(out)
    manifest = json.loads((out / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["sampling_mode"] == mode
    terms = manifest["training_data_terms"]
    assert "MIMIC-CXR" in terms[0]
    assert all(term in (out / "README.md").read_text(encoding="utf-8") for term in terms)
    for path in [*(out / "data").glob("*.parquet"), *(out / "shards").glob("*/pairs.parquet")]:
        assert json.loads(pq.read_schema(path).metadata[b"training_data_terms"]) == terms
    table = pq.read_table(next((out / "data").glob("*.parquet")))
    for row in table.to_pylist():
        given = row["report"][: row["prompt_chars"]]
        assert row["prompt"] == given if row["task"] == "joint" else not given


def test_the_training_job_makes_a_checkpoint(tmp_path, monkeypatch):
    from medim_forge.generator.training.job import run
    from medim_forge.model.checkpoint import load

    monkeypatch.setattr("medim_forge.generator.training.job.VALIDATION_ROWS", 8)
    job = values("train_phantom.yaml", tmp_path / "out", threads=1)
    few = {"chest_xray": 16, "pathology": 16}
    job["tokenizer"] = {**job["tokenizer"], "images": few, "steps": {"chest_xray": 2, "pathology": 2}, "batch": 2}
    stages = [{**stage, "steps": 2} for stage in job["backbone"]["stages"]]
    rows = {"chest_xray": 2, "pathology": 2}
    job["backbone"] = {**job["backbone"], "images": few, "rows": rows, "compile": False, "stages": stages}
    folder = run(parse_spec(job, source="train"), lambda event: None)
    assert load(folder).config.layout.image_slots == 144
    assert set(load(folder).ranges) == {"chest_xray", "pathology"}
    assert (tmp_path / "out" / "_SUCCESS").exists()


def test_the_augmentation_job_makes_a_table_and_a_plot(tmp_path):
    from medim_forge.generator.augmentation.job import run

    job = values("augment_phantom.yaml", tmp_path / "out", seeds=5)
    job["real"] = {**job["real"], "pairs": 40, "test_pairs": 60}
    smaller(job["synthetic"]["generate"], pairs=8)
    out = run(parse_spec(job, source="augment"), local=True, **QUIET)
    arms = set(pq.read_table(out / "runs.parquet", columns=["arm"])["arm"].to_pylist())
    assert arms == {"real", "real_synthetic", "real_shuffled", "real_duplicated"}
    assert "macro F1" in (out / "summary.md").read_text(encoding="utf-8")
    with Image.open(out / "summary.png") as plot:
        assert min(plot.size) > 200


def test_the_evaluation_job_writes_figures_and_a_card(tmp_path):
    import json

    from medim_forge.generator.evaluation.job import run

    job = values("evaluate_phantom.yaml", tmp_path / "out", chest_pairs=2, pathology_pairs=2)
    job["probe"] = {"images": 64, "passes": 1}
    job["sampling"] = {"steps": 2, "text_steps": 2, "batch_size": 4}
    out = run(parse_spec(job, source="evaluate"), local=True, **QUIET)
    figures = json.loads((out / "evaluation.json").read_text(encoding="utf-8"))
    for section in figures["domains"].values():
        for task in ("joint", "report_to_image", "image_to_report"):
            assert 0 <= section[task]["macro_f1"] <= 1
            assert section[task]["n"] == 4
    assert "held-out phantoms" in (out / "README.md").read_text(encoding="utf-8")


def test_no_job_file_is_left_out():
    covered = {"quickstart", "cxr_pairs", "pathology_pairs", "report_to_image", "image_to_report"}
    covered |= {"balanced_cxr", "medim_cxr_pairs", "medim_pathology_pairs", "medim_image_to_report"}
    covered |= {"train_phantom", "augment_phantom", "evaluate_phantom"}
    assert {name.removesuffix(".yaml") for name in FILES} == covered
