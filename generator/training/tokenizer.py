"""Trains an image tokenizer: a VQGAN without adversary, over a fixed lattice of codes.

The codebook is the lattice {-1 .. 1}^E, so that nearest-code search is finite scalar quantisation (Mentzer 2023) and no
code can die. The loss weighs pixels by local contrast: small bright things (a nodule, a lead, a mitosis) must survive.
Legend: B batch, C channels, H W pixels, E codebook width.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as functional
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import Tensor

from medim_forge.generator.training.optimise import cooldown
from medim_forge.generator.training.order import stream
from medim_forge.generator.training.state import Snapshot
from medim_forge.model.config import VqganConfig
from medim_forge.model.network import Vqgan, to_pixels, to_uint8

WARMUP_STEPS = 100


@dataclass(frozen=True, kw_only=True)
class TokenizerPlan:
    """How long and how fast an image tokenizer learns.

    Attributes:
        steps: optimiser steps.
        batch: images per step.
        rate: learning rate after the first steps, over which it rises.
        cooldown_steps: last steps, over which the rate falls to 0.
        snapshot_every: steps between restart points.
        seed: of the order of images.
    """

    steps: int
    batch: int
    rate: float
    cooldown_steps: int
    snapshot_every: int
    seed: int


def lattice(codes: int, width: int) -> Tensor:
    """Codes [codes, width] on a regular grid in [-1, 1].

    Raises:
        ValueError: `codes` is not a `width`-th power.
    """
    side = round(codes ** (1 / width))
    if side**width != codes:
        raise ValueError(
            f"n_embed = {codes} is not a power of embed_dim = {width}: no regular lattice; try {side**width}"
        )
    axis = torch.linspace(-1, 1, side)
    return torch.cartesian_prod(*[axis] * width).view(codes, width)


def contrast_weight(x_BCHW: Tensor) -> Tensor:
    """Pixel weights: 1 where flat, up to 5 where the 5x5 neighbourhood varies by .4 of the range or more."""
    grey = x_BCHW.mean(1, keepdim=True)
    mean = functional.avg_pool2d(grey, 5, 1, 2, count_include_pad=False)
    spread = (functional.avg_pool2d(grey**2, 5, 1, 2, count_include_pad=False) - mean**2).clamp(min=0).sqrt()
    return 1 + 4 * (spread / 0.4).clamp(max=1)


def reconstruction_loss(y_BCHW: Tensor, x_BCHW: Tensor) -> Tensor:
    """L1 + 2 L2, contrast-weighted, plus half the L1 of the gradients."""
    weight = contrast_weight(x_BCHW)
    delta = y_BCHW - x_BCHW
    pixels = (weight * (delta.abs() + 2 * delta**2)).mean()
    gradients = (delta[..., 1:] - delta[..., :-1]).abs().mean() + (delta[..., 1:, :] - delta[..., :-1, :]).abs().mean()
    return pixels + 0.5 * gradients


def step_loss(model: Vqgan, x_BCHW: Tensor) -> Tensor:
    """The training loss of one batch; the quantiser passes gradients straight through."""
    with torch.autocast(x_BCHW.device.type, torch.bfloat16):
        z_BEHW = model.latents(x_BCHW).float()
        q_BEHW = model.lookup(model.quantize.nearest(z_BEHW))
        y_BCHW = model.decode_grid(z_BEHW + (q_BEHW - z_BEHW).detach())
    return reconstruction_loss(y_BCHW.float(), x_BCHW) + 0.25 * functional.mse_loss(z_BEHW, q_BEHW)


@torch.no_grad()
def reconstruct(
    model: Vqgan, images: NDArray[np.uint8], *, batch: int = 64, decode: bool = True
) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    """Codes [R, I] and decoded images [R, H, W, C] of uint8 images, in float32; no images where `decode` is False."""
    device = next(model.parameters()).device
    codes, decoded = [], []
    for start in range(0, len(images), batch):
        x_BCHW = to_pixels(torch.from_numpy(images[start : start + batch]).to(device))
        codes_BI = model.encode(x_BCHW)
        codes.append(codes_BI.cpu().numpy())
        if decode:
            decoded.append(to_uint8(model.decode(codes_BI)).cpu().numpy())
    return np.concatenate(codes), np.concatenate(decoded) if decode else images[:0]


def psnr(decoded: NDArray[np.uint8], images: NDArray[np.uint8]) -> float:
    """Peak signal-to-noise ratio in dB, averaged over images."""
    error_R = ((decoded.astype(np.float64) - images) ** 2).reshape(len(images), -1).mean(1)
    return float((10 * np.log10(255**2 / np.maximum(error_R, 1e-9))).mean())


def train_tokenizer(
    config: VqganConfig,
    plan: TokenizerPlan,
    images: NDArray[np.uint8],
    held_out: NDArray[np.uint8],
    folder: Path,
    device: str,
    log: Callable[[str], None],
) -> Vqgan:
    """An image tokenizer trained on the images; `folder` holds its restart point, then its weights.

    Args:
        config: sizes.
        plan: steps and rates.
        images: uint8 [R, H, W, C].
        held_out: the same, for PSNR only.
        folder: restarting with the same folder goes on where it stopped.
        device: torch device.
        log: takes one line at a time.
    """
    torch.manual_seed(plan.seed)
    model = Vqgan(config).to(torch.device(device))
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stubs lack this form
    model.quantize.embedding.weight.data.copy_(lattice(config.n_embed, config.embed_dim))
    model.quantize.embedding.weight.requires_grad_(False)
    optimiser = torch.optim.AdamW(
        [p for p in model.parameters() if p.requires_grad], lr=plan.rate, betas=(0.9, 0.99), weight_decay=0.0
    )
    snapshot = Snapshot(folder / "snapshot.pt", {"model": model, "optimiser": optimiser})
    begin, started = snapshot.load(plan.steps), time.monotonic()
    for step in range(begin, plan.steps):
        for group in optimiser.param_groups:
            group["lr"] = plan.rate * cooldown(step, plan.steps, WARMUP_STEPS, plan.cooldown_steps)
        rows = np.sort(stream(plan.seed, "tokenizer", step).choice(len(images), plan.batch, replace=False))
        x_BCHW = to_pixels(torch.from_numpy(images[rows]).to(device)).contiguous(memory_format=torch.channels_last)
        loss = step_loss(model, x_BCHW)
        optimiser.zero_grad()
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        if (step + 1) % plan.snapshot_every == 0 or step + 1 == plan.steps:
            quality = psnr(reconstruct(model, held_out)[1], held_out)
            snapshot.save(step + 1)
            log(
                f"tokenizer {'+'.join(config.domains)} step {step + 1}/{plan.steps} loss {loss.item():.4f} "
                f"held-out PSNR {quality:.2f} dB {time.monotonic() - started:.0f} s"
            )
    save_file({k: v.contiguous() for k, v in model.state_dict().items()}, folder / "weights.safetensors")
    return model
