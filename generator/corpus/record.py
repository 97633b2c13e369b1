"""A row as a holding has it, before any rule: its columns, where its image and its report lie."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from medim_forge.generator.errors import InputError


class Picture(Protocol):
    """Where an image lies. It is small and can be sent to another process; nothing is read before it is asked for."""

    def there(self) -> bool:
        """Whether there is such a file; an image in a table is."""

    def content(self) -> bytes:
        """The encoded image.

        Raises:
            InputError: it is gone or holds no image; the message goes on from the name of the row.
        """

    def pixels(self) -> NDArray[np.uint8]:
        """The picture: uint8 [H, W] or [H, W, 3], decoded as the generate job decodes given images.

        Raises:
            InputError: it cannot be decoded; the message goes on from the name of the row.
        """


class Words(Protocol):
    """Where a report lies that has a file of its own."""

    def text(self) -> str | None:
        """The report; None where there is no such file.

        Raises:
            InputError: it is no text; the message goes on from the name of the row.
        """


@dataclass(frozen=True, kw_only=True)
class Record:
    """A row as a holding has it.

    Attributes:
        row: number in its source, from 0.
        name: what tells it from the others of its source: an id or a path. It is hashed, and never shown.
        values: of the row by column, as text.
        picture: where the image lies; None where the row names none.
        words: where the report lies; None where it is in a column.
        names: DICOM values of the patient that must not occur in the report, where the holding has any.
    """

    row: int
    name: str
    values: Mapping[str, str]
    picture: Picture | None
    words: Words | None = None
    names: tuple[str, ...] = ()


class Holding(Protocol):
    """Rows of one source, which can be gone through again and again, always in the same order."""

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns that its rows have."""

    def records(self) -> Iterator[Record]:
        """Every row in order."""

    def said(self) -> tuple[str, ...]:
        """What a person should know of it, found when it was looked at."""


def row_key(source: str, name: str) -> str:
    """The digest that messages, caches and sheets call a row by: 16 hex digits of its source and its name there."""
    return hashlib.blake2b(f"{source}\0{name}".encode("utf-8", "surrogateescape"), digest_size=8).hexdigest()


def row_name(source: str, row: int, key: str) -> str:
    """What messages call a row; it names nobody."""
    return f"row {row} of {source} ({key})"


class RowRuleError(InputError):
    """A row that a rule of the job does not allow; `str(error)` names it by source, number and digest alone."""


class HoldingError(InputError):
    """A holding cannot be read, for a reason that says nothing of any row: a share that is away, a permission."""


@contextmanager
def outages(where: str) -> Iterator[None]:
    """Inside, what stops a file from being read is an error that says what to mend, and names no file.

    A share that is away, a permission or too many open files say nothing of a row: nothing is left out because of them.

    Args:
        where: what is read.

    Raises:
        HoldingError: in place of what the system says, which names files.
    """
    try:
        yield
    except OSError as error:
        said = error.strerror or type(error).__name__
        raise HoldingError(f"{where} cannot be read ({said}); mend that and run the command again") from None
