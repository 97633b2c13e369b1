"""Deliberate errors are noticed by the recorded answers of the official code; tests/parity compares all of them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from medim_forge.model.layout import ABSENT
from tests.parity.folder import find_cases
from tests.parity.network import tiny

GOLDEN = Path(__file__).resolve().parents[1] / "golden"


@pytest.fixture(scope="module")
def network():
    return tiny(GOLDEN / "tiny_a_config.json", GOLDEN / "tiny_a_model.safetensors", GOLDEN / "meta.json")


@pytest.fixture(scope="module")
def io():
    return load_file(GOLDEN / "tiny_a_io.safetensors")


@pytest.mark.parametrize("fault", ["read_shift", "silu", "gates", "causal", "visible"])
def test_a_deliberate_error_is_noticed(network, io, fault, monkeypatch):
    backbone = network.backbone
    ids, visible, level = io["input_ids"], io["attention_mask"] != 0, io["sigma"]
    embed = backbone.time_embedder.forward
    if fault == "silu":
        monkeypatch.setattr(backbone.time_embedder, "forward", lambda s: torch.nn.functional.silu(embed(s)))
    if fault == "gates":
        for layer in backbone.layers:
            forward = layer.adaLN_modulation.forward
            monkeypatch.setattr(
                layer.adaLN_modulation, "forward", lambda t, forward=forward: forward(t).roll(3 * t.shape[-1], -1)
            )
    if fault == "visible":
        visible = torch.ones_like(visible)
    if fault == "causal":
        attention = torch.nn.functional.scaled_dot_product_attention
        monkeypatch.setattr(
            torch.nn.functional,
            "scaled_dot_product_attention",
            lambda q, k, v, attn_mask=None, **kept: attention(q, k, v, is_causal=True, **kept),
        )
    logits = backbone.logits(backbone(ids, visible, level))
    if fault == "read_shift":
        logits = logits.roll(1, dims=1)
    assert (logits - io["full_logits"]).abs().max() > 1e-2


def test_a_row_with_less_conditioning_than_its_neighbours_gets_the_recorded_logits(network, io):
    conditioning = torch.cat([network.conditioning, torch.full((5,), ABSENT)]).expand(3, -1).clone()
    # The last row has longer conditioning, so its own logits are others; the first two must not feel it.
    conditioning[2, 7:10] = 9
    ids, visible = network.layout.sequence(io["xt"], conditioning)
    assert torch.equal(ids[0, :-5], io["input_ids"][0])
    assert not bool(visible[0, -5:].any())
    hidden = network.backbone(ids, visible, io["sigma"])
    read = network.layout.read_positions_of(conditioning)
    logits = network.backbone.logits(hidden.gather(1, read[..., None].expand(-1, -1, hidden.shape[-1])))
    assert torch.allclose(logits[:2], io["raw_logits"][:2], atol=1e-4)
    assert (logits[2] - io["raw_logits"][2]).abs().max() > 1e-2


def test_the_given_folder_holds_every_kind_but_the_unpatched_sizes():
    kinds = [case.kind for case in find_cases(GOLDEN)]
    assert kinds.count("trajectory") >= 7
    assert kinds.count("preprocess") == 2
    tables = {"network", "loss", "schedules", "noise", "backbone_shapes", "vqgan_shapes", "vqgan"}
    assert tables <= set(kinds)
