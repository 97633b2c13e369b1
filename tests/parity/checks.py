"""How each kind of golden file is compared with our model."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from types import MappingProxyType

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from safetensors.torch import load_file

from medim_forge.generator.inputs.images import read_image
from medim_forge.model.config import medim
from medim_forge.model.convert.image import IGNORED, vqgan_config
from medim_forge.model.convert.names import HEAD, backbone_config, our_names
from medim_forge.model.convert.weights import open_weights
from medim_forge.model.layout import Codebook, TokenLayout
from medim_forge.model.loss import corrupt, diffusion_loss
from medim_forge.model.network.vqgan import Vqgan, to_uint8
from medim_forge.model.sampling.noise import CounterDraws, InjectedDraws
from medim_forge.model.sampling.official import OfficialSampling, sample_official
from medim_forge.model.sampling.schedule import arccos_counts, sigma, sigma_rate, stratified_times
from medim_forge.model.sampling.subs import subs
from tests.parity.folder import Case
from tests.parity.network import Network, tiny
from tests.parity.training import check_rate, check_training

TOLERANCE = 1e-4


def of_case(case: Case) -> Network:
    return tiny(case.files["config"], case.files["model"], case.files["meta"])


def close(ours, official, what, tolerance=TOLERANCE):
    assert ours.shape == official.shape, what
    worst = (ours.double() - official.double()).abs().max().item()
    assert worst <= tolerance, f"{what} differs by {worst:.3g}"


def check_network(case: Case) -> None:
    """Input, visibility, time embedding, every hidden state, logits, SUBS."""
    network, io = of_case(case), load_file(case.files["io"])
    ids, visible = network.sequence(io["xt"])
    assert torch.equal(ids, io["input_ids"])
    assert torch.equal(visible, io["attention_mask"] != 0)
    close(network.backbone.time_embedder(io["sigma"]), io["time_emb"], "time embedding")
    states = network.backbone.hidden(ids, visible, io["sigma"])
    close(torch.stack(states), io["hidden_states"], "hidden states")
    close(network.backbone.logits(states[-1]), io["full_logits"], "logits of all positions")
    raw = network.raw_logits(io["xt"], io["sigma"])
    close(raw, io["raw_logits"], "logits of the state")
    close(subs(raw, network.layout, io["xt"]), io["subs_logprobs"], "SUBS with carry-over")
    close(subs(raw, network.layout), io["subs_nocarry_logprobs"], "SUBS without carry-over")
    close(sigma(io["t"]), io["sigma"], "sigma", 1e-6)


def full_layout() -> TokenLayout:
    """The published layout, as the recordings of the unpatched sizes have it: frame ids 32000, 32001 and 32002."""
    layout = replace(medim().layout, codebooks=(Codebook(domains=("any",), size=8192),), unused_ids=())
    assert (layout.boi_id, layout.eoi_id, layout.eos_id, layout.mask_id) == (32000, 32001, 32002, 32003)
    return layout


def check_full(case: Case) -> None:
    """The unpatched sizes: what was recorded of the logits, and a run that keeps what is given."""
    io = load_file(case.files["io"])
    layout = full_layout()
    network = Network(case.files["config"], case.files["model"], layout, io["cond"].view(-1, io["cond"].shape[-1])[0])
    raw = network.raw_logits(io["xt"], io["sigma"].flatten())
    cols = io["cols"].long()
    close(raw[..., cols].view(io["raw_cols"].shape), io["raw_cols"], "columns of the logits")
    close(raw.logsumexp(-1).view(io["raw_logsumexp"].shape), io["raw_logsumexp"], "log-sum-exp of the logits")
    best = raw.topk(io["raw_top8"].shape[-1], -1).values
    close(best.view(io["raw_top8"].shape), io["raw_top8"], "largest logits")
    at = raw.gather(-1, io["raw_top8_idx"].long().view(best.shape))
    close(at.view(io["raw_top8"].shape), io["raw_top8"], "logits of the ids that were largest")
    logprobs = subs(raw, layout, io["xt"])
    close(logprobs[..., cols].view(io["subs_cols"].shape), io["subs_cols"], "columns of SUBS")
    close(logprobs.max(-1).values.view(io["subs_max"].shape), io["subs_max"], "largest of SUBS")
    chosen = logprobs.gather(-1, io["subs_argmax"].long().view(*logprobs.shape[:2], 1))
    close(chosen.view(io["subs_max"].shape), io["subs_max"], "SUBS of the ids that were largest")
    if sampled := {name: value for name, value in io.items() if name.startswith("samp_")}:
        check_full_run(network, io, sampled)


def check_full_run(network: Network, io, sampled) -> None:
    """The recorded run kept what was given, and so does ours from the same start."""
    out = named(sampled, "out")
    x0 = sampled.get("samp_x0", io["x0"])[: len(out)]
    if "samp_prompt_idx" in sampled:
        given = (torch.arange(x0.shape[1]) < sampled["samp_prompt_idx"].view(-1, 1)).expand(out.shape)
    else:
        given = named(sampled, "unmask", "given").bool()
    assert torch.equal(out[given], x0[given])
    assert bool(given.any())
    draws = CounterDraws(range(len(out)), network.layout.state_slots)
    settings = OfficialSampling(steps=6, guidance=5.0)
    ours = sample_official(network.rows(), x0, given, network.layout, settings, draws).state
    assert torch.equal(ours[given], x0[given])
    assert not bool((ours == network.layout.mask_id).any())


def named(stored, *parts):
    """The one tensor whose name has one of the parts in it."""
    found = [name for name in stored if any(part in name for part in parts)]
    assert len(found) == 1, f"of {sorted(stored)}, {found} have {' or '.join(parts)} in their names; one must"
    return stored[found[0]]


def check_trajectory(case: Case) -> None:
    """The official run with its recorded noise: every state on the way, and the end, token for token."""
    network, stored = of_case(case), load_file(case.files["stored"])
    ran = stored["step_ran"].tolist()
    seen: list[torch.Tensor] = []
    sampled = sample_official(
        network.rows(seen),
        stored["x0"],
        stored["x0_unmask"],
        network.layout,
        OfficialSampling(steps=case.facts["steps_requested"], guidance=case.facts["cfg"], batch="together"),
        InjectedDraws(stored["exp_noise"], stored["gumbel"], ran),
    )
    assert torch.equal(sampled.state, stored["out"]), f"{int((sampled.state != stored['out']).sum())} tokens differ"
    given = stored["x0_unmask"]
    assert torch.equal(sampled.state[given], stored["x0"][given])
    shown = [stored["step_x_in"][step] for step in ran]
    if bool((stored["final_x_in"] == network.layout.mask_id).any()):
        shown.append(stored["final_x_in"])
    # The unconditional pass of a step is shown its state with the given tokens masked.
    conditional = [state for state in seen if torch.equal(state[given], stored["x0"][given]) or not bool(given.any())]
    assert len(conditional) == len(shown)
    assert all(torch.equal(ours, official) for ours, official in zip(conditional, shown, strict=True))
    for name, state in stored.items():
        if name.startswith("step") and name.endswith("_x"):
            level, wanted = stored[name[:-1] + "sigma"], stored[name[:-1] + "rawlogits"]
            close(network.raw_logits(state, level.flatten()), wanted, name[:-1] + "rawlogits")
    masked = (torch.where(given, stored["x0"], network.layout.mask_id) == network.layout.mask_id).sum(1).tolist()
    steps = min(case.facts["steps_requested"], *masked)
    assert torch.equal(arccos_counts(masked, steps), stored["schedule"].long())


def check_loss(case: Case) -> None:
    """The training loss and its terms, of the model that it was recorded with."""
    stored, failures = load_file(case.files["stored"]), []
    for model in case.facts["models"]:
        network = tiny(case.files[f"config {model}"], case.files[f"model {model}"], case.files["meta"])
        try:
            compare_loss(network, stored)
        except AssertionError as error:
            failures.append(f"{model}: {error}")
        else:
            return
    raise AssertionError("; ".join(failures))


def compare_loss(network: Network, stored) -> None:
    layout = network.layout
    t = stratified_times(stored["rand_t"].flatten())
    slots = torch.arange(layout.state_slots)
    kept = None
    if float(stored["python_random"].flatten()[0]) < 0.1:
        kept = slots < stored["prompt_idx"].view(-1, 1)
    xt = corrupt(stored["input_ids"], t, stored["rand_move"], layout, keep_BS=kept)
    assert torch.equal(xt, stored["xt"]), "the corrupted state differs"
    close(sigma(t), stored["sigma"].flatten(), "sigma", 1e-6)
    counted = torch.cat([stored["mask"], torch.ones(len(xt), layout.image_slots)], dim=1)
    logits = network.raw_logits(xt, sigma(t))
    loss, _ = diffusion_loss(logits, stored["input_ids"], xt, t, counted, layout)
    assert loss.item() == pytest.approx(stored["loss"].item(), rel=1e-5)
    # The official per-slot terms are kept before report pads are left out of the mean.
    _, terms = diffusion_loss(logits, stored["input_ids"], xt, t, torch.ones_like(counted), layout)
    assert torch.allclose(terms, stored["nlls"], rtol=1e-5, atol=1e-5), "terms of the loss differ"


def check_schedules(case: Case) -> None:
    schedules = json.loads(case.files["stored"].read_text())
    assert schedules
    for stated in schedules:
        assert arccos_counts([stated["n_masked"]], stated["steps"])[0].tolist() == stated["schedule"], stated


def check_noise(case: Case) -> None:
    noise = load_file(case.files["stored"])
    assert torch.equal(sigma(noise["t"]), noise["sigma"])
    assert torch.equal(sigma_rate(noise["t"]), noise["dsigma"])


def check_backbone_shapes(case: Case) -> None:
    """The sizes follow from the official shapes alone, and give the official names and count."""
    official = json.loads(case.files["stored"].read_text())
    names = our_names(official["shapes"], "official")
    shapes = {ours: tuple(official["shapes"][name]) for ours, name in names.items()}
    sizes = backbone_config(shapes, {}, tied=True, what="official")
    assert sizes == medim().backbone
    assert len(shapes) - (HEAD in shapes) == official["n_tensors_without_lm_head"]
    count = sum(int(np.prod(shape)) for name, shape in shapes.items() if name != HEAD)
    assert count == official["params_tied"] == 3_468_432_384


def check_vqgan_shapes(case: Case) -> None:
    official = json.loads(case.files["stored"].read_text())
    shapes = {name: tuple(shape) for name, shape in official["shapes"].items()}
    domains = medim().image_tokenizers[0].domains
    assert vqgan_config(shapes, None, domains, "official") == medim().image_tokenizers[0]
    assert sum(int(np.prod(shape)) for shape in shapes.values()) == 68_718_467


def check_vqgan(case: Case) -> None:
    """Encoder, codes, decoder and pixels, with sizes from the file's own shapes and yaml."""
    source = open_weights(case.files["weights"], case.name)
    names = [name for name in source.tensors if not name.startswith(IGNORED)]
    content = yaml.safe_load(case.files["yaml"].read_text())
    sizes = vqgan_config({name: source.tensors[name].shape for name in names}, content, ("any",), case.name)
    model = Vqgan(sizes)
    model.load_state_dict({name: source.read(name) for name in names})
    model.eval().requires_grad_(False)
    stored = load_file(case.files["io"])
    close(model.encoder(stored["x"]), stored["encoder_out"], "encoder output")
    close(model.latents(stored["x"]), stored["pre_quant"], "latents")
    assert torch.equal(model.encode(stored["x"]), stored["indices"])
    close(model.lookup(stored["indices"]), stored["quant"], "quantised latents")
    close(model.decode(stored["indices"]), stored["decoded"], "decoded pixels")
    close(model.lookup(stored["ids"]), stored["ids_embedding"], "embedded ids")
    close(model.decode(stored["ids"]), stored["ids_decoded"], "decoded ids")
    pixels = to_uint8(model.decode(stored["ids"]))[0]
    difference = (pixels.int() - stored["ids_uint8_hwc"].int()).abs()
    assert difference.max() <= 1
    assert (difference > 0).float().mean() < 0.01


def check_preprocess(case: Case) -> None:
    """A given image as the tokenizer takes it: padded, resized, and its numbers in [-1, 1]."""
    ours = read_image(case.files["image"].read_bytes(), "chest_xray", medim())
    with Image.open(case.files["out"]) as opened:
        official = np.asarray(opened.convert("RGB"))
    assert ours.shape == official.shape == (512, 512, 3)
    difference = np.abs(ours.astype(int) - official.astype(int))
    assert difference.max() <= 1
    assert (difference > 0).mean() < 0.01
    sums = load_file(case.files["sums"])
    pixels = torch.from_numpy(np.array(ours)).movedim(-1, 0).float() / 255 * 2 - 1
    close(pixels[:, ::8, ::8], sums[f"{case.name}_strided8"], "strided pixels", 2.01 / 255)
    assert pixels.double().sum().item() == pytest.approx(sums[f"{case.name}_sum"].item(), abs=pixels.numel() * 2e-5)


CHECKS: MappingProxyType[str, Callable[[Case], None]] = MappingProxyType(
    {
        "network": check_network,
        "full": check_full,
        "trajectory": check_trajectory,
        "loss": check_loss,
        "train": check_training,
        "rate": check_rate,
        "schedules": check_schedules,
        "noise": check_noise,
        "backbone_shapes": check_backbone_shapes,
        "vqgan_shapes": check_vqgan_shapes,
        "vqgan": check_vqgan,
        "preprocess": check_preprocess,
    }
)
