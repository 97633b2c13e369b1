"""Reports that have a file of their own: beside an image, in another release, in an archive."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from medim_forge.generator.corpus.pictures import read_file, read_part
from medim_forge.generator.errors import InputError


@dataclass(frozen=True)
class FileWords:
    """A report in a file of its own.

    Args:
        path: of the file.
    """

    path: Path

    def text(self) -> str | None:
        """The report; None where there is no such file.

        Raises:
            InputError: it is no text; the message goes on from the name of the row.
        """
        return decoded(read_file(self.path)) if self.path.is_file() else None


@dataclass(frozen=True)
class PartWords:
    """A report that is a part of a larger file.

    Args:
        path: of the file.
        start: first byte.
        size: bytes.
    """

    path: Path
    start: int
    size: int

    def text(self) -> str | None:
        """The report.

        Raises:
            InputError: it is no text; the message goes on from the name of the row.
        """
        return decoded(read_part(self.path, self.start, self.size))


def decoded(content: bytes) -> str:
    """The text that bytes hold.

    Raises:
        InputError: they are no UTF-8; the message goes on from the name of the row.
    """
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"has a report that is no UTF-8 text (byte {error.start}); store it as UTF-8") from error
