"""Every job file does what it says, with its counts cut down."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml
from PIL import Image

from generator.spec import parse_spec

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
    from generator.job import run_job
    from generator.verify import verify

    spec = parse_spec(smaller(values(f"{name}.yaml", tmp_path / "out")), source=name)
    result = run_job(spec, local=True, **QUIET)
    assert result.kept + result.dropped == result.pairs > 0
    assert (tmp_path / "out" / "_SUCCESS").exists()
    rows = sum(
        pq.read_table(path, columns=["pair_id"]).num_rows for path in (tmp_path / "out" / "data").glob("*.parquet")
    )
    assert rows == result.data_rows == result.kept - result.duplicates
    verify(tmp_path / "out")
    with Image.open(tmp_path / "out" / "contact_sheet.png") as sheet:
        assert min(sheet.size) > 200


def test_the_training_job_makes_a_checkpoint(tmp_path, monkeypatch):
    from generator.training.job import run
    from model.checkpoint import load

    monkeypatch.setattr("generator.training.job.VALIDATION_ROWS", 8)
    job = values("train_phantom.yaml", tmp_path / "out", threads=1)
    few = {"chest_xray": 16, "pathology": 16}
    job["tokenizer"] = {**job["tokenizer"], "images": few, "steps": {"chest_xray": 2, "pathology": 2}, "batch": 2}
    stages = [{**stage, "steps": 2} for stage in job["backbone"]["stages"]]
    rows = {"chest_xray": 2, "pathology": 2}
    job["backbone"] = {**job["backbone"], "images": few, "rows": rows, "compile": False, "stages": stages}
    folder = run(parse_spec(job, source="train"), lambda event: None)
    assert load(folder).config.layout.image_slots == 144
    assert (tmp_path / "out" / "_SUCCESS").exists()


def test_the_augmentation_job_makes_a_table_and_a_plot(tmp_path):
    from generator.experiments.augment import run

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

    from generator.experiments.evaluate import run

    job = values("evaluate_phantom.yaml", tmp_path / "out", chest_pairs=4, pathology_pairs=4)
    job["probe"] = {"images": 64, "passes": 1}
    job["sampling"] = {"steps": 2, "text_steps": 4, "batch_size": 4}
    out = run(parse_spec(job, source="evaluate"), local=True, **QUIET)
    figures = json.loads((out / "evaluation.json").read_text(encoding="utf-8"))
    for section in figures["domains"].values():
        for task in ("joint", "report_to_image", "image_to_report"):
            assert 0 <= section[task]["macro_f1"] <= 1
            assert section[task]["n"] == 8
    assert "held-out phantoms" in (out / "README.md").read_text(encoding="utf-8")


def test_no_job_file_is_left_out():
    covered = {"quickstart", "cxr_pairs", "pathology_pairs", "report_to_image", "image_to_report"}
    covered |= {"train_phantom", "augment_phantom", "evaluate_phantom"}
    assert {name.removesuffix(".yaml") for name in FILES} == covered
