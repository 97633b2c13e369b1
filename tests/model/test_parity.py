"""Our model against what the official code answered: logits, whole sampling trajectories, losses, codes and pixels.

The files in tests/golden were made by the official sources on tiny models; SHA256SUMS holds their digests.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from model.backbone import Backbone
from model.config import BackboneConfig, VqganConfig
from model.layout import Codebook, TokenLayout
from model.loss import corrupt, diffusion_loss
from model.noise import InjectedDraws
from model.official import sample_official
from model.schedule import arccos_counts, sigma, sigma_rate, stratified_times
from model.subs import subs
from model.vqgan import Vqgan, to_uint8

GOLDEN = Path(__file__).resolve().parents[1] / "golden"
TRAJECTORIES = sorted(path.stem.removeprefix("traj_") for path in GOLDEN.glob("traj_*.safetensors"))
META = json.loads((GOLDEN / "meta.json").read_text())
CONDITIONING = torch.tensor(META["cond_ids"])


@pytest.fixture(scope="module")
def layout():
    return TokenLayout(
        report_slots=META["sizes"]["txt_len"],
        image_slots=META["sizes"]["img_len"],
        report_vocab=META["mask_index"],
        codebooks=(Codebook(domains=("any",), size=META["sizes"]["img_vocab"]),),
        boi_id=META["boi"],
        eoi_id=META["eoi"],
        eos_id=META["eos"],
    )


@pytest.fixture(scope="module")
def backbone():
    sizes = BackboneConfig(hidden_size=64, intermediate_size=128, layers=2, heads=4, kv_heads=4, head_dim=16)
    model = Backbone(sizes, META["vocab"])
    stored = load_file(GOLDEN / "tiny_a_model.safetensors")
    model.load_state_dict({name.removeprefix("model."): tensor for name, tensor in stored.items()})
    return model.eval().requires_grad_(False)


@pytest.fixture(scope="module")
def io():
    return load_file(GOLDEN / "tiny_a_io.safetensors")


@pytest.fixture
def logits_of(backbone, layout):
    def logits(state, level):
        conditioning = CONDITIONING.expand(len(state), -1)
        hidden = backbone(*layout.sequence(state, conditioning), level)
        return backbone.logits(hidden)[:, layout.read_positions(len(CONDITIONING))]

    return logits


def test_golden_files_are_the_ones_that_were_recorded():
    sums = dict(line.split("  ")[::-1] for line in (GOLDEN / "SHA256SUMS").read_text().splitlines())
    found = {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in GOLDEN.iterdir()
        if path.name != "SHA256SUMS"
    }
    assert found == sums


def test_input_and_visibility_are_what_the_official_backbone_received(layout, io):
    ids, visible = layout.sequence(io["xt"], CONDITIONING.expand(3, -1))
    assert torch.equal(ids, io["input_ids"])
    assert torch.equal(visible, io["attention_mask"] != 0)


def test_hidden_states_and_logits_agree_within_1e_4(backbone, io):
    states = backbone.hidden(io["input_ids"], io["attention_mask"] != 0, io["sigma"])
    assert torch.allclose(backbone.time_embedder(io["sigma"]), io["time_emb"], atol=1e-4)
    for ours, official in zip(states, io["hidden_states"], strict=True):
        assert torch.allclose(ours, official, atol=1e-4)
    assert torch.allclose(backbone.logits(states[-1]), io["full_logits"], atol=1e-4)


def test_logits_are_read_off_by_one_in_opposite_directions(logits_of, layout, io):
    raw = logits_of(io["xt"], io["sigma"])
    assert torch.allclose(raw, io["raw_logits"], atol=1e-4)
    assert torch.allclose(subs(raw, layout, io["xt"]), io["subs_logprobs"], atol=1e-4)
    assert torch.allclose(subs(raw, layout), io["subs_nocarry_logprobs"], atol=1e-4)


@pytest.mark.parametrize("fault", ["read_shift", "silu", "gates", "causal", "visible"])
def test_a_deliberate_error_is_noticed(backbone, io, fault, monkeypatch):
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


@pytest.mark.parametrize("name", TRAJECTORIES)
def test_official_trajectory_is_token_exact_with_the_recorded_noise(name, logits_of, layout):
    stored = load_file(GOLDEN / f"traj_{name}.safetensors")
    facts = next(one for one in META["trajectories"] if one["name"] == name)
    calls = []

    def counted(state, level):
        calls.append(len(state))
        return logits_of(state, level)

    draws = InjectedDraws(stored["exp_noise"], stored["gumbel"], stored["step_ran"].tolist())
    out = sample_official(
        counted,
        stored["x0"],
        stored["x0_unmask"],
        layout,
        steps=facts["steps_requested"],
        guidance=facts["cfg"],
        draws=draws,
    )
    assert torch.equal(out, stored["out"])
    assert torch.equal(out[stored["x0_unmask"]], stored["x0"][stored["x0_unmask"]])
    assert calls, "the network was never asked"


def test_at_least_the_given_trajectories_are_there():
    assert len(TRAJECTORIES) >= 7


def test_noise_levels_and_reveal_schedules_agree():
    noise = load_file(GOLDEN / "noise.safetensors")
    assert torch.equal(sigma(noise["t"]), noise["sigma"])
    assert torch.equal(sigma_rate(noise["t"]), noise["dsigma"])
    schedules = json.loads((GOLDEN / "schedules.json").read_text())
    assert schedules
    for one in schedules:
        assert arccos_counts([one["n_masked"]], one["steps"])[0].tolist() == one["schedule"]


def test_training_loss_agrees(logits_of, layout):
    stored = load_file(GOLDEN / "loss_a.safetensors")
    t = stratified_times(stored["rand_t"])
    xt = corrupt(stored["input_ids"], t, stored["rand_move"], layout)
    assert torch.equal(xt, stored["xt"])
    assert torch.equal(sigma(t), stored["sigma"][:, 0])
    counted = torch.cat([stored["mask"], torch.ones(1, layout.image_slots)], dim=1)
    logits = logits_of(xt, sigma(t))
    loss, _ = diffusion_loss(logits, stored["input_ids"], xt, t, counted, layout)
    assert loss.item() == pytest.approx(stored["loss"].item(), rel=1e-5)
    # The official per-slot terms are kept before report pads are left out of the mean.
    _, terms = diffusion_loss(logits, stored["input_ids"], xt, t, torch.ones_like(counted), layout)
    assert torch.allclose(terms, stored["nlls"], rtol=1e-5)
    assert bool((stored["nlls"][counted == 0] > 0).any())


def test_vqgan_codes_are_equal_and_pixels_agree():
    sizes = VqganConfig(
        domains=("any",), channels=3, resolution=64, ch=32, ch_mult=(1, 1, 2, 2, 4), num_res_blocks=2,
        z_channels=32, embed_dim=32, n_embed=64,
    )  # fmt: skip
    model = Vqgan(sizes)
    model.load_state_dict(load_file(GOLDEN / "vqgan_tiny.safetensors"))
    model.eval().requires_grad_(False)
    stored = load_file(GOLDEN / "vqgan_tiny_io.safetensors")
    assert torch.allclose(model.encoder(stored["x"]), stored["encoder_out"], atol=1e-4)
    assert torch.equal(model.encode(stored["x"]), stored["indices"])
    assert torch.allclose(model.decode(stored["indices"]), stored["decoded"], atol=1e-4)
    pixels = to_uint8(model.decode(stored["ids"]))[0]
    assert (pixels.int() - stored["ids_uint8_hwc"].int()).abs().max() <= 1
