"""What a room gets of pairs that users hold: whole pairs, what could not be read of them, or one side of a row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from medim_forge.generator.errors import InputError
from medim_forge.generator.origins import GivenSource


class NoTextError(InputError):
    """A report is bytes that are not text in UTF-8."""


@dataclass(frozen=True, kw_only=True)
class GivenPair:
    """An image that somebody holds, with its report.

    Attributes:
        row: number of the pair in its place, from 0.
        pixels: uint8 [H, W] (grey) or [H, W, 3] (RGB).
        report: without white space around it; None where there is none.
    """

    row: int
    pixels: NDArray[np.uint8]
    report: str | None


@dataclass(frozen=True, kw_only=True)
class Unreadable:
    """A row that holds no pair that can be read.

    Attributes:
        row: number of the pair in its place, from 0.
        reason: what is wrong; it names the row.
    """

    row: int
    reason: str


class GivenRows(Protocol):
    """Rows of images, of reports, or of both, in one place. They are numbered from 0, and any of them can be read."""

    @property
    def files(self) -> Sequence[Path]:
        """The files that hold the rows, sorted; none where the rows are drawn."""

    def __len__(self) -> int:
        """The number of rows."""

    def image(self, row: int) -> bytes:
        """The row's encoded image (PNG, JPEG, ...), known to decode.

        Raises:
            InputError: there is none, or it does not decode; names the row.
        """

    def source(self, row: int) -> GivenSource:
        """Where the row comes from; its digest is of the image where the job takes images, else of the report.

        Raises:
            InputError: it cannot be read; names the row.
        """

    def fingerprint(self, row: int) -> tuple[int, str] | None:
        """Bytes and hex sha256 of all that a job takes of the row, as they lie there; None where nothing can be read.

        Raises:
            InputError: what stands around the row failed; names the row.
        """

    def named(self, row: int) -> str:
        """What the row is called where it lies, for the one who looks; everything else names rows by their number."""

    def report(self, row: int) -> str:
        """The row's report without white space around it.

        Raises:
            InputError: there is none, or it cannot be read; names the row.
        """
