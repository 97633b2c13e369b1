"""The official image tokenizer: sizes from the shapes of its tensors, checked against its yaml.

Source: medim-spec section 7 (Chameleon's VQGAN, in the names of taming-transformers).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import torch

from medim_forge.model.checkpoint import CheckpointError
from medim_forge.model.checkpoint.tensors import listed, misfits
from medim_forge.model.config import VqganConfig
from medim_forge.model.network.vqgan import Vqgan

# Training leaves its losses in the file: perceptual network and discriminator.
IGNORED = "loss."
# What shapes cannot tell.
OFFICIAL_RESOLUTION = 512

Shapes = Mapping[str, tuple[int, ...]]


def vqgan_config(shapes: Shapes, yaml: Mapping[str, Any] | None, domains: tuple[str, ...], what: str) -> VqganConfig:
    """The sizes of an image tokenizer.

    Args:
        shapes: by name, the ignored ones left out.
        yaml: what the file beside the weights says; None where there is none, and the resolution is the official one.
        domains: that it serves.
        what: what to call the source in errors.

    Raises:
        CheckpointError: tensors are missing, unexpected or of the wrong shape, or the yaml contradicts them.
    """
    ch, channels = _shape(shapes, "encoder.conv_in.weight", what)[:2]
    levels = 1 + _last(shapes, r"encoder\.down\.(\d+)\.")
    widths = [_shape(shapes, f"encoder.down.{level}.block.0.conv2.weight", what)[0] for level in range(levels)]
    if not levels or any(width % ch for width in widths):
        raise CheckpointError(f"{what}: encoder levels are {widths} wide, no multiples of the first width {ch}")
    n_embed, embed_dim = _shape(shapes, "quantize.embedding.weight", what)[:2]
    stated = _stated(yaml, what)
    config = VqganConfig(
        domains=domains,
        channels=channels,
        resolution=int(stated.get("resolution", OFFICIAL_RESOLUTION)),
        ch=ch,
        ch_mult=tuple(width // ch for width in widths),
        num_res_blocks=1 + _last(shapes, r"encoder\.down\.0\.block\.(\d+)\."),
        z_channels=_shape(shapes, "encoder.conv_out.weight", what)[0],
        embed_dim=embed_dim,
        n_embed=n_embed,
    )
    _agree(config, stated, what)
    with torch.device("meta"):
        wanted = {name: tuple(tensor.shape) for name, tensor in Vqgan(config).state_dict().items()}
    if problems := misfits(wanted, shapes):
        raise CheckpointError(f"{what}: {listed(problems)}. Sizes follow from the encoder's first and last tensors")
    return config


def _shape(shapes: Shapes, name: str, what: str) -> tuple[int, ...]:
    if len(shapes.get(name, ())) < 2:
        there = ", ".join(sorted(shapes)[:3]) or "nothing"
        raise CheckpointError(f"{what}: {name} is missing; is this the Chameleon VQGAN? There is: {there}")
    return shapes[name]


def _last(shapes: Shapes, pattern: str) -> int:
    return max((int(found[1]) for name in shapes if (found := re.match(pattern, name))), default=-1)


def _stated(yaml: Mapping[str, Any] | None, what: str) -> dict[str, Any]:
    """The parameters of a yaml, flat; empty where there is none."""
    if yaml is None:
        return {}
    try:
        params = yaml["model"]["params"]
        return {**{key: params[key] for key in ("embed_dim", "n_embed")}, **params["ddconfig"]}
    except (KeyError, TypeError) as error:
        raise CheckpointError(f"{what}: its yaml has no model.params with embed_dim, n_embed and ddconfig") from error


def _agree(config: VqganConfig, stated: Mapping[str, Any], what: str) -> None:
    """The yaml says nothing that the tensors, or what this model can do, contradict."""
    ours: dict[str, Any] = {
        "in_channels": config.channels,
        "out_ch": config.channels,
        "ch": config.ch,
        "ch_mult": list(config.ch_mult),
        "num_res_blocks": config.num_res_blocks,
        "z_channels": config.z_channels,
        "embed_dim": config.embed_dim,
        "n_embed": config.n_embed,
        "attn_resolutions": [],
        "double_z": False,
    }
    wrong = [f"{key} = {stated[key]!r}, not {value}" for key, value in ours.items() if stated.get(key, value) != value]
    if wrong:
        raise CheckpointError(f"{what}: its yaml does not belong to these weights: {'; '.join(wrong)}")
    if config.resolution % config.factor:
        raise CheckpointError(f"{what}: {config.resolution} pixels are no multiple of {config.factor} pixels a code")
