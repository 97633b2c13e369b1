"""The published weights become a checkpoint folder of ours, strictly: nothing is filled in or left out silently.

Tensors are read, checked and written one file's worth at a time, so that a checkpoint of any size needs about 3 GB.
Source: medim-spec sections 2, 3.1 and 7.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer
from torch import Tensor

from medim_forge.model import conventions
from medim_forge.model.checkpoint import CheckpointError, sha256
from medim_forge.model.checkpoint.tensors import FILE_BYTES, write_tensors
from medim_forge.model.config import MedimConfig, VqganConfig
from medim_forge.model.convert.card import card, readme
from medim_forge.model.convert.image import IGNORED, vqgan_config
from medim_forge.model.convert.names import HEAD, backbone_config, our_names
from medim_forge.model.convert.text import report_tokenizer
from medim_forge.model.convert.weights import Weights, digest, open_weights
from medim_forge.model.layout import Codebook, TokenLayout

DTYPES = {"source": None, "float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
DOMAINS = ("chest_xray", "pathology")
REPORT_SLOTS = 256

# Byte tokens of control characters but tab and line ends: no report holds them, and DICOM allows none.
CONTROLS = tuple(f"<0x{byte:02X}>" for byte in (*range(9), 11, 12, *range(14, 32), 127))

OnStep = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Request:
    """What to convert, and how.

    Attributes:
        backbone: file or folder of the official code.
        tokenizer: folder of the Llama-2 tokenizer with the added tokens.
        vqgan: weights of the Chameleon image tokenizer.
        vqgan_yaml: the content of the file beside them, and where it lies; None where there is none.
        config: a config.json in the manner of transformers, for what shapes cannot tell; its section `medim` may set
            `report_slots`.
        dtype: of the stored backbone: `source` keeps what it has.
        device_text: what the conditioning says of the device, e.g. `, device='cuda:0'`; see `Conventions`.
        terms: terms of the training data that every output must carry.
        file_bytes: how large a file of weights may be.
    """

    backbone: Path
    tokenizer: Path
    vqgan: Path
    vqgan_yaml: tuple[Path, Mapping[str, Any]] | None = None
    config: Mapping[str, Any] = field(default_factory=dict)
    dtype: str = "source"
    device_text: str = ""
    terms: tuple[str, ...] = ()
    file_bytes: int = FILE_BYTES


def convert(request: Request, out: Path, on_step: OnStep | None = None) -> str:
    """The checkpoint folder is there, whole; its sha256.

    Raises:
        CheckpointError: sources that do not fit each other, or are missing, unexpected, of the wrong shape or not
            finite somewhere; or a folder that holds something already. Nothing is left behind then.
    """
    if request.dtype not in DTYPES:
        raise CheckpointError(f"dtype {request.dtype!r} is none of {', '.join(DTYPES)}")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise CheckpointError(f"{out} is there already and not empty; give another folder, or remove it")
    text, text_files = report_tokenizer(request.tokenizer)
    backbone = open_weights(request.backbone, "backbone")
    image = open_weights(request.vqgan, "image tokenizer")
    names = our_names(backbone.tensors, "backbone")
    config, left_out = _config(request, text, backbone, names, image)
    partial = out.with_name(f".{out.name}.partial-{os.getpid()}")
    partial.mkdir(parents=True)
    try:
        (partial / "config.json").write_text(config.to_json(), encoding="utf-8")
        (partial / "tokenizer.json").write_text(text.to_str(pretty=False) + "\n", encoding="utf-8")
        kept = [name for name in image.tensors if not name.startswith(IGNORED)]
        _copy(partial, "image_tokenizer_0", image, {name: name for name in kept}, torch.float32, FILE_BYTES, "image")
        wanted = {ours: name for ours, name in names.items() if ours not in left_out}
        _copy(partial, "backbone", backbone, wanted, DTYPES[request.dtype], request.file_bytes, "backbone", on_step)
        sources = {
            "backbone": backbone.digests(),
            "tokenizer": [digest(path) for path in text_files],
            "vqgan": image.digests() + ([digest(request.vqgan_yaml[0])] if request.vqgan_yaml else []),
        }
        made = card(
            config,
            sources,
            dtype=request.dtype,
            terms=request.terms,
            left_out=left_out,
            left_out_losses=len(image.tensors) - len(kept),
        )
        (partial / "card.json").write_text(json.dumps(made, indent=1, sort_keys=True) + "\n", encoding="utf-8")
        (partial / "README.md").write_text(readme(made), encoding="utf-8")
        checksum = sha256(partial)
        if out.exists():
            out.rmdir()
        partial.rename(out)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return checksum


def _config(
    request: Request, text: Tokenizer, backbone: Weights, names: Mapping[str, str], image: Weights
) -> tuple[MedimConfig, tuple[str, ...]]:
    """The description of the whole, and backbone tensors that it makes superfluous."""
    shapes = {ours: backbone.tensors[name].shape for ours, name in names.items()}
    tied = HEAD not in names or _same(backbone, names)
    sizes = backbone_config(shapes, request.config, tied=tied, what="backbone")
    kept = {name: stored.shape for name, stored in image.tensors.items() if not name.startswith(IGNORED)}
    yaml = request.vqgan_yaml[1] if request.vqgan_yaml else None
    image_tokenizer = vqgan_config(kept, yaml, DOMAINS, "image tokenizer")
    layout = _layout(request.config, text, image_tokenizer)
    vocab = shapes["embed_tokens.weight"][0]
    if vocab != layout.vocab:
        raise CheckpointError(
            f"the backbone knows {vocab} ids, but the tokenizer has {layout.report_vocab}, MASK is 1 and the image "
            f"tokenizer has {image_tokenizer.n_embed} codes: {layout.vocab} in all. With this tokenizer the image "
            f"tokenizer must have {vocab - layout.report_vocab - 1} codes; one of the three is not of this model"
        )
    config = MedimConfig(
        layout=layout,
        backbone=sizes,
        image_tokenizers=(image_tokenizer,),
        conventions=conventions.official(DOMAINS, request.device_text),
    )
    return config, ((HEAD,) if tied and HEAD in names else ())


def _same(backbone: Weights, names: Mapping[str, str]) -> bool:
    """Whether the stored head is the stored embedding: then the model is tied, as the published one is."""
    embedding = names.get("embed_tokens.weight")
    if embedding is None or backbone.tensors[embedding].shape != backbone.tensors[names[HEAD]].shape:
        return False
    return torch.equal(backbone.read(embedding), backbone.read(names[HEAD]))


def _layout(config: Mapping[str, Any], text: Tokenizer, image_tokenizer: VqganConfig) -> TokenLayout:
    """The layout of the published system, with ids of this report tokenizer and codes of this image tokenizer."""
    section = config.get("medim", {})
    if not isinstance(section, Mapping) or set(section) - {"report_slots"}:
        raise CheckpointError(f"config: medim = {section!r}; it may hold report_slots and nothing else")
    slots = section.get("report_slots", REPORT_SLOTS)
    if type(slots) is not int or slots < 2:
        raise CheckpointError(f"config: medim.report_slots = {slots!r} is no number of slots")
    ids = {token: number for token, number in text.get_vocab().items() if token.startswith("<")}
    return TokenLayout(
        report_slots=slots,
        image_slots=image_tokenizer.codes,
        report_vocab=text.get_vocab_size(),
        codebooks=(Codebook(domains=DOMAINS, size=image_tokenizer.n_embed),),
        pad_id=ids["<unk>"],
        bos_id=ids["<s>"],
        boi_id=ids["<boi>"],
        eoi_id=ids["<eoi>"],
        eos_id=ids["<eos>"],
        unused_ids=(ids["</s>"], *sorted(ids[token] for token in CONTROLS if token in ids)),
    )


def _copy(
    folder: Path,
    stem: str,
    weights: Weights,
    names: Mapping[str, str],
    dtype: torch.dtype | None,
    file_bytes: int,
    what: str,
    on_step: OnStep | None = None,
) -> None:
    """The tensors lie in the folder under our names, each known to be finite."""

    def value(ours: str) -> Tensor:
        tensor = weights.read(names[ours])
        if not bool(torch.isfinite(tensor).all()):
            raise CheckpointError(f"{what}: {names[ours]} holds values that are not finite; get the weights again")
        stored = tensor if dtype is None else tensor.to(dtype)
        if stored is not tensor and not bool(torch.isfinite(stored).all()):
            raise CheckpointError(f"{what}: {names[ours]} does not fit {dtype}; use bfloat16 or float32")
        if on_step is not None:
            on_step(ours)
        # A copy of its own: a view of the source file would keep the file's pages in memory.
        return stored.clone() if stored is tensor else stored.contiguous()

    bytes_of = {
        ours: weights.tensors[name].numel * (dtype or weights.tensors[name].dtype).itemsize
        for ours, name in names.items()
    }
    write_tensors(folder, stem, bytes_of, value, file_bytes)
