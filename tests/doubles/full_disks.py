"""Commands on a disk that is full, and what they make once it has room again."""

from __future__ import annotations

import contextlib
import os
import resource
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from medim_forge.generator.audit.privacy import assess, record_privacy
from medim_forge.generator.errors import MedimError
from medim_forge.generator.finalise.refilter import refilter
from medim_forge.generator.jobspec import GenerateSpec
from tests.doubles.damages import content
from tests.doubles.kill_scenarios import OTHERS, SOME
from tests.doubles.toy_jobs import QUOTAS, run
from tests.doubles.toy_replica import toy_job

FREE_KIB = (0, 4, 8, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024)
_REASONS = ("No space left", "disk is full", "disk I/O error", "unable to open database", "File too large")


@dataclass
class Found:
    """What came of a command on disks with little room.

    Attributes:
        cases: disks.
        full: of them too small for the command.
        tracebacks: errors that are none of ours.
        unsaid: errors that do not say that the disk is full.
        different: what the command run again with room made is not what it makes undisturbed.
        left: something is left behind after that.
    """

    cases: int = 0
    full: int = 0
    tracebacks: list[str] = field(default_factory=list)
    unsaid: list[str] = field(default_factory=list)
    different: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)

    @property
    def bad(self) -> int:
        """How many cases went badly."""
        return sum(map(len, (self.tracebacks, self.unsaid, self.different, self.left)))


class Disk:
    """A small file system.

    Args:
        folder: where it is mounted.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self._ballast = folder, folder / "ballast"

    def fill(self, free_kib: int) -> None:
        """So much room is left, and no more."""
        with self._ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(b"\0" * 2**16)
        size = self._ballast.stat().st_size
        os.truncate(self._ballast, max(0, size - free_kib * 1024) // 4096 * 4096)

    def empty(self) -> None:
        """There is room again."""
        self._ballast.unlink()


def _run(spec: GenerateSpec, reference: Path) -> None:
    run(spec)


def _refilter(spec: GenerateSpec, reference: Path) -> None:
    place = Path(spec.output.dir)
    refilter(str(place), _spec(place.parent, Path(spec.model.checkpoint), OTHERS))


def _privacy(spec: GenerateSpec, reference: Path) -> None:
    record_privacy(spec.output.dir, assess(spec.output.dir, str(reference), None, "image", "report"))


def _spec(place: Path, checkpoint: Path, filters: list[dict[str, object]], **changes: object) -> GenerateSpec:
    return toy_job(place, checkpoint, filters=filters, output={"dir": str(place / "out"), "dicom": None}, **changes)


# What the command does, keys of its job, and whether the dataset is there before.
COMMANDS: dict[str, tuple[Callable[[GenerateSpec, Path], None], dict[str, object], bool]] = {
    "generate": (_run, {}, False),
    "rounds": (_run, {"balance": QUOTAS}, False),
    "refilter": (_refilter, {}, True),
    "privacy": (_privacy, {}, True),
}


class Trial:
    """Every command, with what it makes undisturbed.

    Args:
        folder: an empty one.
    """

    def __init__(self, folder: Path) -> None:
        self._checkpoint, self._folder = folder / "checkpoint", folder
        other = toy_job(folder / "other", self._checkpoint, seed=12)
        run(other)
        self._reference = Path(other.output.dir) / "data"
        self._whole: dict[str, dict[str, str]] = {}

    def fill(self, name: str, disk: Disk | FileLimit, free_kib: int, found: Found) -> None:
        """The command met a disk with so much room, then one with enough; `found` says what came of it."""
        command, changes, before = COMMANDS[name]
        if name not in self._whole:
            self._whole[name] = self._undisturbed(name)
        spec = _spec(disk.folder / "job", self._checkpoint, SOME, **changes)
        if before:
            run(spec)
        Path(spec.output.dir).mkdir(parents=True, exist_ok=True)
        found.cases += 1
        where = f"{free_kib} KiB free"
        disk.fill(free_kib)
        try:
            command(spec, self._reference)
        except MedimError as error:
            found.full += 1
            if not any(reason in str(error) for reason in _REASONS):
                found.unsaid.append(f"{where}: {error}")
        except Exception as error:  # noqa: BLE001 - counted with its cause
            found.full += 1
            found.tracebacks.append(f"{where}: {type(error).__name__}: {error}")
        finally:
            disk.empty()
        try:
            command(spec, self._reference)
        except Exception as error:  # noqa: BLE001 - counted with its cause
            found.different.append(f"{where}: {type(error).__name__}: {error}")
            return
        made, whole = content(Path(spec.output.dir)), self._whole[name]
        if made != whole:
            differing = sorted(one for one in {*made, *whole} if made.get(one) != whole.get(one))
            found.different.append(f"{where}: {differing[:3]}")
        found.left += [f"{where}: {path.name}" for path in Path(spec.output.dir).glob(".tmp/*")]

    def _undisturbed(self, name: str) -> dict[str, str]:
        command, changes, before = COMMANDS[name]
        place = self._folder / f"whole {name}"
        shutil.rmtree(place, ignore_errors=True)
        spec = _spec(place, self._checkpoint, SOME, **changes)
        if before:
            run(spec)
        command(spec, self._reference)
        return content(Path(spec.output.dir))


class FileLimit:
    """A file system that takes no large file, which needs no root: the system refuses what goes beyond a size.

    Args:
        folder: any.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self._usual = folder, resource.getrlimit(resource.RLIMIT_FSIZE)

    def fill(self, free_kib: int) -> None:
        """No file grows beyond so many KiB."""
        resource.setrlimit(resource.RLIMIT_FSIZE, (free_kib * 1024, self._usual[1]))

    def empty(self) -> None:
        """Files grow as they like."""
        resource.setrlimit(resource.RLIMIT_FSIZE, self._usual)
