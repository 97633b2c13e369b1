"""Which folder the name of a checkpoint means. Free of torch, so that plans can ask."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from medim_forge.model.quoting import quoted

EMBEDDED = {"phantom": Path(__file__).resolve().parent / "weights" / "phantom"}


class CheckpointError(ValueError):
    """A checkpoint folder that cannot be used."""


def resolve(name: str) -> Path:
    """The folder that a job's `model.checkpoint` means: `phantom` is the embedded one, anything else a path.

    Raises:
        CheckpointError: no such folder, or it is no checkpoint.
    """
    folder = EMBEDDED.get(name, Path(name))
    if not _is(folder.is_dir, name):
        raise CheckpointError(
            f"checkpoint {quoted(name, 200)} is not a folder; give a checkpoint folder or one of: {', '.join(EMBEDDED)}"
        )
    if not _is((folder / "config.json").is_file, name):
        raise CheckpointError(
            f"checkpoint {quoted(name, 200)} has no config.json, so it is not a checkpoint of this project"
        )
    return folder


def _is(kind: Callable[[], bool], name: str) -> bool:
    """What a path is asked.

    Raises:
        CheckpointError: nobody can tell.
    """
    try:
        return kind()
    except OSError as error:
        raise CheckpointError(f"checkpoint {quoted(name, 200)} cannot be reached ({error.strerror})") from error
