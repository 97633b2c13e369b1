"""A probe that reads findings off images of the embedded domain: what an image shows, whatever its report says.

Legend: N images, H W pixels, C channels, F findings.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from medim_forge.generator.metrics import Labels, LabelScores, label_matrix, label_scores
from medim_forge.generator.phantoms import FINDINGS, draw

Images = NDArray[np.uint8]
Reconstruct = Callable[[Images], Images]

# Apart from the seeds of the checkpoint's training and validation, and of the augmentation experiment.
TRAIN_SEEDS, VALIDATION_SEEDS = 4_000_000_000_000, 5_000_000_000_000
WIDTHS = (24, 48, 64, 64)
HIDDEN = 128
GRID = 4  # the image is read in GRID x GRID fields, for sides matter
BATCH = 64
CLEAN_EVERY = 4  # one training image in four skips the tokenizer, so that the probe reads both kinds
PEAK_RATE = 4e-3
WEIGHT_DECAY = 1e-2
SHIFT = 2  # pixels


class ProbeNet(nn.Module):
    """Four convolutions, then what each field shows on average and what the whole shows at most.

    Args:
        channels: C of the images.
        findings: F.
    """

    def __init__(self, channels: int, findings: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for index, width in enumerate(WIDTHS):
            stride = 2 if index < 3 else 1
            layers += [nn.Conv2d(channels, width, 5 if index == 0 else 3, stride, 2 if index == 0 else 1, bias=False)]
            layers += [nn.BatchNorm2d(width), nn.ReLU()]
            channels = width
        self.body = nn.Sequential(*layers)
        self.fields = nn.AdaptiveAvgPool2d(GRID)
        self.head = nn.Sequential(
            nn.Linear(channels * (GRID * GRID + 1), HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, findings)
        )

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """Logits [N, F] of images float32 [N, C, H, W] in [-1, 1]."""
        features = self.body(x_NCHW)
        pooled = torch.cat([self.fields(features).flatten(1), features.amax(dim=(2, 3))], dim=1)
        logits_NF: Tensor = self.head(pooled)
        return logits_NF


class Probe:
    """A trained probe of one domain.

    Args:
        domain: `chest_xray` or `pathology`.
        net: its network, in evaluation mode from here on.
    """

    def __init__(self, domain: str, net: ProbeNet) -> None:
        self.domain = domain
        self.findings = FINDINGS[domain]
        self.net = net.eval()

    def probabilities(self, images: Images) -> NDArray[np.float32]:
        """Float32 [N, F] for images uint8 [N, H, W] or [N, H, W, C]."""
        with torch.inference_mode():
            parts = [self.net(to_input(torch.from_numpy(images[at : at + 256]))) for at in range(0, len(images), 256)]
            probabilities: NDArray[np.float32] = torch.sigmoid(torch.cat(parts)).numpy()
        return probabilities

    def predict(self, images: Images) -> Labels:
        """Bool [N, F]: which findings each image shows."""
        return self.probabilities(images) > 0.5

    def save(self, path: Path, settings: Mapping[str, Any] | None = None) -> None:
        """The probe is in a safetensors file, with the settings that it was trained with, as JSON values."""
        tensors = {name: tensor.contiguous() for name, tensor in self.net.state_dict().items()}
        metadata = {"domain": self.domain, "findings": json.dumps(self.findings)}
        save_file(tensors, path, metadata={**metadata, "settings": json.dumps(settings or {}, sort_keys=True)})


def probe_settings(path: Path) -> dict[str, Any]:
    """What the probe of a file was trained with; empty where the file does not say."""
    with safe_open(path, framework="pt") as file:
        settings: dict[str, Any] = json.loads((file.metadata() or {}).get("settings", "{}"))
    return settings


def load_probe(path: Path) -> Probe:
    """The probe of a file that `Probe.save` wrote.

    Raises:
        ValueError: it is a probe of other findings than the domain has now.
    """
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
    domain, findings = metadata["domain"], tuple(json.loads(metadata["findings"]))
    if findings != FINDINGS[domain]:
        raise ValueError(f"{path}: reads {findings}, but {domain} has {FINDINGS[domain]}; train the probe again")
    net = ProbeNet(tensors["body.0.weight"].shape[1], len(findings))
    net.load_state_dict(tensors)
    return Probe(domain, net)


def train_probe(domain: str, reconstruct: Reconstruct, *, seed: int, images: int, passes: int) -> Probe:
    """A probe trained on phantoms that the checkpoint was not trained on, most of them through its image tokenizer.

    The same arguments give the same probe on the same number of threads.

    Args:
        domain: `chest_xray` or `pathology`.
        reconstruct: images through the image tokenizer and back, on batches uint8 [N, H, W] or [N, H, W, C].
        seed: of weights, order and shifts.
        images: phantoms drawn, at least one batch.
        passes: over them.

    Raises:
        ValueError: fewer images than a batch, or `reconstruct` changes their shape.
    """
    if images < BATCH:
        raise ValueError(f"images is {images}; a probe needs at least one batch of {BATCH}")
    pixels, labels = drawn(domain, TRAIN_SEEDS, images)
    through = np.arange(images) % CLEAN_EVERY != 0
    pixels[through] = reconstructed(pixels[through], reconstruct)
    random = torch.Generator().manual_seed(seed)
    net = ProbeNet(1 if pixels.ndim == 3 else pixels.shape[3], labels.shape[1])
    initialise(net, random)
    fit(net, pixels, labels, random, passes)
    return Probe(domain, net)


def fit(net: ProbeNet, pixels: Images, labels: Labels, random: torch.Generator, passes: int) -> None:
    """The network is trained on the images, each shifted a little and in a new order at every pass.

    Args:
        net: initialised.
        pixels: uint8 [N, H, W] or [N, H, W, C], at least one batch.
        labels: bool [N, F].
        random: of order and shifts.
        passes: over the images.
    """
    x_N, y_NF = torch.from_numpy(pixels), torch.from_numpy(labels.astype(np.float32))
    steps = len(pixels) // BATCH
    optimiser = torch.optim.AdamW(net.parameters(), lr=PEAK_RATE, weight_decay=WEIGHT_DECAY)
    rate = torch.optim.lr_scheduler.OneCycleLR(optimiser, PEAK_RATE, total_steps=passes * steps)
    net.train()
    for _ in range(passes):
        order = torch.randperm(len(pixels), generator=random)
        for step in range(steps):
            rows = order[step * BATCH : (step + 1) * BATCH]
            down, right = torch.randint(-SHIFT, SHIFT + 1, (2,), generator=random).tolist()
            logits_NF = net(torch.roll(to_input(x_N[rows]), (down, right), dims=(2, 3)))
            loss = nn.functional.binary_cross_entropy_with_logits(logits_NF, y_NF[rows])
            optimiser.zero_grad()
            torch.autograd.backward(loss)
            optimiser.step()
            rate.step()


def validate(
    probe: Probe, reconstruct: Reconstruct, *, images: int = 512, held_out: bool | None = False
) -> LabelScores:
    """What the probe reads off phantoms it never saw, against what they hold.

    Args:
        probe: of one domain.
        reconstruct: what the images go through first; the identity for clean ones.
        images: how many.
        held_out: as for `medim_forge.generator.phantoms.draw`.
    """
    pixels, labels = drawn(probe.domain, VALIDATION_SEEDS, images, held_out)
    return label_scores(labels, probe.predict(reconstructed(pixels, reconstruct)), probe.findings)


def drawn(domain: str, first_seed: int, images: int, held_out: bool | None = False) -> tuple[Images, Labels]:
    """Phantoms uint8 [N, H, W] or [N, H, W, C], and their findings bool [N, F]."""
    phantoms = [draw(domain, seed, held_out=held_out) for seed in range(first_seed, first_seed + images)]
    pixels = np.stack([phantom.image for phantom in phantoms])
    return pixels, label_matrix([phantom.findings for phantom in phantoms], FINDINGS[domain])


def reconstructed(pixels: Images, reconstruct: Reconstruct) -> Images:
    """The images there and back, batch by batch.

    Raises:
        ValueError: what came back has another shape or type.
    """
    back = np.concatenate([reconstruct(pixels[at : at + BATCH]) for at in range(0, len(pixels), BATCH)])
    if back.shape != pixels.shape or back.dtype != np.uint8:
        raise ValueError(f"reconstruct made {back.dtype} {back.shape} of uint8 {pixels.shape}; it must keep both")
    return back


def to_input(pixels: Tensor) -> Tensor:
    """Float32 [N, C, H, W] in [-1, 1] of uint8 [N, H, W] or [N, H, W, C]."""
    x_NHWC = pixels[..., None] if pixels.ndim == 3 else pixels
    return x_NHWC.permute(0, 3, 1, 2).to(torch.float32) / 127.5 - 1


def initialise(net: nn.Module, random: torch.Generator) -> None:
    """Every weight is drawn from `random` (He normal), every bias 0: no global generator decides."""
    for layer in net.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu", generator=random)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
