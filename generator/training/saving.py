"""Restart points of a training: whole or not there at all, the newest whole one wins.

    steps/00012000/state.pt        weights, averaged weights, moments of the optimiser
    steps/00012000/state.json      the step, what the training follows from, and what the loop remembers
    steps/00012000/_COMMITTED      written last: size and sha256 of the others

A restart point is written as `00012000.part`, synced, renamed and then marked. When it is marked, older ones go.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol, cast

import torch

from medim_forge.generator.errors import StoreError
from medim_forge.generator.files import file_record
from medim_forge.generator.store import json_text
from medim_forge.generator.store.folder import differences, refuse
from medim_forge.generator.training.placing import sync, write_hashed, written

MARKER, STATE, FACTS = "_COMMITTED", "state.pt", "state.json"
_STEP = re.compile(r"\d{8,}")


class Stateful(Protocol):
    """Something with a state dict: a module, an optimiser."""

    def state_dict(self) -> dict[str, Any]:
        """The state."""

    def load_state_dict(self, state_dict: Any) -> Any:
        """Take the state."""


class RestartPoints:
    """The restart points of one training.

    Args:
        folder: of the training; they are in its `steps/`.
        parts: whose states are kept, by name.
        belongs: what the training follows from, as JSON values; a restart point of anything else is refused.
        say: takes one line at a time.
        keep: how many of the newest are kept.
        keep_every: those of these multiples of steps are kept too; None for none.
    """

    def __init__(
        self,
        folder: Path,
        parts: Mapping[str, Stateful],
        belongs: Mapping[str, Any],
        say: Callable[[str], None],
        *,
        keep: int = 2,
        keep_every: int | None = None,
    ) -> None:
        self._folder, self._parts, self._belongs, self._say = (
            folder / "steps",
            parts,
            json.loads(json_text(belongs)),
            say,
        )
        self._keep, self._keep_every = keep, keep_every

    def resume(self, steps: int, at: int | None = None) -> dict[str, Any]:
        """The parts have the state of the newest whole restart point; what the loop remembered with it.

        Args:
            steps: of the whole training.
            at: take the one of this step.

        Returns:
            `step` (0 where there is no restart point) and the facts that were saved.

        Raises:
            StoreError: it is of another training, or more steps are done than this one has.
        """
        for part in sorted(self._folder.glob("*.part")):
            shutil.rmtree(part)
        for step in reversed(self.steps()):
            point = self._folder / f"{step:08d}"
            if at is not None and step != at:
                continue
            if wrong := fault(point):
                self._say(f"{point}: {wrong}; the restart point before it is taken")
                continue
            facts: dict[str, Any] = json.loads((point / FACTS).read_text(encoding="utf-8"))
            hint = f" To train anew, delete {self._folder}."
            refuse(point, "is of another training", differences(facts["belongs"], self._belongs), hint)
            if step > steps:
                raise StoreError(
                    f"{self._folder.parent}: {step} steps are done, and this job asks for {steps}. Delete "
                    f"{self._folder.parent} to train anew, or ask for as many."
                )
            stored = torch.load(point / STATE, map_location="cpu", weights_only=True)
            for name, owner in self._parts.items():
                owner.load_state_dict(stored[name])
            return facts
        self._say(f"{self._folder}: no whole restart point; training begins at step 0")
        return {"step": 0}

    def save(self, step: int, facts: Mapping[str, Any], protect: frozenset[int] = frozenset()) -> None:
        """The state is kept, as of `step` finished steps, and restart points beyond those to be kept are gone.

        Args:
            step: finished steps.
            facts: what the loop remembers, as JSON values.
            protect: steps whose restart points stay, beside the newest.

        Raises:
            StoreError: it cannot be written; those before it are as they were.
        """
        point = self._folder / f"{step:08d}"
        part = point.with_name(f"{point.name}.part")
        with written(part, f"The last whole restart point, step {self._newest()}, is kept."):
            shutil.rmtree(part, ignore_errors=True)
            part.mkdir(parents=True)
            state = {name: owner.state_dict() for name, owner in self._parts.items()}
            files = {STATE: write_hashed(part / STATE, lambda file: torch.save(state, cast("Any", file)))}
            content = json_text({**facts, "step": step, "belongs": self._belongs}).encode()
            files[FACTS] = write_hashed(part / FACTS, lambda file: file.write(content))
            sync(part)
            shutil.rmtree(point, ignore_errors=True)
            part.rename(point)
            sync(self._folder)
            _commit(point, files)
        self.retire(step, protect)

    def steps(self) -> list[int]:
        """Steps with a restart point, whole or not, ascending."""
        return restart_steps(self._folder.parent)

    def _newest(self) -> int:
        return max((step for step in self.steps() if (self._folder / f"{step:08d}" / MARKER).exists()), default=0)

    def retire(self, step: int, protect: frozenset[int] = frozenset()) -> None:
        """Of the restart points before a step those are there that are to be kept, whole, and no part of another one.

        Args:
            step: of the newest one.
            protect: steps whose restart points stay too.
        """
        old = [other for other in self.steps() if other < step]
        kept = {*(old[-(self._keep - 1) :] if self._keep > 1 else []), *protect}
        if self._keep_every:
            kept |= {other for other in old if other % self._keep_every == 0}
        for other in sorted(set(old) - kept):
            # Without its marker first: a half-deleted one is not taken for a damaged one.
            (self._folder / f"{other:08d}" / MARKER).unlink(missing_ok=True)
            shutil.rmtree(self._folder / f"{other:08d}")


def restart_steps(folder: Path) -> list[int]:
    """Steps of which a training's folder has a restart point, whole or not, ascending."""
    steps = folder / "steps"
    return sorted(int(path.name) for path in steps.iterdir() if _STEP.fullmatch(path.name)) if steps.is_dir() else []


def fault(point: Path) -> str:
    """What is wrong with a restart point; empty where it is whole."""
    if not (point / MARKER).exists():
        return f"was not finished (there is no {MARKER})"
    try:
        files: dict[str, dict[str, Any]] = json.loads((point / MARKER).read_text(encoding="utf-8"))["files"]
        for name, said in sorted(files.items()):
            found = file_record(point / name, name)
            if (found.size, found.sha256) != (said["size"], said["sha256"]):
                return f"is damaged ({name} is not what {MARKER} says)"
    except (OSError, ValueError, KeyError, TypeError) as error:
        return f"is damaged ({type(error).__name__}: {error})"
    return "" if {STATE, FACTS} <= files.keys() else f"is damaged ({MARKER} does not name its files)"


def _commit(point: Path, files: Mapping[str, Any]) -> None:
    """The restart point counts from now on."""
    part = point / f"{MARKER}.part"
    content = json_text({"files": files}).encode()
    write_hashed(part, lambda file: file.write(content))
    part.rename(point / MARKER)
    sync(point)
