"""Published weights become a checkpoint folder: every accepted form gives the same tensors, every misfit is named."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file

from model import checkpoint
from model.checkpoint import CheckpointError
from model.convert import Request, convert
from model.medim import Medim
from tests.official_files import CONFIG, IMAGE, backbone_tensors, vqgan_tensors, vqgan_yaml, write_official_files

VOCAB = 523 + 1 + 64
OURS = {name.removeprefix("model."): value for name, value in backbone_tensors(VOCAB).items()}


@pytest.fixture
def files(tmp_path):
    return write_official_files(tmp_path / "official")


@pytest.fixture
def request_of(files):
    def make(**changes):
        path = files.vqgan / "vqgan.yaml"
        usual = {
            "backbone": files.backbone,
            "tokenizer": files.tokenizer,
            "vqgan": files.vqgan / "vqgan.ckpt",
            "vqgan_yaml": (path, yaml.safe_load(path.read_text())),
            "config": CONFIG,
        }
        return Request(**{**usual, **changes})

    return make


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
    by_role = {role: {one["file"]: one["sha256"] for one in listed} for role, listed in made["sources"].items()}
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


def split(folder, save, stem, end):
    """The weights in two files with an index, as large checkpoints are saved."""
    folder.mkdir()
    tensors = backbone_tensors(VOCAB)
    names = sorted(tensors)
    where = {name: f"{stem}-0000{1 + (number >= 10)}-of-00002{end}" for number, name in enumerate(names)}
    for file in sorted(set(where.values())):
        save({name: tensors[name] for name in names if where[name] == file}, folder / file)
    (folder / f"{stem}{end}.index.json").write_text(json.dumps({"metadata": {}, "weight_map": where}))
    return folder


def write_form(form, folder):
    """One of the forms in which the official code, or those who use it, leave weights."""
    tensors = backbone_tensors(VOCAB)
    if form == "sharded safetensors":
        return split(folder, save_file, "model", ".safetensors")
    if form == "safetensors without their index":
        split(folder, save_file, "model", ".safetensors")
        (folder / "model.safetensors.index.json").unlink()
        return folder
    if form == "sharded bin":
        return split(folder, torch.save, "pytorch_model", ".bin")
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
    digest = convert(request_of(shard_bytes=40_000), out)
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
    folder = split(tmp_path / "form", save_file, "model", ".safetensors")
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


def test_the_embedded_folder_still_has_a_single_file_without_conventions(tmp_path):
    folder = Path(shutil.copytree(checkpoint.resolve("phantom"), tmp_path / "phantom"))
    text = (folder / "config.json").read_text()
    assert "conventions" not in text
    assert checkpoint.read_config(folder).to_json() == text
