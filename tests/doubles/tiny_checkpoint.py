"""A tiny random checkpoint of the embedded domain: two layers, the real report tokenizer, real file format."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch

from medim_forge.generator.training.data import domain_report_ids, report_tokenizer
from medim_forge.model import checkpoint, config
from medim_forge.model.network import Backbone, Vqgan


def write_tiny_checkpoint(folder: Path, *, seed: int = 0) -> Path:
    """A folder that `model.checkpoint.load` reads; another seed gives other weights."""
    text = report_tokenizer()
    full = config.phantom(len(text), domain_report_ids(text))
    sizes = replace(
        full,
        backbone=replace(
            full.backbone,
            hidden_size=32,
            intermediate_size=64,
            layers=2,
            heads=2,
            kv_heads=2,
            head_dim=16,
            time_features=32,
        ),
        image_tokenizers=tuple(replace(one, ch=8, z_channels=8) for one in full.image_tokenizers),
    )
    generator = torch.Generator().manual_seed(seed)
    backbone = Backbone(sizes.backbone, sizes.layout.vocab)
    tokenizers = tuple(Vqgan(one) for one in sizes.image_tokenizers)
    for module in (backbone, *tokenizers):
        for name, parameter in module.named_parameters():
            bias = 0.5 if name.endswith("adaLN_modulation.bias") else 0.0
            parameter.data = (
                torch.randn(parameter.shape, generator=generator) * (0.3 if parameter.ndim > 1 else 0.1) + bias
            )
    checkpoint.save(
        folder, checkpoint.Checkpoint(config=sizes, backbone=backbone, image_tokenizers=tokenizers, text=text)
    )
    return folder
