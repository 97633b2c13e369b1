"""With neutral modulation our backbone is transformers' GemmaModel without its causal mask."""

from __future__ import annotations

import torch
from transformers import GemmaConfig, GemmaModel

from medim_forge.model.config import BackboneConfig
from medim_forge.model.network.backbone import Backbone


def pair():
    sizes = BackboneConfig(hidden_size=48, intermediate_size=96, layers=3, heads=4, kv_heads=2, head_dim=16)
    ours = Backbone(sizes, 60).eval().requires_grad_(False)
    generator = torch.Generator().manual_seed(0)
    for parameter in ours.parameters():
        parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.2)
    for layer in ours.layers:
        layer.adaLN_modulation.weight.zero_()
        layer.adaLN_modulation.bias.zero_()
        layer.adaLN_modulation.bias[2 * 48 : 3 * 48] = 1.0
        layer.adaLN_modulation.bias[5 * 48 :] = 1.0
    config = GemmaConfig(
        vocab_size=60,
        hidden_size=48,
        intermediate_size=96,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=16,
        attn_implementation="eager",
    )
    gemma = GemmaModel(config).eval().requires_grad_(False)
    stored = {k: v for k, v in ours.state_dict().items() if "adaLN" not in k and "time_embedder" not in k}
    missing, unexpected = gemma.load_state_dict(stored, strict=False)
    assert not unexpected
    assert not [name for name in missing if "rotary" not in name]
    return ours, gemma


def test_backbone_equals_gemma_without_its_causal_mask():
    ours, gemma = pair()
    ids = torch.randint(0, 60, (2, 20), generator=torch.Generator().manual_seed(1))
    visible = torch.ones_like(ids, dtype=torch.bool)
    visible[0, 15:] = False
    bias = torch.zeros(2, 1, 20, 20).masked_fill(~visible[:, None, None], torch.finfo(torch.float32).min)
    theirs = gemma(input_ids=ids, attention_mask=bias).last_hidden_state
    mine = ours(ids, visible, torch.tensor([0.3, 2.0]))
    assert torch.allclose(mine, theirs, atol=1e-5)


def test_a_causal_gemma_differs():
    ours, gemma = pair()
    ids = torch.randint(0, 60, (2, 20), generator=torch.Generator().manual_seed(1))
    causal = gemma(input_ids=ids).last_hidden_state
    mine = ours(ids, torch.ones_like(ids, dtype=torch.bool), torch.tensor([0.3, 2.0]))
    assert (mine - causal).abs().max() > 1e-2
