"""An evaluation answers for its own job only: by its spec, weights and versions, whatever lies in its folder."""

import json

import pytest

from medim_forge.generator.errors import StoreError
from medim_forge.generator.evaluation import job as evaluation
from medim_forge.generator.evaluation.probe import probe_settings
from medim_forge.generator.jobspec.load import parse_spec
from tests.doubles.tiny_checkpoint import write_tiny_checkpoint

QUIET = {"local": True, "on_event": lambda event: None}


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return write_tiny_checkpoint(tmp_path_factory.mktemp("weights") / "tiny")


def a_job(out, checkpoint, **changes):
    values = {
        "kind": "evaluate",
        "name": "small",
        "model": {"checkpoint": str(checkpoint)},
        "chest_pairs": 2,
        "pathology_pairs": 2,
        "sampling": {"steps": 1, "text_steps": 1, "batch_size": 2},
        "probe": {"images": 64, "passes": 1},
        "output": {"dir": str(out)},
    }
    return parse_spec(values | changes, source="small.yaml")


@pytest.fixture(scope="module")
def finished(tmp_path_factory, weights):
    return evaluation.run(a_job(tmp_path_factory.mktemp("evaluation") / "out", weights), **QUIET)


def content(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


@pytest.mark.slow
def test_a_finished_evaluation_is_reused_by_its_own_job(finished, weights, monkeypatch):
    figures = json.loads((finished / "evaluation.json").read_text())
    assert set(figures["domains"]) == {"chest_xray", "pathology"}
    assert all(section["joint"]["n"] == 4 for section in figures["domains"].values())
    before = content(finished)
    monkeypatch.setattr(evaluation, "run_job", None)
    assert evaluation.run(a_job(finished, weights), **QUIET) == finished
    assert content(finished) == before


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"probe": {"images": 65, "passes": 1}}, r"probe\.images: 64 -> 65"),
        ({"seed": 1}, "seed: 0 -> 1"),
        ({"chest_pairs": 3, "sampling_seeds": [1, 3]}, r"chest_pairs: 2 -> 3; sampling_seeds: \[1, 2\] -> \[1, 3\]"),
    ],
)
def test_the_result_of_another_job_is_refused_naming_what_differs(finished, weights, changes, named):
    with pytest.raises(StoreError, match=f"another spec.*{named}"):
        evaluation.run(a_job(finished, weights, **changes), **QUIET)


@pytest.mark.slow
def test_the_result_of_other_weights_under_the_same_name_is_refused(finished, weights, monkeypatch):
    monkeypatch.setattr("medim_forge.model.checkpoint.sha256", lambda folder: "f" * 64)
    with pytest.raises(StoreError, match="model_sha256"):
        evaluation.run(a_job(finished, weights), **QUIET)


@pytest.mark.slow
def test_an_interrupted_evaluation_goes_on_and_ends_with_the_same_figures(finished, weights, tmp_path, monkeypatch):
    spec, made = a_job(tmp_path / "out", weights), []

    def interrupted(job, **options):
        if len(made) == 3:
            raise KeyboardInterrupt
        made.append(evaluation_job(job, **options))

    evaluation_job = evaluation.run_job
    monkeypatch.setattr(evaluation, "run_job", interrupted)
    with pytest.raises(KeyboardInterrupt):
        evaluation.run(spec, **QUIET)
    assert not (tmp_path / "out" / "evaluation.json").exists()
    monkeypatch.undo()
    # A probe of other settings, put there from elsewhere, is not used.
    probe = tmp_path / "out" / "probe_chest_xray.safetensors"
    evaluation.load_probe(probe).save(probe, {"images": 8000})
    out = evaluation.run(spec, **QUIET)
    assert probe_settings(probe)["images"] == 64
    assert (out / "evaluation.json").read_bytes() == (finished / "evaluation.json").read_bytes()


def test_a_folder_with_results_of_nobody_knows_what_is_refused(tmp_path, weights):
    (tmp_path / "evaluation.json").write_text("{}")
    (tmp_path / "_SUCCESS").touch()
    with pytest.raises(StoreError, match=r"holds _SUCCESS, evaluation\.json but no spec\.yaml"):
        evaluation.run(a_job(tmp_path, weights), **QUIET)


def test_how_the_pairs_are_made_is_passed_on(tmp_path, weights, monkeypatch):
    class StoppedError(Exception):
        pass

    def run_job(job, *, local, on_event):
        raise StoppedError(local)

    monkeypatch.setattr(evaluation, "run_job", run_job)
    monkeypatch.setattr(evaluation, "_probe", lambda *given: None)
    monkeypatch.setattr(evaluation, "_tokenizer_figures", lambda *given: {})
    for local in (True, False):
        with pytest.raises(StoppedError, match=str(local)):
            evaluation.run(a_job(tmp_path / str(local), weights), local=local, on_event=lambda event: None)
