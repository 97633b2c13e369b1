"""Low-rank adaptation of a backbone: PEFT puts the adapters in, ours are the names, the start and the folder.

Legend: J input width, R rank.
Source: Hu 2021 (LoRA, arXiv 2106.09685).
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from medim_forge.generator.errors import SpecError
from medim_forge.generator.training.order import stream
from medim_forge.model.checkpoint import read_config
from medim_forge.model.checkpoint.adapter import BASE, CONFIG, PREFIX, WEIGHTS
from medim_forge.model.network import Backbone

Part = Literal["attention", "mlp", "adaln"]
_MODULES: Mapping[Part, tuple[str, ...]] = {
    "attention": ("q_proj", "k_proj", "v_proj", "o_proj"),
    "mlp": ("gate_proj", "up_proj", "down_proj"),
    "adaln": ("adaLN_modulation",),
}
_NORMS = [["input_layernorm"], ["post_attention_layernorm"], ["norm"]]
_NAME = "default"


def add_adapters(
    backbone: Backbone, *, rank: int, alpha: int, parts: Sequence[Part], norms: bool = False, seed: int = 0
) -> list[nn.Parameter]:
    """The backbone has adapters, which change nothing yet, and nothing but them is trained.

    Args:
        backbone: changed in place.
        rank: R of every adapter.
        alpha: an adapter counts alpha / R fold.
        parts: of a layer that have adapters.
        norms: whether the weights of the norms are trained too.
        seed: of the adapters' first values, which depend on nothing else.

    Returns:
        What is trained.

    Raises:
        SpecError: PEFT is not installed.
    """
    try:
        from peft import LoraConfig, inject_adapter_in_model
    except ImportError as error:
        raise SpecError(
            "adapt.method: lora needs the package peft; install it with pip install 'medim-forge[train]'."
        ) from error
    config = LoraConfig(
        r=rank,
        lora_alpha=alpha,
        target_modules=[name for part in parts for name in _MODULES[part]],
        lora_dropout=0.0,
        bias="none",
    )
    inject_adapter_in_model(config, backbone, _NAME)
    for name, parameter in backbone.named_parameters():
        if ".lora_A." in name:
            # As PEFT does (uniform within 1 / sqrt(J)), but drawn by name and not from a global generator.
            limit = parameter.shape[1] ** -0.5
            drawn = stream(seed, "lora", _plain(name)).uniform(-limit, limit, tuple(parameter.shape))
            parameter.data.copy_(torch.from_numpy(drawn))
        parameter.requires_grad_("lora_" in name or (norms and name.split(".")[-2:-1] in _NORMS))
    return [parameter for parameter in backbone.parameters() if parameter.requires_grad]


def merged_state(backbone: Backbone) -> dict[str, Tensor]:
    """The weights of a plain backbone that answers as the adapted one does."""
    state = {name: value.detach() for name, value in backbone.state_dict().items()}
    merged = {_plain(name): value for name, value in state.items() if "lora_" not in name}
    scale = _scale(backbone)
    for name in [name for name in state if ".lora_A." in name]:
        target = f"{name.partition('.lora_A.')[0]}.weight"
        wide = merged[target].float() + scale * (state[name.replace("lora_A", "lora_B")] @ state[name]).float()
        merged[target] = wide.to(merged[target].dtype)
    return merged


def save_adapter(folder: Path, backbone: Backbone, base: Path, name: str, sha256: str, card: Mapping[str, Any]) -> None:
    """The folder holds the adapters in PEFT's format, and is a checkpoint together with its base.

    Args:
        folder: made where it is missing.
        backbone: with adapters.
        base: folder of the checkpoint beneath.
        name: what the job calls that.
        sha256: its digest.
        card: what card.json says.
    """
    folder.mkdir(parents=True, exist_ok=True)
    trained = {name: value for name, value in backbone.named_parameters() if value.requires_grad}
    weights = {PREFIX + _stored(name): value.detach().cpu().contiguous() for name, value in trained.items()}
    save_file(weights, folder / WEIGHTS, metadata={"format": "pt"})
    config: dict[str, Any] = _config(backbone).to_dict()
    config["target_modules"] = sorted(config["target_modules"])
    config["base_model_name_or_path"] = name
    plain = {key: value for key, value in config.items() if value is None or isinstance(value, _JSON)}
    (folder / CONFIG).write_text(json.dumps(plain, indent=1, sort_keys=True, default=str) + "\n", encoding="utf-8")
    (folder / BASE).write_text(json.dumps({"checkpoint": name, "sha256": sha256}, indent=1) + "\n", encoding="utf-8")
    (folder / "config.json").write_text(read_config(base).to_json(), encoding="utf-8")
    shutil.copyfile(base / "tokenizer.json", folder / "tokenizer.json")
    (folder / "card.json").write_text(json.dumps(dict(card), indent=1, sort_keys=True) + "\n", encoding="utf-8")


_JSON = (bool, int, float, str, list, dict)


def _config(backbone: Backbone) -> Any:
    """What PEFT noted when it put the adapters in."""
    return getattr(backbone, "peft_config")[_NAME]  # noqa: B009 - torch's stubs take attributes for tensors


def _scale(backbone: Backbone) -> float:
    config = _config(backbone)
    return float(config.lora_alpha / config.r)


def _plain(name: str) -> str:
    """The name that a parameter has without adapters."""
    return name.replace(".base_layer.", ".")


def _stored(name: str) -> str:
    """The name that a parameter has in PEFT's files, which do not name the adapter."""
    return _plain(name).replace(f".{_NAME}.", ".")
