"""Restart points of an image tokenizer's training."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import torch

from medim_forge.generator.errors import StoreError


class Stateful(Protocol):
    """Something with a state dict: a module, an optimiser."""

    def state_dict(self) -> dict[str, Any]:
        """The state."""

    def load_state_dict(self, state_dict: Any) -> Any:
        """Take the state."""


class Snapshot:
    """A restart point: the step and the state of every part, replaced atomically.

    Args:
        path: file to write.
        parts: what to keep.
    """

    def __init__(self, path: Path, parts: Mapping[str, Stateful]) -> None:
        self._path, self._parts = path, parts

    def load(self, steps: int) -> int:
        """Take over a stored state; the step to go on with, 0 where there is none.

        Args:
            steps: of the whole training.

        Raises:
            StoreError: more steps than these are done already.
        """
        if not self._path.exists():
            return 0
        stored = torch.load(self._path, map_location="cpu", weights_only=True)
        done = int(stored["step"])
        if done > steps:
            raise StoreError(
                f"{self._path}: {done} steps are done, and this job asks for {steps}. Delete {self._path.parent} to "
                "train anew, or ask for as many."
            )
        for name, part in self._parts.items():
            part.load_state_dict(stored[name])
        return done

    def save(self, step: int) -> None:
        """Keep the state, as of `step` finished steps."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        part = self._path.with_suffix(".part")
        torch.save({"step": step, **{name: part.state_dict() for name, part in self._parts.items()}}, part)
        part.replace(self._path)
