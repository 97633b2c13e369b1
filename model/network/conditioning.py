"""The conditioning between image and report: its ids, and a network that has them in its input.

Legend: B batch, S state slots, C conditioning ids, R rows, D width, V ids.
Source: medim-spec section 3.4.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor

from medim_forge.model.conventions import Conventions
from medim_forge.model.layout import ABSENT, TokenLayout
from medim_forge.model.network.row_cache import RowCache
from medim_forge.model.sampling.schedule import sigma
from medim_forge.model.text import ReportTokenizer, TextError

# The widest stated size: the input's length is that of its text, whatever the sizes in a batch are.
WIDEST = 99_999


class ConditionedNetwork(Protocol):
    """A network that takes conditioning ids."""

    layout: TokenLayout

    def hidden(self, state_BS: Tensor, sigma_B: Tensor, conditioning_BC: Tensor | None) -> Tensor:
        """Hidden states [B, S, D] behind the logits of the state slots."""

    def logits(self, hidden_RD: Tensor, ids_V: Tensor) -> Tensor:
        """Logits [R, V] of the given ids."""


class Conditioned:
    """A network with the conditioning of one batch: a `Denoiser`.

    Args:
        network: which.
        conditioning_BC: int64, rows filled up with `ABSENT`; None for a network without conditioning.
        cache: of rows that the network read alone.
    """

    def __init__(self, network: ConditionedNetwork, conditioning_BC: Tensor | None, cache: RowCache) -> None:
        self.layout = network.layout
        self._network, self._conditioning_BC, self._cache = network, conditioning_BC, cache

    def hidden(self, state_BS: Tensor, sigma_B: Tensor) -> Tensor:
        """Hidden states [B, S, D] of the batch, or of several versions of it one below the other."""
        conditioning_BC = self._conditioning_BC
        if conditioning_BC is not None:
            conditioning_BC = conditioning_BC.repeat(len(state_BS) // len(conditioning_BC), 1)
        return self._network.hidden(state_BS, sigma_B, conditioning_BC)

    def read(self, state_BS: Tensor, t_B: Tensor) -> Tensor:
        """Hidden states at times t_B; see `Denoiser`."""
        return self.hidden(state_BS, sigma(t_B))

    def read_alone(self, state_BS: Tensor, t_B: Tensor) -> Tensor:
        """Hidden states of the batch, each row read by itself or found in the cache; see `Denoiser`."""
        conditioning_BC, found = self._conditioning_BC, []
        inputs = [state_BS, t_B[:, None]] if conditioning_BC is None else [state_BS, t_B[:, None], conditioning_BC]
        parts = [part.cpu().numpy() for part in inputs]
        for row in range(len(state_BS)):
            key = b"".join(part[row].tobytes() for part in parts)
            row_SD = self._cache.find(key)
            if row_SD is None:
                alone = slice(row, row + 1)
                own_1C = None if conditioning_BC is None else conditioning_BC[alone]
                row_SD = self._network.hidden(state_BS[alone], sigma(t_B[alone]), own_1C)[0]
                self._cache.keep(key, row_SD)
            found.append(row_SD.to(state_BS.device))
        return torch.stack(found)

    def logits(self, hidden_RD: Tensor, ids_V: Tensor) -> Tensor:
        """Logits [R, V] of the given ids; see `Denoiser`."""
        return self._network.logits(hidden_RD, ids_V)


def conditioning_ids(
    conventions: Conventions, text: ReportTokenizer, sizes: Sequence[tuple[int, int]]
) -> Tensor | None:
    """Conditioning ids [B, C] of images of these sizes, filled up with `ABSENT`; None without conditioning.

    C depends on the conventions alone, so that no row feels the sizes of its neighbours.

    Args:
        conventions: of the checkpoint.
        text: its report tokenizer.
        sizes: width and height per row, pixels.

    Raises:
        TextError: a size is larger than any that was allowed for.
    """
    if not conventions.conditioning:
        return None
    room = len(text.encode(conventions.conditioning_text(WIDEST, WIDEST)))
    rows = []
    for width, height in sizes:
        ids = text.encode(conventions.conditioning_text(width, height))
        if len(ids) > room:
            raise TextError(
                f"the conditioning of an image of {width} x {height} pixels has {len(ids)} ids, room is for {room}"
            )
        rows.append([*ids, *[ABSENT] * (room - len(ids))])
    return torch.tensor(rows, dtype=torch.int64)


def stated_size(conventions: Conventions, domain: str) -> tuple[int, int]:
    """The width and height that the conditioning states where no image is given; 0 x 0 where it states none."""
    words = conventions.of(domain)
    return (0, 0) if words is None else (words.width, words.height)
