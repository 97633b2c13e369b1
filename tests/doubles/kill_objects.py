"""Jobs into an object store that are killed at a call that changes it, run again, and compared.

The server is a real one; the process that dies is this one, as in `kills.py`: from the chosen call on, no call that
changes the store comes back.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

from medim_forge.generator.audit.verify import verify
from medim_forge.generator.dataset import open_dataset
from medim_forge.generator.errors import StoreError
from medim_forge.generator.finalise.refilter import refilter
from medim_forge.generator.jobspec import GenerateSpec
from medim_forge.generator.store import PENDING, SUCCESS, store_at
from medim_forge.generator.store.s3_client import ObjectClient
from tests.doubles.kill_scenarios import OTHERS, SOME, Found
from tests.doubles.kills import Death, dying
from tests.doubles.object_server import copied, keys_below
from tests.doubles.toy_jobs import run
from tests.doubles.toy_replica import content_of, toy_job

COMMANDS = ("generate", "refilter")


@contextmanager
def dying_client(folder: Path, at: int | None) -> Iterator[Death]:
    """Inside, this process is a new one that dies at a call that changes an object store."""
    with dying(folder / "nothing is written here", at) as death:

        def counted(usual: Callable[..., Any], name: str) -> Callable[..., Any]:
            def call(client: ObjectClient, key: str, *content: Any) -> Any:
                death.count(f"{name} {key}")
                return usual(client, key, *content)

            return call

        def removed(client: ObjectClient, keys: Iterable[str]) -> None:
            for key in keys:
                death.count(f"remove {key}")
                _remove(client, [key])

        names = ("put", "put_file", "create")
        changed = {name: counted(getattr(ObjectClient, name), name) for name in names}
        with patch.multiple(ObjectClient, **changed, remove=removed):
            yield death


_remove = ObjectClient.remove


class ObjectTrial:
    """A command on a dataset in an object store; the interface is that of `Trial`.

    Args:
        command: `generate` or `refilter`.
        folder: an empty one.
        place: a prefix that nobody else uses.
    """

    def __init__(self, command: str, folder: Path, place: str) -> None:
        self._command, self._folder, self._place = command, folder, place
        self.found = Found()
        whole = self._begun("whole")
        with dying_client(folder, None) as life:
            self._run(whole)
        self.calls = self.found.calls = life.calls
        self._content, self._after = self._left(whole, "whole"), _rows(whole)
        self._before = _rows(self._begun("before")) if command == "refilter" else None

    def kill(self, at: int) -> None:
        """The command was killed at a call and run again, and `found` says what came of it."""
        name = f"killed-{at}"
        spec = self._begun(name)
        with dying_client(self._folder, at) as death:
            self._run(spec)
        if not death.dead:
            return  # a call fewer than in the undisturbed run: nothing to see
        self.found.killed += 1
        where = f"call {at}: {death.where}"
        try:
            if _rows(spec) not in (self._before, self._after):
                self.found.unseen.append(where)
        except StoreError:
            pass  # refused, as it should be
        try:
            with dying_client(self._folder, None):
                self._run(spec)
            verify(spec.output.dir)
        except Exception as error:  # noqa: BLE001 - counted with its cause
            self.found.unfinished.append(f"{where}: {type(error).__name__}: {error}"[:400])
            return
        if self._left(spec, name) != self._content or not store_at(spec.output.dir).exists(SUCCESS):
            self.found.different.append(where)
        if PENDING in ObjectClient(spec.output.dir).names(""):
            self.found.left.append(f"{where}: {PENDING}")
        strays = [key for key in keys_below(spec.output.dir, "") if "probe" in key]
        self.found.left += [f"{where}: {key}" for key in strays]

    def _begun(self, name: str) -> GenerateSpec:
        """The job, into a place of its own, where the command that is tried finds what it needs."""
        output = {"dir": f"{self._place}/{name}", "dicom": None}
        spec = toy_job(self._folder, filters=SOME, output=output)
        if self._command == "refilter":
            run(spec)
        return spec

    def _run(self, spec: GenerateSpec) -> None:
        if self._command == "generate":
            run(spec)
            return
        output = {"dir": spec.output.dir, "dicom": None}
        refilter(spec.output.dir, toy_job(self._folder, filters=OTHERS, output=output))

    def _left(self, spec: GenerateSpec, name: str) -> dict[str, str]:
        """What the dataset holds, as a folder would."""
        folder = self._folder / "copies" / name
        found = content_of(copied(spec.output.dir, folder))
        shutil.rmtree(folder)
        return found


def _rows(spec: GenerateSpec) -> list[str] | None:
    """What a reader sees; None where there is no `data/`."""
    names = ObjectClient(spec.output.dir).names("")
    if "data" not in names and PENDING not in names:
        return None
    return [row.pair_id for row in open_dataset(spec.output.dir).rows()]
