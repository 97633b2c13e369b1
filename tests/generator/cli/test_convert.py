"""`medim convert`: what it prints, what it leaves, and how it fails."""

from __future__ import annotations

import shutil
import sys

import pytest
import yaml

from medim_forge.generator.cli import commands as cli
from medim_forge.model import checkpoint
from tests.doubles.official_files import IMAGE, vqgan_yaml, write_official_files


@pytest.fixture
def files(tmp_path):
    return write_official_files(tmp_path / "official")


@pytest.fixture
def convert(files, monkeypatch, tmp_path):
    """Run `medim convert` in this process; keyword arguments replace options. Its exit code."""

    def run(**changes):
        options = {
            "backbone": files.backbone,
            "tokenizer": files.tokenizer,
            "vqgan": files.vqgan,
            "config": files.config,
            "out": tmp_path / "out",
            **changes,
        }
        words = [word for name, value in options.items() if value for word in (f"--{name}", str(value))]
        monkeypatch.setattr(sys, "argv", ["medim", "convert", *words])
        with pytest.raises(SystemExit) as left:
            cli.main()
        return left.value.code

    return run


def test_three_sources_become_a_checkpoint_that_a_job_can_use(convert, tmp_path, capsys):
    assert convert(**{"device-text": "cuda:0", "terms": "Only here."}) == 0
    out = tmp_path / "out"
    shown = capsys.readouterr().out
    assert checkpoint.sha256(out) in shown
    assert f"model: {{checkpoint: {out}}}" in shown
    conventions = checkpoint.load(out).config.conventions
    assert conventions.conditioning_text(1024, 768) == (
        "Image Size: Width is tensor([1024], device='cuda:0') Height is tensor([768], device='cuda:0')."
    )
    assert checkpoint.training_data_terms(out) == ("Only here.",)


def test_the_terms_of_the_published_weights_are_the_default_and_fit_dicom(convert, tmp_path):
    assert convert() == 0
    terms = checkpoint.training_data_terms(tmp_path / "out")
    assert "MIMIC-CXR" in terms[0]
    assert "PathGen-1.6M" in terms[1]
    assert len(" ".join(terms)) < 900


def test_the_weight_file_of_the_image_tokenizer_may_be_named(convert, files, tmp_path):
    assert convert(vqgan=files.vqgan / "vqgan.ckpt") == 0
    assert checkpoint.read_config(tmp_path / "out").image_tokenizers == (IMAGE,)


def test_what_is_wrong_with_a_source_is_said_and_nothing_is_left(convert, files, tmp_path, capsys):
    assert convert(backbone=tmp_path / "nowhere") == 1
    assert "medim: backbone: " in capsys.readouterr().err
    shutil.copy(files.vqgan / "vqgan.ckpt", files.vqgan / "other.ckpt")
    assert convert() == 1
    assert "must hold one weight file (vqgan.ckpt), holds other.ckpt, vqgan.ckpt" in capsys.readouterr().err
    (files.vqgan / "other.ckpt").unlink()
    (files.vqgan / "vqgan.yaml").write_text(": [")
    assert convert() == 1
    assert "vqgan.yaml cannot be read" in capsys.readouterr().err
    (files.vqgan / "vqgan.yaml").write_text("[1]")
    assert convert() == 1
    assert "vqgan.yaml holds list, not a mapping" in capsys.readouterr().err
    (files.vqgan / "vqgan.yaml").write_text(yaml.safe_dump(vqgan_yaml(IMAGE)))
    files.config.write_text("{")
    assert convert() == 1
    assert "tiny.json cannot be read" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
