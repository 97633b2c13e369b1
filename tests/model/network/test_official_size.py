"""The official sizes, checked on the meta device: names, shapes and counts, without a byte of weights."""

from __future__ import annotations

import json
from pathlib import Path

import torch

from medim_forge.model.config import medim
from medim_forge.model.network.backbone import Backbone
from medim_forge.model.network.vqgan import Vqgan

GOLDEN = Path(__file__).resolve().parents[2] / "golden"


def shapes(module):
    return {name: list(tensor.shape) for name, tensor in module.state_dict().items()}


def test_the_official_backbone_has_its_names_shapes_and_3_468_432_384_parameters():
    sizes = medim()
    with torch.device("meta"):
        backbone = Backbone(sizes.backbone, sizes.layout.vocab)
    official = json.loads((GOLDEN / "medim_full_shapes.json").read_text())
    wanted = {
        name.removeprefix("model."): shape for name, shape in official["shapes"].items() if name != "lm_head.weight"
    }
    assert shapes(backbone) == wanted
    assert sum(parameter.numel() for parameter in backbone.parameters()) == 3_468_432_384


def test_the_official_image_tokenizer_has_its_names_shapes_and_68_718_467_parameters():
    with torch.device("meta"):
        tokenizer = Vqgan(medim().image_tokenizers[0])
    assert shapes(tokenizer) == json.loads((GOLDEN / "vqgan_full_shapes.json").read_text())["shapes"]
    assert sum(parameter.numel() for parameter in tokenizer.parameters()) == 68_718_467


def test_the_official_layout_has_the_published_numbers():
    layout = medim().layout
    assert (layout.mask_id, layout.image_offset, layout.vocab) == (32003, 32004, 40196)
    assert (layout.state_slots, layout.length(20)) == (1280, 1303)
    read = layout.read_positions(20)
    assert read[256:].tolist() == list(range(2, 1026))
    assert read[:256].tolist() == list(range(1303 - 258, 1303 - 2))
