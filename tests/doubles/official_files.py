"""Weights in the formats of the official code, at tiny sizes: what `medim convert` is given."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
import yaml
from safetensors.torch import load_file, save_file
from torch import Tensor

from medim_forge.model.config import BackboneConfig, VqganConfig
from medim_forge.model.convert import OFFICIAL_TERMS, Request, convert
from medim_forge.model.convert.text import ADDED, report_tokenizer
from medim_forge.model.network import Backbone, Vqgan

SENTENCEPIECE = Path(__file__).resolve().parents[1] / "model" / "sentencepiece_tiny" / "tokenizer.model"
BACKBONE = BackboneConfig(
    hidden_size=32, intermediate_size=64, layers=2, heads=2, kv_heads=2, head_dim=16, time_features=32
)
IMAGE = VqganConfig(
    domains=("chest_xray", "pathology"), channels=3, resolution=32, ch=32, ch_mult=(1, 1, 2), num_res_blocks=1,
    z_channels=32, embed_dim=16, n_embed=64,
)  # fmt: skip
# Ids of the tokenizer, MASK, codes.
VOCAB = 523 + 1 + 64
# What the shapes of tiny weights cannot tell: published heads are 256 wide, and reports 256 slots long.
CONFIG = {"head_dim": 16, "medim": {"report_slots": 48}}


@dataclass(frozen=True, kw_only=True)
class OfficialFiles:
    """Where the sources lie.

    Attributes:
        backbone, tokenizer, vqgan: folders.
        config: a file for `--config`.
    """

    backbone: Path
    tokenizer: Path
    vqgan: Path
    config: Path


def write_official_files(folder: Path, *, seed: int = 0) -> OfficialFiles:
    """The three sources and a config; another seed gives other weights."""
    files = OfficialFiles(
        backbone=folder / "checkpoint_510000",
        tokenizer=folder / "tokenizer",
        vqgan=folder / "chameleon",
        config=folder / "tiny.json",
    )
    for one in (files.backbone, files.tokenizer, files.vqgan):
        one.mkdir(parents=True)
    files.config.write_text(json.dumps(CONFIG))
    slow = write_slow_tokenizer(folder / "slow")
    found, _ = report_tokenizer(slow)
    (files.tokenizer / "tokenizer.json").write_text(found.to_str())
    vocab = found.get_vocab_size() + 1 + IMAGE.n_embed
    save_file(backbone_tensors(vocab, seed), files.backbone / "model.safetensors")
    (files.backbone / "random_states_0.pkl").write_bytes(b"not weights")
    torch.save({"state_dict": vqgan_tensors(seed)}, files.vqgan / "vqgan.ckpt")
    (files.vqgan / "vqgan.yaml").write_text(yaml.safe_dump(vqgan_yaml(IMAGE)))
    return files


def write_converted(folder: Path, *, seed: int = 0, **changes: object) -> Path:
    """A checkpoint folder that was converted from such files; keyword arguments change the request."""
    files = write_official_files(folder / "official", seed=seed)
    tensors = load_file(files.backbone / "model.safetensors")
    save_file(without_bytes(tensors), files.backbone / "model.safetensors")
    sizes = files.vqgan / "vqgan.yaml"
    usual: dict[str, object] = {
        "backbone": files.backbone,
        "tokenizer": files.tokenizer,
        "vqgan": files.vqgan / "vqgan.ckpt",
        "vqgan_yaml": (sizes, yaml.safe_load(sizes.read_text())),
        "config": CONFIG,
        "terms": OFFICIAL_TERMS,
    }
    convert(Request(**{**usual, **changes}), folder / "checkpoint")
    return folder / "checkpoint"


def write_slow_tokenizer(folder: Path, added: tuple[str, ...] = ADDED) -> Path:
    """A slow tokenizer's folder: a SentencePiece model, and added tokens beside it."""
    folder.mkdir(parents=True)
    shutil.copy(SENTENCEPIECE, folder / "tokenizer.model")
    if added:
        size = 520
        (folder / "added_tokens.json").write_text(json.dumps({token: size + n for n, token in enumerate(added)}))
    return folder


def backbone_tensors(vocab: int, seed: int = 0, sizes: BackboneConfig = BACKBONE) -> dict[str, Tensor]:
    """A random official state dict, as it is saved: tied, so without `lm_head.weight`."""
    generator = torch.Generator().manual_seed(seed)
    tensors = {}
    for name, parameter in Backbone(sizes, vocab).state_dict().items():
        shift = 0.5 if name.endswith("adaLN_modulation.bias") else 0.0
        scale = 0.3 if parameter.ndim > 1 else 0.1
        value = torch.randn(parameter.shape, generator=generator) * scale + shift
        tensors[name if name == "lm_head.weight" else f"model.{name}"] = value
    return tensors


def write_split(folder: Path, save: Callable[..., None], stem: str, end: str) -> Path:
    """The weights in two files with an index, as large checkpoints are saved."""
    folder.mkdir()
    tensors = backbone_tensors(VOCAB)
    names = sorted(tensors)
    where = {name: f"{stem}-0000{1 + (number >= 10)}-of-00002{end}" for number, name in enumerate(names)}
    for file in sorted(set(where.values())):
        save({name: tensors[name] for name in names if where[name] == file}, folder / file)
    (folder / f"{stem}{end}.index.json").write_text(json.dumps({"metadata": {}, "weight_map": where}))
    return folder


def without_bytes(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The weights with a head of their own that keeps away from single bytes.

    Random weights would write control characters, which no DICOM text may hold. All embeddings share a direction here,
    so hidden states have it, and the head's rows of bytes (ids 3 to 258) point the other way.
    """
    embedding = tensors["model.embed_tokens.weight"]
    shared = torch.ones(embedding.shape[1])
    head = embedding.clone()
    head[3:259] -= 4 * shared
    return {**tensors, "model.embed_tokens.weight": embedding + 4 * shared, "lm_head.weight": head}


def vqgan_tensors(seed: int = 0, sizes: VqganConfig = IMAGE) -> dict[str, Tensor]:
    """A random state dict of the image tokenizer, with the losses that training leaves in it."""
    generator = torch.Generator().manual_seed(seed + 1)
    tensors = {
        name: torch.randn(one.shape, generator=generator) * (0.2 if one.ndim > 1 else 0.1)
        for name, one in Vqgan(sizes).state_dict().items()
    }
    return {**tensors, "loss.discriminator.main.0.weight": torch.zeros(4, 3, 4, 4), "loss.logvar": torch.zeros(())}


def vqgan_yaml(sizes: VqganConfig) -> dict[str, object]:
    """What stands beside the image tokenizer's weights."""
    names = ("ch", "num_res_blocks", "resolution", "z_channels")
    inner = {name: getattr(sizes, name) for name in names} | {"ch_mult": list(sizes.ch_mult)}
    inner |= {"attn_resolutions": [], "double_z": False, "dropout": 0.0, "in_channels": 3, "out_ch": 3}
    params = {"embed_dim": sizes.embed_dim, "n_embed": sizes.n_embed, "ddconfig": inner}
    return {"model": {"params": params, "target": "taming.models.vqgan.VQModel"}}
