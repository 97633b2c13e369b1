"""The official backbone's tensors: their names in our terms, and the sizes that their shapes state.

Source: medim-spec section 2; the names are those of the class that the official code trains.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import torch

from medim_forge.model.checkpoint import CheckpointError
from medim_forge.model.checkpoint.tensors import listed, misfits
from medim_forge.model.config import BackboneConfig
from medim_forge.model.network.backbone import Backbone

# What wrappers put into names: distributed training, compilation.
WRAPPERS = {"module", "_orig_mod", "_orig_module"}
# What shapes cannot tell.
OFFICIAL = {"head_dim": 256, "rope_theta": 10000.0, "rms_norm_eps": 1e-6}
ACTIVATIONS = (None, "gelu", "gelu_pytorch_tanh")
HEAD = "lm_head.weight"

Shapes = Mapping[str, tuple[int, ...]]


def our_name(name: str) -> str:
    """The name without what training wrapped around the model."""
    parts = [part for part in name.split(".") if part not in WRAPPERS]
    for outer in ("backbone", "model"):
        if parts and parts[0] == outer:
            parts = parts[1:]
    return ".".join(parts)


def our_names(stored: Mapping[str, Any], what: str) -> dict[str, str]:
    """Stored name by our name.

    Raises:
        CheckpointError: two stored names mean the same tensor.
    """
    found: dict[str, str] = {}
    for name in stored:
        if (ours := our_name(name)) in found:
            raise CheckpointError(f"{what}: {found[ours]} and {name} both mean {ours}")
        found[ours] = name
    return found


def backbone_config(shapes: Shapes, given: Mapping[str, Any], *, tied: bool, what: str) -> BackboneConfig:
    """The sizes of a backbone.

    Args:
        shapes: by our name.
        given: a config.json in the manner of transformers, or nothing; it decides what shapes cannot tell, and may not
            contradict them.
        tied: whether the output head is the embedding.
        what: what to call the source in errors.

    Raises:
        CheckpointError: tensors are missing, unexpected or of the wrong shape, or the config contradicts them.
    """
    if any(name.startswith("layers.") for name in shapes) and not any("adaLN_modulation" in name for name in shapes):
        raise CheckpointError(
            f"{what}: there is no adaLN_modulation tensor among {len(shapes)}: this is a stock Gemma (or Liquid) "
            "checkpoint, which was never trained to denoise; give the MeDiM checkpoint"
        )
    vocab, hidden = _matrix(shapes, "embed_tokens.weight", what)
    layers = 1 + max((int(found[1]) for name in shapes if (found := re.match(r"layers\.(\d+)\.", name))), default=-1)
    known = {**OFFICIAL, **_facts(given)}
    q_width = _matrix(shapes, "layers.0.self_attn.q_proj.weight", what)[0]
    k_width = _matrix(shapes, "layers.0.self_attn.k_proj.weight", what)[0]
    head_dim = int(known["head_dim"])
    if q_width % head_dim or k_width % head_dim:
        raise CheckpointError(
            f"{what}: queries are {q_width} wide and keys {k_width}, no multiples of heads of {head_dim}; give the "
            "config.json that belongs to these weights (--config)"
        )
    config = BackboneConfig(
        hidden_size=hidden,
        intermediate_size=_matrix(shapes, "layers.0.mlp.gate_proj.weight", what)[0],
        layers=layers,
        heads=q_width // head_dim,
        kv_heads=k_width // head_dim,
        head_dim=head_dim,
        tied=tied,
        rope_theta=float(known["rope_theta"]),
        norm_eps=float(known["rms_norm_eps"]),
        time_features=_matrix(shapes, "time_embedder.mlp.0.weight", what)[1],
    )
    _agree(config, vocab, given, what)
    with torch.device("meta"):
        wanted = {name: tuple(tensor.shape) for name, tensor in Backbone(config, vocab).state_dict().items()}
    if problems := misfits(wanted, {name: shape for name, shape in shapes.items() if not (tied and name == HEAD)}):
        raise CheckpointError(f"{what}: {listed(problems)}. Sizes follow from the embedding and layer 0")
    return config


def _matrix(shapes: Shapes, name: str, what: str) -> tuple[int, int]:
    if name not in shapes:
        there = ", ".join(sorted(shapes)[:3]) or "nothing"
        raise CheckpointError(f"{what}: {name} is missing; is this the official backbone? There is: {there}")
    if len(shapes[name]) != 2:
        raise CheckpointError(f"{what}: {name} is {shapes[name]}, not a matrix")
    return shapes[name][0], shapes[name][1]


def _facts(given: Mapping[str, Any]) -> dict[str, Any]:
    """What a given config says beyond shapes; newer ones keep theta in a section of its own."""
    found = {key: given[key] for key in OFFICIAL if given.get(key) is not None}
    rope = given.get("rope_parameters")
    if isinstance(rope, Mapping) and "rope_theta" in rope:
        found["rope_theta"] = rope["rope_theta"]
    return found


def _agree(config: BackboneConfig, vocab: int, given: Mapping[str, Any], what: str) -> None:
    """The given config says nothing that the tensors contradict."""
    by_shape = {
        "vocab_size": vocab,
        "hidden_size": config.hidden_size,
        "intermediate_size": config.intermediate_size,
        "num_hidden_layers": config.layers,
        "num_attention_heads": config.heads,
        "num_key_value_heads": config.kv_heads,
    }
    wrong = [
        f"{key} = {given[key]!r}, tensors say {value}"
        for key, value in by_shape.items()
        if given.get(key) not in (None, value)
    ]
    wrong += [
        f"{key} = {given[key]!r}, this model has gelu_pytorch_tanh"
        for key in ("hidden_activation", "hidden_act")
        if given.get(key) not in ACTIVATIONS
    ]
    if wrong:
        raise CheckpointError(f"{what}: the given config.json does not belong to these weights: {'; '.join(wrong)}")
