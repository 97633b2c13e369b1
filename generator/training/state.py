"""Restart points of an image tokenizer's training."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol, cast

import torch

from medim_forge.generator.errors import StoreError
from medim_forge.generator.training.placing import place_file


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
            StoreError: more steps than these are done already, or the stored state is damaged.
        """
        if not self._path.exists():
            return 0
        try:
            stored = torch.load(self._path, map_location="cpu", weights_only=True)
            done = int(stored["step"])
        except (OSError, RuntimeError, ValueError, KeyError, TypeError, EOFError, pickle.UnpicklingError) as error:
            raise StoreError(
                f"{self._path}: is damaged ({type(error).__name__}). Delete it: training begins again at step 0."
            ) from error
        if done > steps:
            raise StoreError(
                f"{self._path}: {done} steps are done, and this job asks for {steps}. Delete {self._path.parent} to "
                "train anew, or ask for as many."
            )
        for name, part in self._parts.items():
            part.load_state_dict(stored[name])
        return done

    def save(self, step: int) -> None:
        """Keep the state, as of `step` finished steps; `StoreError` where it cannot be written."""
        state = {"step": step, **{name: part.state_dict() for name, part in self._parts.items()}}
        place_file(self._path, lambda file: torch.save(state, cast("Any", file)))
