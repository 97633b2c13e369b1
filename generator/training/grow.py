"""A backbone of other sizes that begins as an older one: more report slots, another vocabulary, further domains.

What the older model knows is kept: layers and norms as they are, the rows of every id that stays, learned positions. A
new report piece begins as the mean of the old pieces that spell it, a new codebook as one that its image tokenizer was
continued from, or, where its codes mean something else, near the mean of all old codes.
Legend: V vocabulary, D width, L sequence, I image slots, T report slots.
Source: Hewitt 2021 (Initializing New Word Embeddings for Pretrained Language Models).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

import torch
import torch.nn.functional as functional
from torch import Tensor

from medim_forge.generator.errors import SpecError
from medim_forge.generator.training.order import stream
from medim_forge.model.checkpoint import Checkpoint
from medim_forge.model.config import BackboneConfig, MedimConfig
from medim_forge.model.layout import TokenLayout
from medim_forge.model.network import Backbone
from medim_forge.model.text import ReportTokenizer, TextError

_BY_ID = ("embed_tokens.weight", "lm_head.weight")
_POSITIONS = "positions"


def grown(
    old: Checkpoint, config: MedimConfig, text: ReportTokenizer, *, images_like: Mapping[str, str], seed: int
) -> Backbone:
    """The backbone of `config` that says of what it knows what the older one said.

    Args:
        old: the older model.
        config: the new sizes; of the backbone, only the length of learned positions may differ.
        text: the new report tokenizer.
        images_like: by domain of the new layout, the old domain whose codes mean the same: its own name where the
            image tokenizer is kept or continued; a domain without an entry has codes of its own.
        seed: of what is drawn for codes that nobody knows yet.

    Raises:
        SpecError: the backbones have different widths or layers, or a domain is said to be like one that is not there.
    """
    _check(old.config, config, images_like)
    taken = old.backbone.state_dict()
    spell = _Spelling(old.text, old.config.layout)
    made: dict[str, Tensor] = {}
    for name, value in taken.items():
        if name in _BY_ID:
            made[name] = _rows(value, spell, old, config.layout, text, images_like, seed)
        elif name == _POSITIONS:
            made[name] = _positions(value, old.config.layout, config.layout)
        else:
            made[name] = value.clone()
    backbone = Backbone(config.backbone, config.layout.vocab)
    backbone.load_state_dict({name: value.float() for name, value in made.items()}, strict=True)
    return backbone


def _check(old: MedimConfig, new: MedimConfig, images_like: Mapping[str, str]) -> None:
    """The new sizes can be grown into.

    Raises:
        SpecError: they cannot; names what differs.
    """
    wanted = replace(new.backbone, learned_positions=old.backbone.learned_positions)
    differing = [
        f"{name} {getattr(old.backbone, name)} -> {getattr(wanted, name)}"
        for name in BackboneConfig.__dataclass_fields__
        if getattr(old.backbone, name) != getattr(wanted, name)
    ]
    if differing:
        raise SpecError(
            f"a backbone grows by slots, words and domains only, and here more differs: {', '.join(differing)}. "
            "Keep the sizes of the checkpoint, or start from scratch."
        )
    for domain, like in images_like.items():
        if like not in old.layout.domains:
            raise SpecError(
                f"{domain}: the checkpoint has no image tokenizer of {like}; it has {', '.join(old.layout.domains)}."
            )


class _Spelling:
    """Which old rows spell a text.

    Args:
        text: the old report tokenizer.
        layout: the old layout.
    """

    def __init__(self, text: ReportTokenizer, layout: TokenLayout) -> None:
        self._text, self._all = text, layout.report_content().tolist()

    def rows(self, piece: str | None) -> list[int]:
        """The old ids that spell a piece; all ids of reports where the old tokenizer cannot."""
        try:
            return self._text.encode(piece)[1:] or self._all if piece else self._all
        except TextError:
            return self._all


def _rows(
    old_VD: Tensor,
    spell: _Spelling,
    old: Checkpoint,
    layout: TokenLayout,
    text: ReportTokenizer,
    images_like: Mapping[str, str],
    seed: int,
) -> Tensor:
    """The rows [V, D] of the new vocabulary."""
    before = old.config.layout
    wide_VD = old_VD.float()
    new_VD = wide_VD.new_zeros((layout.vocab, wide_VD.shape[1]))
    same = len(text) == len(old.text) and all(text.piece(i) == old.text.piece(i) for i in range(len(text)))
    everything = wide_VD[before.report_content()].mean(0)
    for number in range(layout.report_vocab):
        piece = text.piece(number) if number < len(text) else None
        if same and number < before.report_vocab:
            new_VD[number] = wide_VD[number]
        elif piece is None:
            new_VD[number] = everything
        else:
            new_VD[number] = wide_VD[spell.rows(piece)].mean(0)
    for here, there in _roles(layout, before):
        new_VD[here] = wide_VD[there]
    codes_VD = wide_VD[before.image_offset :]
    for book in layout.codebooks:
        start, stop = layout.code_range(book.domains[0])
        like = next((images_like[domain] for domain in book.domains if domain in images_like), None)
        if like is not None:
            first, last = before.code_range(like)
            if last - first != stop - start:
                raise SpecError(
                    f"{book.domains[0]}: {stop - start} image codes cannot continue the {last - first} of {like}; "
                    "keep the number of codes, or give the domain an image tokenizer of its own."
                )
            new_VD[start:stop] = wide_VD[first:last]
        else:
            noise = stream(seed, "grow", book.domains[0]).standard_normal((stop - start, wide_VD.shape[1]))
            new_VD[start:stop] = codes_VD.mean(0) + codes_VD.std(0) * torch.from_numpy(noise).float()
    return new_VD


def _roles(new: TokenLayout, old: TokenLayout) -> Iterator[tuple[int, int]]:
    """New and old id of every id that has a part of its own to play."""
    for name in ("pad_id", "bos_id", "boi_id", "eoi_id", "eos_id", "end_id", "mask_id"):
        here, there = getattr(new, name), getattr(old, name)
        if here is not None and there is not None:
            yield here, there


def _positions(old_LD: Tensor, before: TokenLayout, layout: TokenLayout) -> Tensor:
    """Learned positions [L, D]: the grid of the image resized, slots behind the old report as its last one."""
    frame, grid = 1 + before.image_slots, round(before.image_slots**0.5)
    image_ID = old_LD[1:frame]
    if layout.image_slots != before.image_slots:
        side = round(layout.image_slots**0.5)
        square = image_ID.float().T.reshape(1, -1, grid, grid)
        resized = functional.interpolate(square, size=(side, side), mode="bilinear", align_corners=False)
        image_ID = resized.reshape(image_ID.shape[1], -1).T.to(old_LD.dtype)
    report_TD = old_LD[frame + 1 : frame + 1 + before.report_slots][: layout.report_slots]
    tail = report_TD[-1:].expand(layout.report_slots - len(report_TD), -1)
    last = before.length() - 1
    return torch.cat([old_LD[:1], image_ID, old_LD[frame : frame + 1], report_TD, tail, old_LD[last : last + 1]])
