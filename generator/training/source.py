"""Encoded rows, addressed by their number: all that the loop knows of training data.

Legend: R rows, B rows read at once, T report slots, S state slots, C conditioning ids.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from medim_forge.model.layout import TokenLayout


@dataclass(frozen=True, kw_only=True)
class Rows:
    """Rows that were read, in the order that was asked for.

    Attributes:
        state: int64 [B, S], `[report | image]` in joint ids.
        opening: int64 [B], report slots of the opening (bos included): the prompt of the official corruption.
        counted: bool [B, T], report slots of real tokens; pads are not among them.
        conditioning: int64 [B, C], ids between image and report, filled up with `layout.ABSENT`; None for none.
    """

    state: NDArray[np.int64]
    opening: NDArray[np.int64]
    counted: NDArray[np.bool_]
    conditioning: NDArray[np.int64] | None = None


class Source(Protocol):
    """Rows of one or several domains; the same number is the same row in every process and after every restart."""

    @property
    def domains(self) -> tuple[str, ...]:
        """The domains, in the order of the layout's codebooks."""

    def numbers(self, domain: str) -> NDArray[np.int64]:
        """The numbers [R] of the rows of a domain."""

    def read(self, numbers: NDArray[np.int64]) -> Rows:
        """The rows of these numbers."""


@dataclass(frozen=True, kw_only=True)
class Encoded:
    """Encoded pairs of one domain.

    Attributes:
        domain: which.
        state: int64 [R, S], `[report | image]` in joint ids.
        opening: int64 [R], report slots of the opening, bos included.
    """

    domain: str
    state: NDArray[np.int64]
    opening: NDArray[np.int64]


class Held:
    """A `Source` in memory: the rows of one domain behind those of the one before.

    Args:
        parts: one per domain, in the order of the layout's codebooks.
        layout: whose pads are not counted.
    """

    def __init__(self, parts: Sequence[Encoded], layout: TokenLayout) -> None:
        self._parts, self._layout = parts, layout
        self._first = np.cumsum([0, *(len(part.state) for part in parts)])

    @property
    def domains(self) -> tuple[str, ...]:
        """The domains, in the order of the parts."""
        return tuple(part.domain for part in self._parts)

    def numbers(self, domain: str) -> NDArray[np.int64]:
        """The numbers [R] of the rows of a domain."""
        index = self.domains.index(domain)
        return np.arange(self._first[index], self._first[index + 1])

    def read(self, numbers: NDArray[np.int64]) -> Rows:
        """The rows of these numbers."""
        state = np.empty((len(numbers), self._layout.state_slots), np.int64)
        opening = np.empty(len(numbers), np.int64)
        owner = np.searchsorted(self._first, numbers, side="right") - 1
        for index, part in enumerate(self._parts):
            own = owner == index
            inner = numbers[own] - self._first[index]
            state[own], opening[own] = part.state[inner], part.opening[inner]
        return Rows(state=state, opening=opening, counted=state[:, : self._layout.report_slots] != self._layout.pad_id)
