"""The image tokenizer: pixels <-> codebook ids.

The taming VQModel topology; module names are those of the Chameleon checkpoint. Pixels are float in [-1, 1].
Legend: B batch, C channels, H W pixels or grid, I = codes per image, E codebook width.
Source: medim-spec section 7; Esser et al. 2021 (VQGAN).
"""

from __future__ import annotations

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from medim_forge.model.config import VqganConfig


def _norm(config: VqganConfig, channels: int) -> nn.GroupNorm:
    return nn.GroupNorm(config.groups, channels, eps=1e-6)


class ResBlock(nn.Module):
    """norm-swish-conv twice, plus the input (through a 1x1 where the width changes)."""

    def __init__(self, config: VqganConfig, width_in: int, width_out: int) -> None:
        super().__init__()
        self.norm1 = _norm(config, width_in)
        self.conv1 = nn.Conv2d(width_in, width_out, 3, padding=1)
        self.norm2 = _norm(config, width_out)
        self.conv2 = nn.Conv2d(width_out, width_out, 3, padding=1)
        self.nin_shortcut = nn.Conv2d(width_in, width_out, 1) if width_in != width_out else nn.Identity()

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """The block's output."""
        h_BCHW = self.conv1(functional.silu(self.norm1(x_BCHW)))
        h_BCHW = self.conv2(functional.silu(self.norm2(h_BCHW)))
        out: Tensor = self.nin_shortcut(x_BCHW) + h_BCHW
        return out


class AttnBlock(nn.Module):
    """Single-head attention over the grid, plus the input."""

    def __init__(self, config: VqganConfig, width: int) -> None:
        super().__init__()
        self.norm = _norm(config, width)
        self.q = nn.Conv2d(width, width, 1)
        self.k = nn.Conv2d(width, width, 1)
        self.v = nn.Conv2d(width, width, 1)
        self.proj_out = nn.Conv2d(width, width, 1)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """The block's output."""
        h_BCHW = self.norm(x_BCHW)
        q, k, v = (part(h_BCHW).flatten(2).transpose(1, 2) for part in (self.q, self.k, self.v))
        mixed = functional.scaled_dot_product_attention(q[:, None], k[:, None], v[:, None])[:, 0]
        out: Tensor = x_BCHW + self.proj_out(mixed.transpose(1, 2).reshape(x_BCHW.shape))
        return out


class Downsample(nn.Module):
    """Halves the grid by a strided convolution padded at the right and bottom only."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, stride=2)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """The halved grid."""
        out: Tensor = self.conv(functional.pad(x_BCHW, (0, 1, 0, 1)))
        return out


class Upsample(nn.Module):
    """Doubles the grid by nearest neighbours, then a convolution."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """The doubled grid."""
        out: Tensor = self.conv(functional.interpolate(x_BCHW, scale_factor=2.0, mode="nearest"))
        return out


class Middle(nn.Module):
    """Block, attention, block at the smallest grid."""

    def __init__(self, config: VqganConfig, width: int) -> None:
        super().__init__()
        self.block_1 = ResBlock(config, width, width)
        self.attn_1 = AttnBlock(config, width)
        self.block_2 = ResBlock(config, width, width)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """The block's output."""
        out: Tensor = self.block_2(self.attn_1(self.block_1(x_BCHW)))
        return out


class Level(nn.Module):
    """Residual blocks at one grid size, with the change of grid that follows them (None at the last level)."""

    def __init__(
        self, blocks: list[ResBlock], *, downsample: Downsample | None = None, upsample: Upsample | None = None
    ) -> None:
        super().__init__()
        self.block = nn.ModuleList(blocks)
        if downsample is not None:
            self.downsample = downsample
        if upsample is not None:
            self.upsample = upsample

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """The level's output."""
        for module in self.block:
            x_BCHW = module(x_BCHW)
        for name in ("downsample", "upsample"):
            if hasattr(self, name):
                x_BCHW = getattr(self, name)(x_BCHW)
        return x_BCHW


class Encoder(nn.Module):
    """Pixels to a grid of `z_channels`."""

    def __init__(self, config: VqganConfig) -> None:
        super().__init__()
        self.patch = config.patch
        widths = [config.ch * mult for mult in config.ch_mult]
        self.conv_in = nn.Conv2d(config.channels * config.patch**2, config.ch, 3, padding=1)
        self.down = nn.ModuleList()
        width = config.ch
        for index, wide in enumerate(widths):
            blocks = [ResBlock(config, width if block == 0 else wide, wide) for block in range(config.num_res_blocks)]
            self.down.append(Level(blocks, downsample=Downsample(wide) if index < len(widths) - 1 else None))
            width = wide
        self.mid = Middle(config, width)
        self.norm_out = _norm(config, width)
        self.conv_out = nn.Conv2d(width, config.z_channels, 3, padding=1)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """The grid, `factor` times smaller."""
        h_BCHW = self.conv_in(functional.pixel_unshuffle(x_BCHW, self.patch))
        for level in self.down:
            h_BCHW = level(h_BCHW)
        out: Tensor = self.conv_out(functional.silu(self.norm_out(self.mid(h_BCHW))))
        return out


class Decoder(nn.Module):
    """A grid of `z_channels` to pixels."""

    def __init__(self, config: VqganConfig) -> None:
        super().__init__()
        self.patch = config.patch
        widths = [config.ch * mult for mult in config.ch_mult]
        width = widths[-1]
        self.conv_in = nn.Conv2d(config.z_channels, width, 3, padding=1)
        self.mid = Middle(config, width)
        levels: list[Level] = []
        for index in reversed(range(len(widths))):
            wide = widths[index]
            blocks = [
                ResBlock(config, width if block == 0 else wide, wide) for block in range(config.num_res_blocks + 1)
            ]
            levels.append(Level(blocks, upsample=Upsample(wide) if index > 0 else None))
            width = wide
        self.up = nn.ModuleList(reversed(levels))
        self.norm_out = _norm(config, width)
        self.conv_out = nn.Conv2d(width, config.channels * config.patch**2, 3, padding=1)

    def forward(self, z_BCHW: Tensor) -> Tensor:
        """Pixels; not clamped."""
        h_BCHW = self.mid(self.conv_in(z_BCHW))
        for level in reversed(self.up):
            h_BCHW = level(h_BCHW)
        return functional.pixel_shuffle(self.conv_out(functional.silu(self.norm_out(h_BCHW))), self.patch)


class Quantizer(nn.Module):
    """The codes [n_embed, E]; an embedding, so that names match the official checkpoint."""

    def __init__(self, config: VqganConfig) -> None:
        super().__init__()
        self.embedding = nn.Embedding(config.n_embed, config.embed_dim)

    def nearest(self, z_BEHW: Tensor) -> Tensor:
        """Ids [B, I] of the nearest codes; the first one on ties."""
        flat_RE = z_BEHW.movedim(1, -1).reshape(-1, z_BEHW.shape[1])
        codes_KE = self.embedding.weight
        distance_RK = flat_RE.pow(2).sum(1, keepdim=True) + codes_KE.pow(2).sum(1) - 2 * flat_RE @ codes_KE.T
        return distance_RK.argmin(1).view(z_BEHW.shape[0], -1)


class Vqgan(nn.Module):
    """Image tokenizer of one or more domains."""

    def __init__(self, config: VqganConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = Encoder(config)
        self.decoder = Decoder(config)
        self.quantize = Quantizer(config)
        self.quant_conv = nn.Conv2d(config.z_channels, config.embed_dim, 1)
        self.post_quant_conv = nn.Conv2d(config.embed_dim, config.z_channels, 1)

    def latents(self, x_BCHW: Tensor) -> Tensor:
        """The grid [B, E, h, w] before it meets the codebook."""
        out: Tensor = self.quant_conv(self.encoder(x_BCHW))
        return out

    def lookup(self, codes_BI: Tensor) -> Tensor:
        """The grid [B, E, h, w] of codes in raster order."""
        side = self.config.resolution // self.config.factor
        grid_BHWE: Tensor = self.quantize.embedding(codes_BI).view(-1, side, side, self.config.embed_dim)
        return grid_BHWE.movedim(-1, 1)

    def encode(self, x_BCHW: Tensor) -> Tensor:
        """Codes [B, I], int64, of pixels in [-1, 1]."""
        return self.quantize.nearest(self.latents(x_BCHW))

    def decode_grid(self, z_BEHW: Tensor) -> Tensor:
        """Pixels [B, C, H, W] of a grid of codes; not clamped."""
        out: Tensor = self.decoder(self.post_quant_conv(z_BEHW))
        return out

    def decode(self, codes_BI: Tensor) -> Tensor:
        """Pixels [B, C, H, W] of codes; not clamped."""
        return self.decode_grid(self.lookup(codes_BI))


def to_pixels(image_BHWC: Tensor) -> Tensor:
    """uint8 images [B, H, W, C] as float32 pixels [B, C, H, W] in [-1, 1]."""
    return (image_BHWC.float() / 255 * 2 - 1).movedim(-1, 1)


def to_uint8(x_BCHW: Tensor) -> Tensor:
    """Pixels as uint8 images [B, H, W, C]: clamped to [-1, 1], then truncated, as the official code does."""
    return ((x_BCHW.float().clamp(-1, 1) + 1) / 2 * 255).to(torch.uint8).movedim(1, -1)
