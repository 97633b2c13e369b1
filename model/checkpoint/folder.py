"""Our checkpoint folder: config.json, backbone.safetensors, image_tokenizer_<n>.safetensors, tokenizer.json, card.json.

A large backbone lies in several files with an index. Loading is strict: every tensor there, of the right shape, finite;
nothing is filled in. An adapter's folder (`adapter.py`) is a checkpoint together with the one beneath. One sha256 names
the whole.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from medim_forge.model.checkpoint import adapter
from medim_forge.model.checkpoint.tensors import (
    WeightsError,
    index_name,
    listed,
    misfits,
    read_tensors,
    stored_tensors,
    weight_files,
)
from medim_forge.model.config import MedimConfig, read_config
from medim_forge.model.familiarity import FILE, Range, read_ranges, write_ranges
from medim_forge.model.folders import CheckpointError
from medim_forge.model.network import Backbone, Vqgan
from medim_forge.model.quoting import quoted
from medim_forge.model.strict_json import JsonError, read_mapping
from medim_forge.model.text import ReportTokenizer

CARD = "card.json"
_MOST_OF_TERM = 4000  # characters


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """A loaded model.

    Attributes:
        config: sizes.
        backbone: the denoiser.
        image_tokenizers: one per codebook, in vocabulary order.
        text: report tokenizer.
        ranges: what its training data keep to, by domain; empty where nobody measured it.
    """

    config: MedimConfig
    backbone: Backbone
    image_tokenizers: tuple[Vqgan, ...]
    text: ReportTokenizer
    ranges: Mapping[str, Range] = field(default_factory=dict)


def _files(folder: Path, config: MedimConfig) -> Iterator[Path]:
    yield folder / "config.json"
    if adapter.is_adapter(folder):
        yield from (folder / name for name in (adapter.CONFIG, adapter.WEIGHTS, "tokenizer.json"))
        return
    if (folder / index_name("backbone")).is_file():
        yield folder / index_name("backbone")
    yield from _weight_files(folder, "backbone")
    for index in range(len(config.image_tokenizers)):
        yield folder / f"image_tokenizer_{index}.safetensors"
    yield folder / "tokenizer.json"


def _weight_files(folder: Path, stem: str) -> list[Path]:
    try:
        return weight_files(folder, stem)
    except WeightsError as error:
        raise CheckpointError(str(error)) from error


def sha256(folder: Path) -> str:
    """One digest over config, weights and tokenizer, by name and content. Needs neither torch nor memory for weights.

    Raises:
        CheckpointError: a file is missing.
    """
    whole = hashlib.sha256()
    if adapter.is_adapter(folder):
        whole.update(f"base {_base_digest(folder)}\n".encode())
    for path in _files(folder, read_config(folder)):
        if not path.is_file():
            raise CheckpointError(f"checkpoint {folder}: {path.name} is missing")
        with path.open("rb") as stream:
            whole.update(f"{path.name} {hashlib.file_digest(stream, 'sha256').hexdigest()}\n".encode())
    return whole.hexdigest()


def _base_digest(folder: Path) -> str:
    """The digest of the checkpoint beneath an adapter, known to be the right one."""
    found = sha256(adapter.base_folder(folder))
    adapter.check_base(folder, found)
    return found


def training_data_terms(folder: Path) -> tuple[str, ...]:
    """Terms of the training data that every output must carry; from card.json, empty where there is none.

    Raises:
        CheckpointError: card.json cannot be read, or its terms are no list of text.
    """
    terms = _card(folder).get("training_data_terms", [])
    if not isinstance(terms, list) or not all(isinstance(term, str) and len(term) <= _MOST_OF_TERM for term in terms):
        raise CheckpointError(
            f"{folder / CARD}: training_data_terms = {quoted(terms)}; give a list of texts, each of at most "
            f"{_MOST_OF_TERM} characters"
        )
    return tuple(terms)


def learned_from(folder: Path) -> str:
    """Whose data the weights were trained on, as card.json says: `phantoms` or `patients`, else `unknown`.

    Raises:
        CheckpointError: card.json cannot be read.
    """
    said = _card(folder).get("learned_from")
    return said if said in ("phantoms", "patients") else "unknown"


def _card(folder: Path) -> dict[str, Any]:
    path = folder / CARD
    if not path.exists():
        return {}
    try:
        return read_mapping(path)
    except JsonError as error:
        raise CheckpointError(f"{error}; mend the file, or take it away") from error


def save(
    folder: Path,
    checkpoint: Checkpoint,
    *,
    dtype: torch.dtype = torch.float16,
    card: Mapping[str, object] | None = None,
) -> None:
    """Write a checkpoint folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(checkpoint.config.to_json(), encoding="utf-8")
    save_file(_stored(checkpoint.backbone, dtype), folder / "backbone.safetensors")
    for index, tokenizer in enumerate(checkpoint.image_tokenizers):
        save_file(_stored(tokenizer, dtype), folder / f"image_tokenizer_{index}.safetensors")
    checkpoint.text.save(folder / "tokenizer.json")
    if checkpoint.ranges:
        write_ranges(folder, checkpoint.ranges)
    if card is not None:
        (folder / CARD).write_text(json.dumps(card, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def _stored(module: nn.Module, dtype: torch.dtype) -> dict[str, Tensor]:
    return {name: tensor.detach().cpu().to(dtype).contiguous() for name, tensor in module.state_dict().items()}


def load(folder: Path, *, dtype: torch.dtype = torch.float32, device: torch.device | str = "cpu") -> Checkpoint:
    """The model of a checkpoint folder, in evaluation mode.

    Args:
        folder: as `save` wrote it.
        dtype: of the backbone; image tokenizers stay float32, so that codes do not depend on it.
        device: where to put it.

    Raises:
        CheckpointError: a file or tensor is missing, unexpected, of another shape or not finite.
    """
    config, change = read_config(folder), None
    beneath = folder
    if adapter.is_adapter(folder):
        _base_digest(folder)
        beneath, change = adapter.base_folder(folder), adapter.read_adapter(folder)
    with torch.device("meta"):
        backbone = Backbone(config.backbone, config.layout.vocab)
        tokenizers = [Vqgan(sizes) for sizes in config.image_tokenizers]
    _fill(backbone, beneath, "backbone", dtype, device, change)
    for index, tokenizer in enumerate(tokenizers):
        _fill(tokenizer, beneath, f"image_tokenizer_{index}", torch.float32, device)
    text = ReportTokenizer.load(folder / "tokenizer.json", config.conventions.text)
    if len(text) > config.layout.report_vocab:
        raise CheckpointError(
            f"{folder}: tokenizer.json has {len(text)} ids, the layout leaves room for {config.layout.report_vocab}"
        )
    try:
        ranges = read_ranges(folder)
    except ValueError as error:
        raise CheckpointError(str(error)) from error
    for domain, found in ranges.items():
        if len(found.embedding_mean) != config.backbone.hidden_size:
            raise CheckpointError(
                f"{folder / FILE}: {domain}.embedding_mean has {len(found.embedding_mean)} values, the backbone "
                f"{config.backbone.hidden_size}; measure the ranges again or remove the file"
            )
    return Checkpoint(config=config, backbone=backbone, image_tokenizers=tuple(tokenizers), text=text, ranges=ranges)


def _fill(
    module: nn.Module,
    folder: Path,
    stem: str,
    dtype: torch.dtype,
    device: torch.device | str,
    change: adapter.Adapter | None = None,
) -> None:
    """The module holds the stored tensors, brought to the device one by one: never two copies of a file in memory."""
    files = _weight_files(folder, stem)
    try:
        stored = {name: tensor.shape for file in files for name, tensor in stored_tensors(file).items()}
        problems = misfits({name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}, stored)
        if change is not None:
            absent = sorted(change.names - set(stored))
            problems += [f"the adapter changes {name}, which is not there" for name in absent]
        loaded: dict[str, Tensor] = {}
        for file in files if not problems else ():
            for name, tensor in read_tensors(file, device):
                if not bool(torch.isfinite(tensor).all()):
                    problems.append(f"{name} holds values that are not finite")
                loaded[name] = (tensor if change is None else change.apply(name, tensor)).to(dtype)
    except WeightsError as error:
        raise CheckpointError(str(error)) from error
    if problems:
        raise CheckpointError(
            f"{files[0]} does not fit config.json: {listed(problems)}. "
            "Get the checkpoint again, or the config that belongs to it"
        )
    module.load_state_dict(loaded, strict=True, assign=True)
    module.eval().requires_grad_(False)
