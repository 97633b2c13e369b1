"""The denoiser: a Gemma decoder without its causal mask, conditioned on the noise level by AdaLN.

Module names are those of the official checkpoint without its `model.` prefix.
Legend: B batch, L sequence, D width, N heads, K key heads, H head width, V vocabulary, F time features.
Source: medim-spec section 1; MeDiM (arXiv 2510.06131) section 3; Gemma (arXiv 2403.08295).
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from medim_forge.model.config import BackboneConfig


class RMSNorm(nn.Module):
    """Root-mean-square norm, computed in float32, scaled by `1 + weight`."""

    def __init__(self, size: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(size))
        self.eps = eps

    def forward(self, x_BLD: Tensor) -> Tensor:
        """The normalised input, in its own dtype."""
        wide = x_BLD if x_BLD.dtype == torch.float64 else x_BLD.float()
        wide = wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + self.eps)
        return (wide * (1.0 + self.weight.to(wide.dtype))).type_as(x_BLD)


class TimeEmbedder(nn.Module):
    """Sinusoidal features of sigma (cosines first), then a two-layer MLP. Source: medim-spec 1.2."""

    def __init__(self, features: int, size: int) -> None:
        super().__init__()
        self.mlp = nn.Sequential(nn.Linear(features, size), nn.SiLU(), nn.Linear(size, size))
        self.features = features

    def forward(self, sigma_B: Tensor) -> Tensor:
        """The embedding [B, D] of noise levels, which are neither scaled nor turned into times."""
        half = self.features // 2
        weight = next(self.mlp.parameters())
        wide = torch.float64 if weight.dtype == torch.float64 else torch.float32
        rates = torch.exp(-math.log(10000.0) * torch.arange(half, device=sigma_B.device, dtype=wide) / half)
        angles = sigma_B.to(wide)[:, None] * rates
        embedding: Tensor = self.mlp(torch.cat([angles.cos(), angles.sin()], dim=-1).to(weight.dtype))
        return embedding


def rope_table(
    length: int, head_dim: int, theta: float, device: torch.device, dtype: torch.dtype
) -> tuple[Tensor, Tensor]:
    """Cosines and sines [L, H] of the rotary embedding, computed in float32 (float64 for a float64 model)."""
    wide = torch.float64 if dtype == torch.float64 else torch.float32
    rates = 1.0 / theta ** (torch.arange(0, head_dim, 2, device=device, dtype=torch.int64).to(wide) / head_dim)
    angles = torch.arange(length, device=device, dtype=wide)[:, None] * rates
    angles = torch.cat([angles, angles], dim=-1)
    return angles.cos().to(dtype), angles.sin().to(dtype)


def rotate(x_BNLH: Tensor, cos_LH: Tensor, sin_LH: Tensor) -> Tensor:
    """Rotary embedding in the half-split convention."""
    first, second = x_BNLH.chunk(2, dim=-1)
    return x_BNLH * cos_LH + torch.cat([-second, first], dim=-1) * sin_LH


class Attention(nn.Module):
    """Bidirectional attention with rotary positions; scale 1/sqrt(head_dim), no biases."""

    def __init__(self, config: BackboneConfig) -> None:
        super().__init__()
        self.heads, self.kv_heads, self.head_dim = config.heads, config.kv_heads, config.head_dim
        self.q_proj = nn.Linear(config.hidden_size, config.heads * config.head_dim, bias=False)
        self.k_proj = nn.Linear(config.hidden_size, config.kv_heads * config.head_dim, bias=False)
        self.v_proj = nn.Linear(config.hidden_size, config.kv_heads * config.head_dim, bias=False)
        self.o_proj = nn.Linear(config.heads * config.head_dim, config.hidden_size, bias=False)

    def forward(self, x_BLD: Tensor, bias_B11L: Tensor, rope: tuple[Tensor, Tensor]) -> Tensor:
        """Attend to every visible position."""
        batch, length, _ = x_BLD.shape
        q_BNLH = rotate(self.q_proj(x_BLD).view(batch, length, self.heads, self.head_dim).transpose(1, 2), *rope)
        k_BKLH = rotate(self.k_proj(x_BLD).view(batch, length, self.kv_heads, self.head_dim).transpose(1, 2), *rope)
        v_BKLH = self.v_proj(x_BLD).view(batch, length, self.kv_heads, self.head_dim).transpose(1, 2)
        grouped = self.heads != self.kv_heads
        out_BNLH = functional.scaled_dot_product_attention(
            q_BNLH, k_BKLH, v_BKLH, attn_mask=bias_B11L, enable_gqa=grouped
        )
        out: Tensor = self.o_proj(out_BNLH.transpose(1, 2).reshape(batch, length, -1))
        return out


class GatedMlp(nn.Module):
    """`down(gelu_tanh(gate(x)) * up(x))`."""

    def __init__(self, config: BackboneConfig) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(config.hidden_size, config.intermediate_size, bias=False)
        self.up_proj = nn.Linear(config.hidden_size, config.intermediate_size, bias=False)
        self.down_proj = nn.Linear(config.intermediate_size, config.hidden_size, bias=False)

    def forward(self, x_BLD: Tensor) -> Tensor:
        """The gated projection."""
        out: Tensor = self.down_proj(functional.gelu(self.gate_proj(x_BLD), approximate="tanh") * self.up_proj(x_BLD))
        return out


class Layer(nn.Module):
    """A pre-norm block whose norms are shifted and scaled, and whose branches are gated, by the noise level.

    The modulation is linear in the time embedding, without the SiLU of DiT, and the gates are plain (not 1 + gate).
    """

    def __init__(self, config: BackboneConfig) -> None:
        super().__init__()
        self.self_attn = Attention(config)
        self.mlp = GatedMlp(config)
        self.input_layernorm = RMSNorm(config.hidden_size, config.norm_eps)
        self.post_attention_layernorm = RMSNorm(config.hidden_size, config.norm_eps)
        self.adaLN_modulation = nn.Linear(config.hidden_size, 6 * config.hidden_size)

    def forward(self, x_BLD: Tensor, time_BD: Tensor, bias_B11L: Tensor, rope: tuple[Tensor, Tensor]) -> Tensor:
        """The block's output."""
        modulation = self.adaLN_modulation(time_BD)[:, None].chunk(6, dim=-1)
        shift_attn, scale_attn, gate_attn, shift_mlp, scale_mlp, gate_mlp = modulation
        h_BLD = self.input_layernorm(x_BLD) * (1 + scale_attn) + shift_attn
        x_BLD = x_BLD + gate_attn * self.self_attn(h_BLD, bias_B11L, rope)
        h_BLD = self.post_attention_layernorm(x_BLD) * (1 + scale_mlp) + shift_mlp
        out: Tensor = x_BLD + gate_mlp * self.mlp(h_BLD)
        return out


class Backbone(nn.Module):
    """Ids and a noise level become hidden states; `head` turns those into logits.

    Args:
        config: sizes.
        vocab: V.
    """

    def __init__(self, config: BackboneConfig, vocab: int) -> None:
        super().__init__()
        self.config = config
        self.embed_tokens = nn.Embedding(vocab, config.hidden_size)
        self.time_embedder = TimeEmbedder(config.time_features, config.hidden_size)
        self.layers = nn.ModuleList(Layer(config) for _ in range(config.layers))
        self.norm = RMSNorm(config.hidden_size, config.norm_eps)
        self.lm_head = None if config.tied else nn.Linear(config.hidden_size, vocab, bias=False)
        self.positions = (
            nn.Parameter(torch.zeros(config.learned_positions, config.hidden_size))
            if config.learned_positions
            else None
        )

    @property
    def head_weight(self) -> Tensor:
        """The output head [V, D]."""
        return self.embed_tokens.weight if self.lm_head is None else self.lm_head.weight

    def embed(self, ids_BL: Tensor) -> Tensor:
        """Scaled embeddings [B, L, D], with learned positions where the model has them."""
        x_BLD: Tensor = self.embed_tokens(ids_BL)
        x_BLD = x_BLD * torch.tensor(math.sqrt(self.config.hidden_size), dtype=x_BLD.dtype, device=x_BLD.device)
        return x_BLD if self.positions is None else x_BLD + self.positions[: ids_BL.shape[1]]

    def hidden(self, ids_BL: Tensor, visible_BL: Tensor, sigma_B: Tensor) -> list[Tensor]:
        """Hidden states: the embedding, then after every layer; the last one after the final norm.

        Args:
            ids_BL: int64.
            visible_BL: bool; False keys are attended by nobody.
            sigma_B: noise level, >= 0.
        """
        time_BD = self.time_embedder(sigma_B)
        x_BLD = self.embed(ids_BL)
        bias_B11L = torch.zeros(ids_BL.shape, dtype=x_BLD.dtype, device=x_BLD.device)
        bias_B11L = bias_B11L.masked_fill(~visible_BL, torch.finfo(x_BLD.dtype).min)[:, None, None]
        rope = rope_table(ids_BL.shape[1], self.config.head_dim, self.config.rope_theta, x_BLD.device, x_BLD.dtype)
        states = [x_BLD]
        for layer in self.layers:
            states.append(layer(states[-1], time_BD, bias_B11L, rope))
        states[-1] = self.norm(states[-1])
        return states

    def forward(self, ids_BL: Tensor, visible_BL: Tensor, sigma_B: Tensor) -> Tensor:
        """The final hidden state [B, L, D]."""
        return self.hidden(ids_BL, visible_BL, sigma_B)[-1]

    def logits(self, hidden_BLD: Tensor) -> Tensor:
        """Logits [B, L, V], at least float32."""
        logits_BLV = functional.linear(hidden_BLD, self.head_weight)
        return logits_BLV if logits_BLV.dtype == torch.float64 else logits_BLV.float()
