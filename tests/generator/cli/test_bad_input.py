"""What a job cannot work with ends it with exit code 1 and one line that says what, where and how to mend it."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from medim_forge.generator.cli import commands as cli
from medim_forge.generator.jobspec.generate import GenerateSpec
from medim_forge.generator.jobspec.load import to_yaml
from tests.doubles.tiny_jobs import tiny_job


@pytest.fixture
def refused(tmp_path, monkeypatch, capsys):
    """Runs a job that must not run; the error it ends with."""

    def run(spec: GenerateSpec) -> str:
        (tmp_path / "job.yaml").write_text(to_yaml(spec), encoding="utf-8")
        monkeypatch.setattr(sys, "argv", ["medim", "run", "--local", str(tmp_path / "job.yaml")])
        with pytest.raises(SystemExit) as leaving:
            cli.main()
        error = capsys.readouterr().err
        assert leaving.value.code == 1, error
        assert error.startswith("medim: ")
        assert "Traceback" not in error
        assert not (tmp_path / "out" / "_SUCCESS").exists()
        return error

    return run


@pytest.fixture
def damaged(tmp_path, tiny_checkpoint):
    """A copy of the tiny checkpoint, its backbone changed."""

    def make(change) -> Path:
        folder = shutil.copytree(tiny_checkpoint, tmp_path / "damaged")
        tensors = load_file(folder / "backbone.safetensors")
        change(tensors)
        save_file(tensors, folder / "backbone.safetensors")
        return folder

    return make


def test_an_output_folder_below_a_file_is_refused(refused, tmp_path, tiny_checkpoint):
    (tmp_path / "file").write_text("")
    error = refused(tiny_job(tmp_path / "file" / "out", tiny_checkpoint))
    assert f"{tmp_path / 'file' / 'out'}: cannot be written" in error
    assert "--out" in error


@pytest.mark.skipif(os.geteuid() == 0, reason="no folder is closed to root")
def test_an_output_folder_without_write_permission_is_refused(refused, tmp_path, tiny_checkpoint):
    (tmp_path / "closed").mkdir(mode=0o500)
    assert "cannot be written (Permission denied" in refused(tiny_job(tmp_path / "closed" / "out", tiny_checkpoint))


def test_a_missing_checkpoint_is_refused(refused, tmp_path):
    error = refused(tiny_job(tmp_path / "out", tmp_path / "nowhere"))
    assert "model.checkpoint" in error
    assert "nowhere' is not a folder" in error


def test_a_folder_that_is_no_checkpoint_is_refused(refused, tmp_path):
    (tmp_path / "empty").mkdir()
    assert "has no config.json" in refused(tiny_job(tmp_path / "out", tmp_path / "empty"))


def test_a_checkpoint_with_a_nan_is_refused_naming_the_tensor(refused, damaged, tmp_path):
    def spoil(tensors: dict[str, torch.Tensor]) -> None:
        tensors["embed_tokens.weight"][7, 3] = float("nan")

    error = refused(tiny_job(tmp_path / "out", damaged(spoil)))
    assert "backbone.safetensors" in error
    assert "embed_tokens.weight holds values that are not finite" in error


def test_a_checkpoint_without_one_of_its_tensors_is_refused_naming_it(refused, damaged, tmp_path):
    error = refused(tiny_job(tmp_path / "out", damaged(lambda tensors: tensors.pop("norm.weight"))))
    assert "norm.weight is missing" in error


def test_a_checkpoint_without_one_of_its_files_is_refused_naming_it(refused, tmp_path, tiny_checkpoint):
    folder = shutil.copytree(tiny_checkpoint, tmp_path / "damaged")
    (folder / "image_tokenizer_1.safetensors").unlink()
    assert "image_tokenizer_1.safetensors is missing" in refused(tiny_job(tmp_path / "out", folder))


def test_a_prompt_longer_than_the_report_slots_is_refused_naming_its_entry(refused, tmp_path, tiny_checkpoint):
    long = " ".join(["The lungs are unusually verbose today."] * 8)
    prompts = [{"domain": "pathology", "pairs": 1}, {"domain": "chest_xray", "text": long, "pairs": 1}]
    error = refused(tiny_job(tmp_path / "out", tiny_checkpoint, prompts=prompts))
    assert "prompts[1]" in error
    assert "does not fit the 24 report slots" in error
    assert "shorten it" in error


def test_official_sampling_of_the_embedded_model_is_refused(refused, tmp_path, tiny_checkpoint):
    error = refused(tiny_job(tmp_path / "out", tiny_checkpoint, sampling={"mode": "official"}))
    assert "sampling.mode: official needs an official checkpoint" in error


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has the device")
def test_a_device_that_is_not_there_is_refused(refused, tmp_path, tiny_checkpoint):
    error = refused(tiny_job(tmp_path / "out", tiny_checkpoint, model={"device": "cuda"}))
    assert "model.device" in error
