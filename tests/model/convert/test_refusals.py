"""Sources that do not fit: each is refused, naming what is wrong, and nothing is left behind."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from medim_forge.model.checkpoint import CheckpointError
from medim_forge.model.convert import convert
from tests.doubles.official_files import CONFIG, IMAGE, VOCAB, backbone_tensors, vqgan_tensors, vqgan_yaml, write_split


def edited(edit):
    tensors = backbone_tensors(VOCAB)
    edit(tensors)
    return tensors


FAULTS = {
    "missing": (lambda t: t.pop("model.layers.1.mlp.up_proj.weight"), r"layers\.1\.mlp\.up_proj\.weight is missing"),
    "missing embedding": (lambda t: t.pop("model.embed_tokens.weight"), r"embed_tokens\.weight is missing"),
    "missing layer": (
        lambda t: [t.pop(name) for name in list(t) if ".layers.0." in name],
        r"layers\.0\.self_attn\.q_proj\.weight is missing",
    ),
    "unexpected": (lambda t: t.update(extra=torch.zeros(1)), "extra is not a tensor of this model"),
    "wrong shape": (
        lambda t: t.update({"model.norm.weight": torch.zeros(3)}),
        r"norm\.weight is \(3,\), config says \(32,\)",
    ),
    "nan": (lambda t: t["model.norm.weight"].fill_(float("nan")), r"model\.norm\.weight holds values that are not fin"),
    "infinite": (lambda t: t["model.norm.weight"].fill_(float("inf")), r"model\.norm\.weight holds values that are n"),
    "integers": (lambda t: t.update({"model.norm.weight": torch.zeros(32, dtype=torch.int8)}), "must be float32"),
    "two names": (lambda t: t.update({"module.norm.weight": torch.zeros(32)}), r"both mean norm\.weight"),
    "stock Gemma": (
        lambda t: [t.pop(name) for name in list(t) if "adaLN" in name or "time_embedder" in name],
        "no adaLN_modulation tensor .* stock Gemma",
    ),
    "half the AdaLN": (lambda t: t.pop("model.layers.0.adaLN_modulation.bias"), r"adaLN_modulation\.bias is missing"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_backbone_that_does_not_fit_is_refused_naming_the_tensor(request_of, tmp_path, fault):
    edit, words = FAULTS[fault]
    save_file(edited(edit), tmp_path / "faulty.safetensors")
    with pytest.raises(CheckpointError, match=words):
        convert(request_of(backbone=tmp_path / "faulty.safetensors"), tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert not list(tmp_path.glob(".*partial*")), "something was left behind"


def test_values_that_float16_cannot_hold_are_refused(request_of, tmp_path):
    save_file(edited(lambda t: t["model.norm.weight"].fill_(1e6)), tmp_path / "large.safetensors")
    source = request_of(backbone=tmp_path / "large.safetensors", dtype="float16")
    with pytest.raises(CheckpointError, match=r"norm\.weight does not fit torch\.float16"):
        convert(source, tmp_path / "out")
    convert(dataclasses.replace(source, dtype="bfloat16"), tmp_path / "out")


@pytest.mark.parametrize(("name", "save"), [("model.safetensors", save_file), ("pytorch_model.bin", torch.save)])
def test_a_truncated_file_is_refused(request_of, tmp_path, name, save):
    save(backbone_tensors(VOCAB), tmp_path / name)
    data = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(data[: len(data) // 2])
    with pytest.raises(CheckpointError, match=r"(is the file whole|if the file is whole)"):
        convert(request_of(backbone=tmp_path / name), tmp_path / "out")


class Code:
    def __reduce__(self):
        return (Path, ("should never be made",))


def test_a_pickle_that_holds_code_is_not_run(request_of, tmp_path):
    torch.save({"model.norm.weight": torch.zeros(32), "more": Code()}, tmp_path / "evil.bin")
    with pytest.raises(CheckpointError, match=r"cannot be read as plain tensors .*save its state dict as safetensors"):
        convert(request_of(backbone=tmp_path / "evil.bin"), tmp_path / "out")


def test_folders_without_weights_say_what_is_there(request_of, tmp_path, files):
    with pytest.raises(CheckpointError, match=r"does not exist"):
        convert(request_of(backbone=tmp_path / "nowhere"), tmp_path / "out")
    with pytest.raises(CheckpointError, match=r"it has the folders checkpoint_510000: give one of them"):
        convert(request_of(backbone=files.backbone.parent), tmp_path / "out")
    with pytest.raises(CheckpointError, match=r"holds neither model\.safetensors .* There is: tokenizer\.json"):
        convert(request_of(backbone=files.tokenizer), tmp_path / "out")
    with pytest.raises(CheckpointError, match=r"is no weight file"):
        convert(request_of(backbone=files.vqgan / "vqgan.yaml"), tmp_path / "out")
    convert(request_of(), tmp_path / "ours")
    with pytest.raises(CheckpointError, match=r"is a checkpoint of this project already"):
        convert(request_of(backbone=tmp_path / "ours"), tmp_path / "out")
    with pytest.raises(CheckpointError, match=r"is this the official backbone\? There is: decoder"):
        convert(request_of(backbone=files.vqgan / "vqgan.ckpt"), tmp_path / "out")
    with pytest.raises(CheckpointError, match=r"is this the Chameleon VQGAN\? There is: model"):
        convert(request_of(vqgan=files.backbone / "model.safetensors"), tmp_path / "out")


def test_an_index_that_its_files_contradict_is_refused(request_of, tmp_path):
    folder = write_split(tmp_path / "form", save_file, "model", ".safetensors")
    index = folder / "model.safetensors.index.json"
    content = json.loads(index.read_text())
    content["weight_map"]["model.ghost"] = next(iter(content["weight_map"].values()))
    index.write_text(json.dumps(content))
    with pytest.raises(CheckpointError, match=r"disagree about model\.ghost"):
        convert(request_of(backbone=folder), tmp_path / "out")
    (folder / content["weight_map"]["model.ghost"]).unlink()
    with pytest.raises(CheckpointError, match=r"which is missing; get all files"):
        convert(request_of(backbone=folder), tmp_path / "out")
    index.write_text("{")
    with pytest.raises(CheckpointError, match=r"is no index of weight files"):
        convert(request_of(backbone=folder), tmp_path / "out")


def test_an_image_tokenizer_of_another_codebook_size_is_refused(request_of, tmp_path):
    other = dataclasses.replace(IMAGE, n_embed=32)
    torch.save({"state_dict": vqgan_tensors(sizes=other)}, tmp_path / "other.ckpt")
    source = request_of(vqgan=tmp_path / "other.ckpt", vqgan_yaml=(tmp_path / "other.yaml", vqgan_yaml(other)))
    with pytest.raises(CheckpointError, match=r"knows 588 ids, but .* 523, .* 32 codes.* must have 64 codes"):
        convert(source, tmp_path / "out")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"n_embed": 32}, "n_embed = 32, not 64"),
        ({"ddconfig": {**vqgan_yaml(IMAGE)["model"]["params"]["ddconfig"], "ch_mult": [1, 2]}}, "ch_mult = "),
        ({"ddconfig": {**vqgan_yaml(IMAGE)["model"]["params"]["ddconfig"], "attn_resolutions": [16]}}, "attn_resolut"),
        ({"ddconfig": {**vqgan_yaml(IMAGE)["model"]["params"]["ddconfig"], "resolution": 34}}, "34 pixels are no mul"),
    ],
)
def test_a_yaml_of_another_image_tokenizer_is_refused(request_of, tmp_path, files, change, words):
    content = vqgan_yaml(IMAGE)
    content["model"]["params"].update(change)
    with pytest.raises(CheckpointError, match=words):
        convert(request_of(vqgan_yaml=(files.vqgan / "vqgan.yaml", content)), tmp_path / "out")
    with pytest.raises(CheckpointError, match=r"has no model\.params"):
        convert(request_of(vqgan_yaml=(files.vqgan / "vqgan.yaml", {"model": {}})), tmp_path / "out")


def test_image_tokenizer_tensors_that_do_not_fit_are_named(request_of, tmp_path):
    tensors = vqgan_tensors()
    tensors["encoder.mid.attn_2.q.weight"] = torch.zeros(1)
    torch.save({"state_dict": tensors}, tmp_path / "more.ckpt")
    with pytest.raises(CheckpointError, match=r"encoder\.mid\.attn_2\.q\.weight is not a tensor of this model"):
        convert(request_of(vqgan=tmp_path / "more.ckpt"), tmp_path / "out")


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"num_hidden_layers": 28}, "num_hidden_layers = 28, tensors say 2"),
        ({"vocab_size": 264192}, "vocab_size = 264192, tensors say 588"),
        ({"hidden_activation": "relu"}, "hidden_activation = 'relu'"),
        ({"head_dim": 24}, "no multiples of heads of 24"),
        ({"medim": {"slots": 3}}, "may hold report_slots and nothing else"),
        ({"medim": {"report_slots": "x"}}, "is no number of slots"),
    ],
)
def test_a_config_of_another_model_is_refused(request_of, tmp_path, config, words):
    with pytest.raises(CheckpointError, match=words):
        convert(request_of(config={**CONFIG, **config}), tmp_path / "out")


def test_an_unknown_dtype_is_refused(request_of, tmp_path):
    with pytest.raises(CheckpointError, match="dtype 'float8' is none of"):
        convert(request_of(dtype="float8"), tmp_path / "out")
