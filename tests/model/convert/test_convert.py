"""Published weights become a checkpoint folder: every accepted form gives the same tensors, every misfit is named."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from medim_forge.model import checkpoint
from medim_forge.model.checkpoint import CheckpointError
from medim_forge.model.convert import convert
from medim_forge.model.medim import Medim
from tests.doubles.official_files import CONFIG, IMAGE, VOCAB, backbone_tensors, vqgan_tensors, write_split

OURS = {name.removeprefix("model."): value for name, value in backbone_tensors(VOCAB).items()}


def loaded(request, out):
    convert(request, out)
    return checkpoint.load(out)


def assert_same_backbone(found, wanted=None):
    state = found.backbone.state_dict()
    wanted = OURS if wanted is None else wanted
    assert set(state) == set(wanted)
    assert all(torch.equal(state[name], wanted[name]) for name in wanted)


def test_a_converted_folder_holds_every_tensor_and_loads(request_of, tmp_path):
    found = loaded(request_of(), tmp_path / "out")
    assert_same_backbone(found)
    image = found.image_tokenizers[0].state_dict()
    kept = {name: value for name, value in vqgan_tensors().items() if not name.startswith("loss.")}
    assert set(image) == set(kept)
    assert all(torch.equal(image[name], kept[name]) for name in kept)
    layout = found.config.layout
    assert (layout.report_vocab, layout.mask_id, layout.vocab) == (523, 523, VOCAB)
    assert (layout.boi_id, layout.eoi_id, layout.eos_id) == (520, 521, 522)
    assert (layout.report_slots, layout.image_slots) == (48, 64)
    assert found.config.image_tokenizers == (IMAGE,)
    assert found.config.backbone.tied


def test_the_card_names_every_source_with_its_sha256(request_of, tmp_path, files):
    convert(request_of(terms=("Only for research.",)), tmp_path / "out")
    made = json.loads((tmp_path / "out" / "card.json").read_text())
    by_role = {role: {file["file"]: file["sha256"] for file in listed} for role, listed in made["sources"].items()}
    assert {role: set(names) for role, names in by_role.items()} == {
        "backbone": {"model.safetensors"},
        "tokenizer": {"tokenizer.json"},
        "vqgan": {"vqgan.ckpt", "vqgan.yaml"},
    }
    text = (tmp_path / "out" / "README.md").read_text()
    assert all(digest in text for names in by_role.values() for digest in names.values())
    assert made["left_out"] == {"backbone": [], "image_tokenizer_losses": 2}
    assert checkpoint.training_data_terms(tmp_path / "out") == ("Only for research.",)
    assert "Only for research." in text


def rename(prefix):
    return {prefix + name: value for name, value in backbone_tensors(VOCAB).items()}


@pytest.mark.parametrize(
    "prefix", ["module.", "_orig_mod.", "backbone.", "module._orig_mod.backbone.", "module.module."]
)
def test_what_training_wraps_around_names_is_taken_off(request_of, tmp_path, prefix):
    save_file(rename(prefix), tmp_path / "wrapped.safetensors")
    assert_same_backbone(loaded(request_of(backbone=tmp_path / "wrapped.safetensors"), tmp_path / "out"))


def test_names_without_any_prefix_and_compiled_layers_are_understood(request_of, tmp_path):
    save_file(
        {name.replace("self_attn.", "_orig_mod.self_attn."): value for name, value in OURS.items()},
        tmp_path / "bare.safetensors",
    )
    assert_same_backbone(loaded(request_of(backbone=tmp_path / "bare.safetensors"), tmp_path / "out"))


def write_form(form, folder):
    """One of the forms in which the official code, or those who use it, leave weights."""
    tensors = backbone_tensors(VOCAB)
    if form == "sharded safetensors":
        return write_split(folder, save_file, "model", ".safetensors")
    if form == "safetensors without their index":
        write_split(folder, save_file, "model", ".safetensors")
        (folder / "model.safetensors.index.json").unlink()
        return folder
    if form == "sharded bin":
        return write_split(folder, torch.save, "pytorch_model", ".bin")
    folder.mkdir()
    if form == "bin folder":
        torch.save(tensors, folder / "pytorch_model.bin")
        return folder
    if form == "two bins without an index":
        names = sorted(tensors)
        torch.save({name: tensors[name] for name in names[:7]}, folder / "pytorch_model_0.bin")
        torch.save({name: tensors[name] for name in names[7:]}, folder / "pytorch_model_1.bin")
        return folder
    path = folder / "weights.pt"
    if form == "state_dict":
        torch.save({"state_dict": tensors, "step": 510000}, path)
    else:
        torch.save(tensors, path, _use_new_zipfile_serialization=False)
    return path


FORMS = [
    "sharded safetensors",
    "safetensors without their index",
    "sharded bin",
    "bin folder",
    "two bins without an index",
    "state_dict",
    "legacy pickle",
]


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_saved_weights_gives_the_same_model(request_of, tmp_path, form):
    source = write_form(form, tmp_path / "form")
    assert_same_backbone(loaded(request_of(backbone=source), tmp_path / "out"))


def test_a_head_that_equals_the_embedding_is_tied_and_another_is_kept(request_of, tmp_path):
    tensors = backbone_tensors(VOCAB)
    head = tensors["model.embed_tokens.weight"].clone()
    save_file({**tensors, "lm_head.weight": head}, tmp_path / "tied.safetensors")
    found = loaded(request_of(backbone=tmp_path / "tied.safetensors"), tmp_path / "tied")
    assert found.config.backbone.tied
    assert_same_backbone(found)
    assert json.loads((tmp_path / "tied" / "card.json").read_text())["left_out"]["backbone"] == ["lm_head.weight"]
    other = head + 1
    save_file({**tensors, "lm_head.weight": other}, tmp_path / "untied.safetensors")
    found = loaded(request_of(backbone=tmp_path / "untied.safetensors"), tmp_path / "untied")
    assert not found.config.backbone.tied
    assert_same_backbone(found, {**OURS, "lm_head.weight": other})


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16])
def test_half_precision_is_kept_or_widened_as_asked(request_of, tmp_path, kind):
    save_file({name: value.to(kind) for name, value in backbone_tensors(VOCAB).items()}, tmp_path / "half.safetensors")
    source = request_of(backbone=tmp_path / "half.safetensors")
    convert(source, tmp_path / "kept")
    assert {value.dtype for value in load_file(tmp_path / "kept" / "backbone.safetensors").values()} == {kind}
    convert(dataclasses.replace(source, dtype="float32"), tmp_path / "wide")
    assert_same_backbone(
        checkpoint.load(tmp_path / "wide"), {name: value.to(kind).float() for name, value in OURS.items()}
    )
    assert_same_backbone(
        checkpoint.load(tmp_path / "kept"), {name: value.to(kind).float() for name, value in OURS.items()}
    )


def test_large_weights_lie_in_several_files_that_load_and_count_for_the_digest(request_of, tmp_path):
    out = tmp_path / "out"
    digest = convert(request_of(file_bytes=40_000), out)
    shards = sorted(path.name for path in out.glob("backbone-*.safetensors"))
    assert len(shards) > 3
    assert shards[0] == f"backbone-00001-of-{len(shards):05d}.safetensors"
    assert all((out / name).stat().st_mode & 0o777 == 0o644 for name in shards)
    assert_same_backbone(checkpoint.load(out))
    assert digest == checkpoint.sha256(out)
    for name in (shards[1], "backbone.safetensors.index.json"):
        content = (out / name).read_bytes()
        (out / name).write_bytes(content + b" ")
        assert checkpoint.sha256(out) != digest
        (out / name).write_bytes(content)
    (out / shards[1]).unlink()
    with pytest.raises(CheckpointError, match=rf"{shards[1]}, which is missing"):
        checkpoint.load(out)


def test_without_a_yaml_the_resolution_is_the_official_one(request_of, tmp_path):
    with pytest.raises(CheckpointError, match="no multiples of heads of 256"):
        convert(request_of(vqgan_yaml=None, config={}), tmp_path / "out")
    found = loaded(request_of(vqgan_yaml=None), tmp_path / "out")
    assert found.config.image_tokenizers[0].resolution == 512
    assert found.config.layout.image_slots == 128 * 128


def test_the_given_config_decides_what_shapes_cannot_tell(request_of, tmp_path):
    given = {
        **CONFIG,
        "head_dim": 32,
        "rms_norm_eps": 1e-5,
        "rope_parameters": {"rope_theta": 5000.0},
        "hidden_size": 32,
    }
    sizes = loaded(request_of(config=given), tmp_path / "out").config.backbone
    assert (sizes.head_dim, sizes.heads, sizes.kv_heads) == (32, 1, 1)
    assert (sizes.norm_eps, sizes.rope_theta) == (1e-5, 5000.0)


def test_converted_weights_make_pairs_and_an_existing_folder_is_left_alone(request_of, tmp_path):
    out = tmp_path / "out"
    convert(request_of(), out)
    assert Medim.load(out).config.conventions.pad_color == (122, 116, 104)
    before = checkpoint.sha256(out)
    with pytest.raises(CheckpointError, match="is there already and not empty"):
        convert(request_of(), out)
    assert checkpoint.sha256(out) == before


def test_the_embedded_folder_still_has_a_single_file_without_conventions(tmp_path):
    folder = Path(shutil.copytree(checkpoint.resolve("phantom"), tmp_path / "phantom"))
    text = (folder / "config.json").read_text()
    assert "conventions" not in text
    assert checkpoint.read_config(folder).to_json() == text
