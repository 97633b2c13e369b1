"""Whether given images are those that the job was planned with: a file more would give every row another image."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

from medim_forge.generator.errors import EnvironmentFault
from medim_forge.generator.filters.nonwords import LEXICON_KEY
from medim_forge.generator.inputs.files import FilePairs
from medim_forge.generator.inputs.places import names
from medim_forge.generator.origins import GivenSource

_MEND = (
    "Put the inputs back as they were when the job began and run the same command again, or begin anew with --out in a "
    "folder of its own."
)


def check_listing(rows: FilePairs, planned: Mapping[str, str]) -> None:
    """The files are those that were planned, so that every row has its file.

    Args:
        rows: as they are found now.
        planned: sha256 by name, as `plan.json` has them.

    Raises:
        EnvironmentFault: files came or went; no row is to blame.
    """
    there = set(_names(rows.files))
    known = set(planned) - {LEXICON_KEY}  # the words of a filter have a digest there too
    if there != known:
        raise EnvironmentFault(
            f"the inputs are not those that the job was planned with: {len(there - known)} files came and "
            f"{len(known - there)} went. {_MEND}"
        )


def check_content(rows: FilePairs, row: int, source: GivenSource, planned: Mapping[str, str]) -> None:
    """The row's file is as it was planned, to the last bit.

    Args:
        rows: of the job.
        row: number.
        source: of the row, as it was read now.
        planned: sha256 by name, as `plan.json` has them.

    Raises:
        EnvironmentFault: it was changed; no row is to blame.
    """
    name = _names(rows.files)[row]
    if planned.get(name) != source.sha256:
        raise EnvironmentFault(f"the file of row {row} was changed since the job was planned. {_MEND}")


@lru_cache(maxsize=4)
def _names(files: tuple[Path, ...]) -> tuple[str, ...]:
    return tuple(names(files))
