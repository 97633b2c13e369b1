"""Which sizes a model's description may state: what is beyond them is a slip, or would take memory without end."""

from __future__ import annotations

import string
from collections.abc import Iterator, Mapping
from typing import Any

from medim_forge.model.conventions import Conventions
from medim_forge.model.layout import TokenLayout
from medim_forge.model.quoting import quoted

MOST_IDS = 1 << 22  # of a vocabulary or codebook
MOST_SLOTS = 1 << 20
_LAYOUT = {
    "report_slots": (2, MOST_SLOTS), "image_slots": (1, MOST_SLOTS), "report_vocab": (1, MOST_IDS),
    "image_read_shift": (-1, 1), "report_read_shift": (-1, 1),
}  # fmt: skip
_BACKBONE = {
    "hidden_size": (1, 1 << 16), "intermediate_size": (1, 1 << 20), "layers": (1, 1000), "heads": (1, 1024),
    "kv_heads": (1, 1024), "head_dim": (2, 4096), "rope_theta": (1e-6, 1e12), "norm_eps": (1e-30, 1.0),
    "time_features": (2, 1 << 16), "learned_positions": (0, MOST_SLOTS),
}  # fmt: skip
_TOKENIZER = {
    "channels": (1, 3), "resolution": (1, 1 << 14), "ch": (1, 1 << 13), "num_res_blocks": (1, 32),
    "z_channels": (1, 1 << 13), "embed_dim": (1, 1 << 13), "n_embed": (1, MOST_IDS), "groups": (1, 1 << 13),
    "patch": (1, 64),
}  # fmt: skip
_MOST_LEVELS, _MOST_FACTOR = 12, 64
_MOST_PIXELS = 1_000_000  # a side of an image whose size is stated


def misfit(config: Any) -> str | None:
    """The first thing that a description must not say; None where all is well.

    Args:
        config: `model.config.MedimConfig`, which asks here before it is made and so stands behind this room.
    """
    return next(_misfits(config), None)


def _misfits(config: Any) -> Iterator[str]:
    yield from _of_layout(config.layout)
    yield from _of_backbone(config.backbone, config.layout)
    for index, tokenizer in enumerate(config.image_tokenizers):
        yield from _of_tokenizer(tokenizer, f"image_tokenizers[{index}]")
    yield from _of_conventions(config.conventions)
    books, tokenizers = config.layout.codebooks, config.image_tokenizers
    if len(books) != len(tokenizers):
        yield f"image_tokenizers has {len(tokenizers)} entries, layout.codebooks {len(books)}; each codebook needs one"


def _outside(part: Any, limits: Mapping[str, tuple[float, float]], where: str) -> Iterator[str]:
    """The fields of a part that are not within their limits."""
    for name, (least, most) in limits.items():
        value = getattr(part, name)
        if not least <= value <= most:
            yield f"{where}.{name} = {quoted(value)} is not between {least:,} and {most:,}"


def _of_layout(layout: TokenLayout) -> Iterator[str]:
    yield from _outside(layout, _LAYOUT, "layout")
    if not layout.codebooks:
        yield "layout.codebooks is empty; name one"
    for index, book in enumerate(layout.codebooks):
        if not 1 <= book.size <= MOST_IDS:
            yield f"layout.codebooks[{index}].size = {quoted(book.size)} is not between 1 and {MOST_IDS:,}"
        if not book.domains or "" in book.domains:
            yield f"layout.codebooks[{index}].domains names no domain"
    named = [domain for book in layout.codebooks for domain in book.domains]
    if len(set(named)) < len(named):
        yield "layout.codebooks names a domain twice"
    frame = {name: getattr(layout, name) for name in ("pad_id", "bos_id", "boi_id", "eoi_id", "eos_id", "end_id")}
    lists = {f"report_ids[{index}].ids": own.ids for index, own in enumerate(layout.report_ids)}
    lists |= {name: (value,) for name, value in frame.items() if value is not None}
    for name, ids in {**lists, "unused_ids": layout.unused_ids}.items():
        if found := [number for number in ids if not 0 <= number < layout.report_vocab]:
            yield f"layout.{name} holds {quoted(found[0])}, and report ids are 0 to {layout.report_vocab - 1}"


def _of_backbone(backbone: Any, layout: TokenLayout) -> Iterator[str]:
    yield from _outside(backbone, _BACKBONE, "backbone")
    if backbone.heads % backbone.kv_heads:
        yield f"backbone.heads = {backbone.heads} is no multiple of kv_heads = {backbone.kv_heads}"
    for name in ("head_dim", "time_features"):
        if getattr(backbone, name) % 2:
            yield f"backbone.{name} = {getattr(backbone, name)} is odd"
    if 0 < backbone.learned_positions < layout.length():
        yield (
            f"backbone.learned_positions = {backbone.learned_positions} is less than the {layout.length()} positions "
            "of the layout"
        )


def _of_tokenizer(tokenizer: Any, where: str) -> Iterator[str]:
    yield from _outside(tokenizer, _TOKENIZER, where)
    factors = tokenizer.ch_mult
    if not 1 <= len(factors) <= _MOST_LEVELS or not all(1 <= factor <= _MOST_FACTOR for factor in factors):
        yield (
            f"{where}.ch_mult = {quoted(list(factors))}; give 1 to {_MOST_LEVELS} factors between 1 and {_MOST_FACTOR}"
        )
    elif any(tokenizer.ch * factor % tokenizer.groups for factor in (1, *factors)):
        yield f"{where}.groups = {tokenizer.groups} does not divide ch = {tokenizer.ch} and its multiples"
    elif tokenizer.resolution % tokenizer.factor:
        yield f"{where}.resolution = {tokenizer.resolution} is no multiple of {tokenizer.factor}, the pixels of a code"


def _of_conventions(conventions: Conventions) -> Iterator[str]:
    try:
        fields = [*string.Formatter().parse(conventions.conditioning)]
    except ValueError:
        fields = [("", "?", "", None)]
    known = {None: (None, None), "width": ("", None), "height": ("", None), "device": ("", None)}
    if any(known.get(name) != (form, conversion) for _, name, form, conversion in fields):
        yield (
            f"conventions.conditioning = {quoted(conventions.conditioning)}; only {{width}}, {{height}} and {{device}} "
            "are filled in"
        )
    if len(conventions.pad_color) != 3 or not all(0 <= level <= 255 for level in conventions.pad_color):
        yield f"conventions.pad_color = {quoted(list(conventions.pad_color))}; give three levels between 0 and 255"
    for index, words in enumerate(conventions.domains):
        for name in ("width", "height"):
            if not 1 <= getattr(words, name) <= _MOST_PIXELS:
                yield (
                    f"conventions.domains[{index}].{name} = {quoted(getattr(words, name))} is not between 1 and "
                    f"{_MOST_PIXELS:,}"
                )
    rules = conventions.text
    for name in ("pad", "bos", "end", "unknown"):
        if getattr(rules, name) not in rules.specials or not getattr(rules, name):
            yield f"conventions.text.{name} = {quoted(getattr(rules, name))} is none of its specials"
