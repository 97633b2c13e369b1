"""Which folder the name of a checkpoint means. Free of torch, so that plans can ask."""

from __future__ import annotations

from pathlib import Path

EMBEDDED = {"phantom": Path(__file__).resolve().parent / "weights" / "phantom"}


class CheckpointError(ValueError):
    """A checkpoint folder that cannot be used."""


def resolve(name: str) -> Path:
    """The folder that a job's `model.checkpoint` means: `phantom` is the embedded one, anything else a path.

    Raises:
        CheckpointError: no such folder, or it is no checkpoint.
    """
    folder = EMBEDDED.get(name, Path(name))
    if not folder.is_dir():
        raise CheckpointError(
            f"checkpoint {name!r}: {folder} is not a folder; give a checkpoint folder or one of: {', '.join(EMBEDDED)}"
        )
    if not (folder / "config.json").is_file():
        raise CheckpointError(
            f"checkpoint {name!r}: {folder} has no config.json, so it is not a checkpoint of this project"
        )
    return folder
