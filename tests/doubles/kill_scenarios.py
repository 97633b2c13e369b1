"""Commands that are killed at a storage call, run again, and compared with what they make undisturbed."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from medim_forge.generator.audit.privacy import assess, record_privacy
from medim_forge.generator.audit.verify import verify
from medim_forge.generator.dataset import open_dataset
from medim_forge.generator.errors import StoreError
from medim_forge.generator.finalise.refilter import refilter
from medim_forge.generator.jobspec import GenerateSpec
from medim_forge.generator.store import PENDING, SUCCESS
from tests.doubles.kills import dying
from tests.doubles.toy_jobs import QUOTAS, run
from tests.doubles.toy_replica import content_of, toy_job

SOME = [{"name": "image_stats"}, {"name": "agreement", "drop_below": -0.75}]
OTHERS = [{"name": "agreement", "drop_below": 0.25}]


@dataclass(frozen=True)
class Scenario:
    """A command on a dataset.

    Attributes:
        name: of the command.
        changes: keys of its job.
        before: what was done to the dataset before the command; None where there was none.
        command: does it, given the job and a folder with the reference.
    """

    name: str
    changes: dict[str, object]
    before: Callable[[GenerateSpec, Path], object] | None
    command: Callable[[GenerateSpec, Path], object]


@dataclass
class Found:
    """What came of a scenario.

    Attributes:
        calls: storage calls of the undisturbed command.
        killed: commands that were killed, and died.
        different: kills after which the command run again made other bytes.
        unfinished: kills after which it did not complete.
        unseen: kills after which a reader saw what is neither the old dataset nor the new one, nor a refusal.
        left: kills after which something is left behind.
    """

    calls: int = 0
    killed: int = 0
    different: list[str] = field(default_factory=list)
    unfinished: list[str] = field(default_factory=list)
    unseen: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)


def _privacy(spec: GenerateSpec, reference: Path) -> None:
    record_privacy(spec.output.dir, assess(spec.output.dir, str(reference), None, "image", "report"))


def _refilter(spec: GenerateSpec, reference: Path) -> None:
    refilter(spec.output.dir, _other(spec, OTHERS))


def _run(spec: GenerateSpec, reference: Path) -> None:
    run(spec)


def _finalise(spec: GenerateSpec, reference: Path) -> None:
    (Path(spec.output.dir) / SUCCESS).unlink(missing_ok=True)
    run(spec)


def _other(spec: GenerateSpec, filters: list[dict[str, object]]) -> GenerateSpec:
    place = Path(spec.output.dir)
    dicom = None if spec.output.dicom is None else {}
    return toy_job(
        place.parent, Path(spec.model.checkpoint), filters=filters, output={"dir": str(place), "dicom": dicom}
    )


def _twice(spec: GenerateSpec, reference: Path) -> None:
    _run(spec, reference)
    _refilter(spec, reference)


SCENARIOS = (
    Scenario("generate", {"filters": SOME}, None, _run),
    Scenario("rounds", {"filters": SOME, "balance": QUOTAS}, None, _run),
    Scenario("finalise", {"filters": SOME}, _run, _finalise),
    Scenario("refilter", {"filters": SOME}, _run, _refilter),
    Scenario("privacy", {"filters": SOME}, _run, _privacy),
    Scenario("privacy after refilter", {"filters": SOME}, _twice, _privacy),
    Scenario("restored DICOM", {"filters": [{"name": "agreement", "drop_below": 0.6}]}, _run, _refilter),
)


class Trial:
    """A scenario, with what it makes undisturbed.

    Args:
        scenario: the command.
        folder: an empty one.
    """

    def __init__(self, scenario: Scenario, folder: Path) -> None:
        self._scenario, self._folder = scenario, folder
        self._checkpoint, self._start = folder / "checkpoint", folder / "start"
        self.found = Found()
        spec = self._spec(self._start)
        self.reference = folder / "reference"
        made = toy_job(folder / "other", self._checkpoint, seed=12, output={"dir": str(self.reference), "dicom": None})
        run(made)
        self.reference = self.reference / "data"
        if scenario.before:
            scenario.before(spec, self.reference)
        self._before = self._rows(self._start / "out")
        whole = self._fresh("whole")
        with dying(whole, None) as life:
            scenario.command(self._spec(whole), self.reference)
        self._calls, self.found.calls = life.calls, life.calls
        self._content, self._after = content_of(whole / "out"), self._rows(whole / "out")

    @property
    def calls(self) -> int:
        """Storage calls of the undisturbed command."""
        return self._calls

    def kill(self, at: int) -> None:
        """The command was killed at a call and run again, and `found` says what came of it."""
        place = self._fresh(f"killed {at}")
        spec = self._spec(place)
        with dying(place, at) as death:
            self._scenario.command(spec, self.reference)
        if not death.dead:
            return  # a call fewer than in the undisturbed run: nothing to see
        self.found.killed += 1
        where = f"call {at}: {death.where}"
        self._look(place / "out", where)
        try:
            with dying(place, None):
                self._scenario.command(spec, self.reference)
            verify(place / "out")
        except Exception as error:  # noqa: BLE001 - counted with its cause
            self.found.unfinished.append(f"{where}: {type(error).__name__}: {error}"[:400])
            return
        finally:
            self._compare(place / "out", where)
            shutil.rmtree(place)

    def _look(self, out: Path, where: str) -> None:
        """What a reader sees between the kill and the next command."""
        if not (out / SUCCESS).exists() and self._scenario.before is None:
            return  # a dataset that never was finished
        try:
            seen = self._rows(out)
        except StoreError:
            return
        if seen not in (self._before, self._after):
            self.found.unseen.append(where)

    def _compare(self, out: Path, where: str) -> None:
        if content_of(out) != self._content or not (out / SUCCESS).exists():
            self.found.different.append(where)
        left = [path.name for path in out.iterdir() if path.name.startswith(".") or path.name == PENDING]
        if left:
            self.found.left.append(f"{where}: {', '.join(sorted(left))}")

    def _spec(self, place: Path) -> GenerateSpec:
        dicom = {} if "DICOM" in self._scenario.name else None
        changes = {"output": {"dir": str(place / "out"), "dicom": dicom}, **self._scenario.changes}
        return toy_job(place, self._checkpoint, **changes)

    def _fresh(self, name: str) -> Path:
        place = self._folder / name
        place.mkdir()
        if (self._start / "out").exists():
            shutil.copytree(self._start / "out", place / "out")
        return place

    @staticmethod
    def _rows(out: Path) -> list[str] | None:
        if not (out / "data").exists() and not (out / PENDING).exists():
            return None
        return [row.pair_id for row in open_dataset(out).rows()]
