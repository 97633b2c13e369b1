"""The weights that training starts from."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import nn

from medim_forge.model.config import MedimConfig
from medim_forge.model.network.backbone import Backbone, Layer


def start(config: MedimConfig, seed: int, weights: Path | None) -> Backbone:
    """The backbone before its first step.

    Args:
        config: sizes.
        seed: of the start weights.
        weights: that it starts from instead.
    """
    torch.manual_seed(seed)
    backbone = Backbone(config.backbone, config.layout.vocab)
    initialise(backbone, seed)
    if weights is not None:
        backbone.load_state_dict({name: tensor.float() for name, tensor in load_file(weights).items()})
    return backbone


def initialise(backbone: Backbone, seed: int) -> None:
    """Start weights for training from scratch: normal(0, .02), output projections scaled by depth, gates open at 1."""
    generator = torch.Generator().manual_seed(seed)
    depth = (2 * len(backbone.layers)) ** -0.5
    for name, parameter in backbone.named_parameters():
        if name.endswith(("norm.weight", ".bias")):
            nn.init.zeros_(parameter)
        elif "layernorm" not in name:
            nn.init.normal_(
                parameter,
                std=0.02 * (depth if name.endswith(("o_proj.weight", "down_proj.weight")) else 1.0),
                generator=generator,
            )
    width = backbone.config.hidden_size
    for layer in backbone.layers:
        assert isinstance(layer, Layer)
        with torch.no_grad():
            layer.adaLN_modulation.bias[2 * width : 3 * width] = 1.0
            layer.adaLN_modulation.bias[5 * width :] = 1.0
