"""Low-rank adapters in PEFT's format: a small folder that is a checkpoint together with the one it was trained on.

    adapter_config.json, adapter_model.safetensors    as PEFT writes them
    base.json                                         the checkpoint beneath: where it lies, and its sha256
    config.json, tokenizer.json, card.json            as in any checkpoint of ours

The adapter is added to the weights when they are loaded, so nothing that samples knows of it. Reading needs no PEFT.
Legend: O output width, J input width, R rank.
Source: Hu 2021 (LoRA, arXiv 2106.09685).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from medim_forge.model.checkpoint.tensors import WeightsError, read_tensors
from medim_forge.model.folders import CheckpointError, resolve
from medim_forge.model.quoting import quoted
from medim_forge.model.strict_json import JsonError, read_mapping

CONFIG, WEIGHTS, BASE = "adapter_config.json", "adapter_model.safetensors", "base.json"
PREFIX = "base_model.model."
_MOST = 1 << 20  # of a rank, and of alpha
_A, _B = ".lora_A.weight", ".lora_B.weight"


@dataclass(frozen=True, kw_only=True)
class Base:
    """The checkpoint that an adapter was trained on.

    Attributes:
        checkpoint: its folder, or `phantom`.
        sha256: its digest then.
    """

    checkpoint: str
    sha256: str


@dataclass(frozen=True, kw_only=True)
class Adapter:
    """What an adapter changes.

    Attributes:
        pairs: float32 A [R, J] and B [O, R] by name of the weight.
        scale: factor of their product.
        whole: weights that it replaces, by name.
    """

    pairs: Mapping[str, tuple[Tensor, Tensor]]
    scale: float
    whole: Mapping[str, Tensor]

    def apply(self, name: str, weight: Tensor) -> Tensor:
        """A weight of the base as the adapter has it, in float32 where it changes it.

        Raises:
            WeightsError: the adapter is of other sizes.
        """
        if name in self.whole:
            changed = self.whole[name]
        elif name in self.pairs:
            a_RJ, b_OR = (part.to(weight.device) for part in self.pairs[name])
            if (b_OR.shape[0], a_RJ.shape[1]) != tuple(weight.shape):
                raise WeightsError(f"{WEIGHTS}: {name} is of {b_OR.shape[0]} x {a_RJ.shape[1]}, not {_size(weight)}")
            return weight.float() + self.scale * (b_OR @ a_RJ)
        else:
            return weight
        if changed.shape != weight.shape:
            raise WeightsError(f"{WEIGHTS}: {name} is of {_size(changed)}, not {_size(weight)}")
        return changed

    @property
    def names(self) -> frozenset[str]:
        """The weights that it changes."""
        return frozenset((*self.pairs, *self.whole))


def is_adapter(folder: Path) -> bool:
    """Whether a checkpoint folder holds an adapter."""
    return (folder / CONFIG).is_file()


def read_base(folder: Path) -> Base:
    """The checkpoint that the adapter of a folder was trained on.

    Raises:
        CheckpointError: base.json is missing or damaged.
    """
    values = _json(folder / BASE)
    if set(values) != {"checkpoint", "sha256"} or not all(isinstance(value, str) for value in values.values()):
        raise CheckpointError(f"{folder / BASE}: needs checkpoint and sha256, both text. Get the adapter again.")
    return Base(**values)


def base_folder(folder: Path) -> Path:
    """The folder of the checkpoint beneath an adapter; a relative one lies beside it.

    Raises:
        CheckpointError: it is not there.
    """
    base = read_base(folder)
    beside = folder / base.checkpoint
    try:
        found = resolve(str(beside) if beside.is_dir() else base.checkpoint)
    except (CheckpointError, OSError) as error:
        raise CheckpointError(f"{folder / BASE}: the adapter's base is not there: {error}") from error
    if is_adapter(found):
        raise CheckpointError(f"{folder / BASE}: {quoted(base.checkpoint)} is an adapter itself. Name its own base.")
    return found


def check_base(folder: Path, found: str) -> None:
    """The checkpoint beneath an adapter is the one that it was trained on.

    Args:
        folder: of the adapter.
        found: digest of the checkpoint that is there.

    Raises:
        CheckpointError: it is another one.
    """
    base = read_base(folder)
    if found != base.sha256:
        raise CheckpointError(
            f"{folder}: this adapter was trained on the checkpoint {base.sha256[:12]}, and {base.checkpoint} is "
            f"{found[:12]}. Name the right one in {BASE}; on another one its numbers mean nothing."
        )


def read_adapter(folder: Path) -> Adapter:
    """The adapter of a folder.

    Raises:
        CheckpointError: it is damaged, or of a kind that is not a plain low-rank adapter.
    """
    config = _json(folder / CONFIG)
    rank, alpha = config.get("r"), config.get("lora_alpha")
    if config.get("peft_type") != "LORA" or not isinstance(rank, int) or not isinstance(alpha, int | float):
        raise CheckpointError(f"{folder / CONFIG}: is not of a LoRA adapter with r and lora_alpha; get one by PEFT.")
    if not 1 <= rank <= _MOST or abs(alpha) > _MOST:
        raise CheckpointError(f"{folder / CONFIG}: r = {quoted(rank)}, lora_alpha = {quoted(alpha)}; r is at least 1.")
    special = ("use_dora", "rank_pattern", "alpha_pattern", "fan_in_fan_out", "megatron_config", "layer_replication")
    if used := [name for name in special if config.get(name)]:
        raise CheckpointError(f"{folder / CONFIG}: {used[0]} is set, and only plain LoRA is read. Merge it with PEFT.")
    stored: dict[str, Tensor] = {}
    try:
        for name, tensor in read_tensors(folder / WEIGHTS):
            if not bool(torch.isfinite(tensor).all()):
                raise WeightsError(f"{folder / WEIGHTS}: {name} holds values that are not finite")
            stored[name.removeprefix(PREFIX)] = tensor.float()
    except WeightsError as error:
        raise CheckpointError(str(error)) from error
    pairs = {}
    for name in [name for name in stored if name.endswith(_A)]:
        a_RJ, b_OR = stored.pop(name), stored.pop(name.removesuffix(_A) + _B, None)
        where = f"{folder / WEIGHTS}: {name}"
        if b_OR is None or a_RJ.ndim != 2 or b_OR.ndim != 2 or a_RJ.shape[0] != rank or b_OR.shape[1] != rank:
            raise CheckpointError(f"{where} has no B of rank {rank} beside it. Get the adapter again.")
        pairs[name.removesuffix(_A) + ".weight"] = (a_RJ, b_OR)
    if lost := [name for name in stored if "lora_" in name]:
        raise CheckpointError(f"{folder / WEIGHTS}: {lost[0]} has no A beside it. Get the adapter again.")
    scale = alpha / math.sqrt(rank) if config.get("use_rslora") else alpha / rank
    return Adapter(pairs=pairs, scale=float(scale), whole=stored)


def _json(path: Path) -> dict[str, Any]:
    try:
        return read_mapping(path)
    except JsonError as error:
        raise CheckpointError(f"{error}. Get the adapter again.") from error


def _size(weight: Tensor) -> str:
    return " x ".join(map(str, weight.shape))
