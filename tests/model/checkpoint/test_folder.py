"""Checkpoint folders: strict loading, one digest, and a model that makes pairs."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from medim_forge.generator.phantoms import OPENING, draw
from medim_forge.model import checkpoint
from medim_forge.model.config import ConfigError
from medim_forge.model.layout import LayoutError
from medim_forge.model.medim import Given, Medim
from medim_forge.model.text import TextError
from tests.doubles.samplings import sampling

BACKBONE = "backbone.safetensors"


@pytest.fixture
def folder(tiny_checkpoint, tmp_path):
    return Path(shutil.copytree(tiny_checkpoint, tmp_path / "checkpoint"))


@pytest.fixture(scope="module")
def model(tiny_checkpoint):
    return Medim.load(tiny_checkpoint)


def change(folder, edit):
    tensors = load_file(folder / BACKBONE)
    edit(tensors)
    save_file(tensors, folder / BACKBONE)


def test_what_was_saved_is_loaded(folder):
    loaded = checkpoint.load(folder)
    stored = load_file(folder / BACKBONE)
    assert all(torch.equal(tensor, stored[name].float()) for name, tensor in loaded.backbone.state_dict().items())
    assert not any(parameter.requires_grad for parameter in loaded.backbone.parameters())


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (lambda t: t.pop("norm.weight"), "norm.weight is missing"),
        (lambda t: t.update(extra=torch.zeros(1)), "extra is not a tensor of this model"),
        (lambda t: t.update({"norm.weight": torch.zeros(3)}), r"norm.weight is \(3,\), config says \(32,\)"),
        (lambda t: t["norm.weight"].fill_(float("nan")), "norm.weight holds values that are not finite"),
    ],
)
def test_a_tensor_that_does_not_fit_is_named(folder, edit, words):
    change(folder, edit)
    with pytest.raises(checkpoint.CheckpointError, match=words):
        checkpoint.load(folder)


def test_a_truncated_file_is_refused(folder):
    data = (folder / BACKBONE).read_bytes()
    (folder / BACKBONE).write_bytes(data[: len(data) // 2])
    with pytest.raises(checkpoint.CheckpointError, match="is the file whole"):
        checkpoint.load(folder)


@pytest.mark.parametrize("name", [BACKBONE, "image_tokenizer_1.safetensors", "tokenizer.json", "config.json"])
def test_a_missing_file_is_named(folder, name):
    (folder / name).unlink()
    with pytest.raises((checkpoint.CheckpointError, TextError), match=name):
        checkpoint.load(checkpoint.resolve(str(folder)))


def test_a_folder_that_is_no_checkpoint_is_refused(tmp_path):
    with pytest.raises(checkpoint.CheckpointError, match="is not a folder"):
        checkpoint.resolve(str(tmp_path / "nowhere"))
    with pytest.raises(checkpoint.CheckpointError, match=r"no config\.json"):
        checkpoint.resolve(str(tmp_path))


def test_an_unknown_config_key_is_named(folder):
    text = (folder / "config.json").read_text()
    (folder / "config.json").write_text(text.replace('"layers"', '"layer"', 1))
    with pytest.raises(ConfigError, match="layer is not a known key"):
        checkpoint.read_config(folder)


@pytest.mark.parametrize("name", [BACKBONE, "image_tokenizer_0.safetensors", "tokenizer.json", "config.json"])
def test_the_digest_covers_every_file(folder, name):
    before = checkpoint.sha256(folder)
    (folder / name).write_bytes((folder / name).read_bytes() + b"\n")
    assert checkpoint.sha256(folder) != before


def rows(count=4):
    domains = ("chest_xray", "pathology") * (count // 2)
    return [Given(domain=domain, seed=seed, opening=OPENING[domain]) for seed, domain in enumerate(domains)]


def make(model, given, **settings):
    return model.make(given, sampling(steps=3, text_steps=4, **settings), [OPENING[row.domain] for row in given])


def test_joint_pairs_have_their_domains_images_and_openings(model):
    for row, made in zip(rows(), make(model, rows()), strict=True):
        assert made.image.shape == ((96, 96) if row.domain == "chest_xray" else (96, 96, 3))
        assert made.image.dtype == np.uint8
        assert made.codes.shape == (144,)
        assert made.codes.max() < 512
        assert made.report.startswith(row.opening)
        assert np.isfinite([made.report_logprob, made.image_logprob, made.agreement]).all()


def test_openings_of_different_length_share_a_batch(model):
    longer = draw("chest_xray", 3).report.split(". ")
    opening = ". ".join(longer[:3]) + "."
    given = [*rows(), Given(domain="chest_xray", seed=9, opening=opening), rows()[0]]
    made = make(model, given)
    assert made[4].report.startswith(opening)
    assert made[0].report == made[5].report == make(model, [rows()[0], *given[1:]])[0].report


def test_a_given_report_and_a_given_image_are_kept(model):
    phantom = draw("pathology", 5)
    given = Given(domain="pathology", seed=1, report=phantom.report)
    (made,) = make(model, [given])
    assert made.report == phantom.report
    assert np.isnan(made.report_logprob)
    assert np.isfinite(made.image_logprob)
    given = Given(domain="pathology", seed=1, image=phantom.image, opening=OPENING["pathology"])
    (made,) = make(model, [given], order="image_first")
    assert np.array_equal(made.image, phantom.image)
    assert np.isnan(made.image_logprob)
    assert np.isfinite(made.report_logprob)


def test_what_does_not_fit_is_refused(model):
    with pytest.raises(TextError, match="does not fit the 24 report slots"):
        model.report_ids("x y z " * 20 + "x", whole=False)
    with pytest.raises(TextError, match="does not know"):
        model.report_ids("cardiomégalie", whole=False)
    with pytest.raises(LayoutError, match="mammogram"):
        model.tokenizer_of("mammogram")
    with pytest.raises(ValueError, match="this checkpoint takes"):
        model.encode_image(np.zeros((10, 10), np.uint8), "chest_xray")


@pytest.mark.parametrize("domain", ["chest_xray", "pathology"])
def test_reports_survive_the_report_tokenizer_one_id_a_sentence(model, domain):
    for seed in range(50):
        report = draw(domain, seed).report
        ids = model.text.encode(report)
        assert model.text.decode(ids) == report
        assert len(ids) - 1 == len([part for part in report.replace(":", ".").split(".") if part.strip()])
    assert model.text.decode(model.text.encode("The heart is a lonely hunter.")) == "The heart is a lonely hunter."
