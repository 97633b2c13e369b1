"""Files of a finished dataset that were damaged, and what every command then says and does."""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

from medim_forge.generator.audit.privacy import assess, record_privacy
from medim_forge.generator.audit.reproduce import reproduce
from medim_forge.generator.audit.status import status
from medim_forge.generator.audit.verify import verify
from medim_forge.generator.cli.text import status_text
from medim_forge.generator.dataset import open_dataset
from medim_forge.generator.errors import MedimError
from medim_forge.generator.files import sha256_hex
from medim_forge.generator.finalise.refilter import refilter
from medim_forge.generator.generate.job import run_job
from medim_forge.generator.jobspec import GenerateSpec
from medim_forge.generator.store import SUCCESS
from tests.doubles.kill_scenarios import OTHERS, SOME
from tests.doubles.toy_jobs import run
from tests.doubles.toy_replica import PARTS, toy_job

# A round more than planned, so that a dataset has every kind of file.
_ROUNDS = {"budget": 24, "quotas": [{"prompt": 1, "kept": 5}]}


def truncated(path: Path) -> None:
    """The second half is gone."""
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def emptied(path: Path) -> None:
    """Nothing is left."""
    path.write_bytes(b"")


def flipped(path: Path) -> None:
    """One bit in the middle is another one."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def another_type(path: Path) -> None:
    """It is whole JSON, YAML and text, and not what stood there."""
    path.write_text("[1, 2, 3]\n", encoding="utf-8")


def missing(path: Path) -> None:
    """There is no such file."""
    path.unlink()


def a_folder(path: Path) -> None:
    """A folder stands in its place."""
    path.unlink()
    path.mkdir()
    (path / "x").touch()


DAMAGES: tuple[Callable[[Path], None], ...] = (truncated, emptied, flipped, another_type, missing, a_folder)


@dataclass
class Found:
    """What became of pairs of a command and a damaged file.

    Attributes:
        outcomes: how many were `refused`, `noticed` (verify names it), `mended` (and said so), `unread` (nothing that
            the command says or writes differs from what it says of an undamaged dataset).
        tracebacks: errors that are none of ours.
        silent: the command said or wrote something else, and no word.
        unnamed: it was refused, by a message without the file's name.
    """

    outcomes: Counter[str] = field(default_factory=Counter)
    tracebacks: list[str] = field(default_factory=list)
    silent: list[str] = field(default_factory=list)
    unnamed: list[str] = field(default_factory=list)


class Commands:
    """Every command on a finished dataset, in this process.

    Args:
        folder: an empty one.
    """

    def __init__(self, folder: Path) -> None:
        self._folder, self._checkpoint = folder, folder / "checkpoint"
        other = toy_job(folder / "other", self._checkpoint, seed=12)
        run(other)
        self._reference = Path(other.output.dir) / "data"
        spec = self._spec(folder / "start")
        run(spec)
        refilter(spec.output.dir, self._spec(folder / "start", SOME))
        record_privacy(spec.output.dir, self._assessed(spec))
        self.start = folder / "start" / "out"
        self.files = sorted(path.relative_to(self.start).as_posix() for path in self.start.rglob("*") if path.is_file())
        self._whole: dict[str, tuple[list[str], dict[str, str]]] = {}
        self.all = {
            "run": self._run,
            "status": lambda spec: [status_text(status(spec.output.dir))],
            "verify": lambda spec: list(verify(spec.output.dir).problems),
            "refilter": self._refilter,
            "privacy": self._privacy,
            "reproduce": self._reproduce,
            "rows": self._rows,
        }

    def of(self, command: str, name: str, damage: Callable[[Path], None], found: Found) -> None:
        """The file was damaged and the command run; `found` says what came of it."""
        place = self._fresh("damaged")
        if not (place / "out" / name).stat().st_size and damage not in (missing, a_folder):
            return  # nothing is lost
        damage(place / "out" / name)
        where = f"{command}, {name} {damage.__name__}"
        before = content(place / "out")
        try:
            said = self.all[command](self._spec(place))
        except MedimError as error:
            found.outcomes["refused"] += 1
            if not named(name, str(error)):
                found.unnamed.append(f"{where}: {error}")
            return
        except Exception as error:  # noqa: BLE001 - counted with its cause
            found.tracebacks.append(f"{where}: {type(error).__name__}: {error}")
            return
        if command == "verify":
            noticed = any(named(name, line) for line in said)
            found.outcomes["noticed" if noticed else "unnoticed"] += 1
            if not noticed:
                found.silent.append(f"{where}: {said}")
            return
        self._judge(command, name, where, (said, before, content(place / "out")), found)

    def _judge(
        self, command: str, name: str, where: str, seen: tuple[list[str], dict[str, str], dict[str, str]], found: Found
    ) -> None:
        """A command that ended well either did not meet the damage, or mended it and said so."""
        said, before, after = seen
        whole_said, whole_after = self._undamaged(command)
        writes = command in ("run", "refilter", "privacy")
        same = writes or said == whole_said
        differing = {one for one in {*after, *whole_after} if after.get(one) != whole_after.get(one)}
        untouched = after.get(name) == before.get(name)
        if not writes and any(named(name, line) for line in said if line not in whole_said):
            found.outcomes["noticed"] += 1
        elif writes and not differing:
            told = any(named(name, line) or "made again" in line or "shards to make" in line for line in said)
            found.outcomes["mended" if told else "unread"] += 1
        elif name == "privacy.json" and "privacy.json" in differing and any(named(name, line) for line in said):
            found.outcomes["given up"] += 1  # it cannot be remade without the reference; the command says it is lost
        elif same and differing <= {name} | {one for one in differing if one.startswith(f"{name}/")} and untouched:
            found.outcomes["unread"] += 1
        else:
            found.silent.append(f"{where}: {sorted(differing)[:3]} {said[-1:]}")

    def _undamaged(self, command: str) -> tuple[list[str], dict[str, str]]:
        if command not in self._whole:
            place = self._fresh("undamaged")
            said = self.all[command](self._spec(place))
            self._whole[command] = said, content(place / "out")
        return self._whole[command]

    def _fresh(self, name: str) -> Path:
        place = self._folder / name
        shutil.rmtree(place, ignore_errors=True)
        shutil.copytree(self.start, place / "out")
        # The spec holds the folder; every copy lies at the same depth, under a name of its own.
        path = place / "out" / "spec.yaml"
        path.write_text(path.read_text(encoding="utf-8").replace(str(self.start), str(place / "out")), encoding="utf-8")
        return place

    def _spec(self, place: Path, filters: list[dict[str, object]] | None = None) -> GenerateSpec:
        output = {"dir": str(place / "out"), "dicom": None}
        return toy_job(place, self._checkpoint, filters=filters or OTHERS, balance=_ROUNDS, output=output)

    def _run(self, spec: GenerateSpec) -> list[str]:
        said: list[str] = []
        run_job(spec, local=True, on_event=lambda event: said.append(event.message), parts=PARTS)
        return said

    def _refilter(self, spec: GenerateSpec) -> list[str]:
        refilter(spec.output.dir, self._spec(Path(spec.output.dir).parent, OTHERS))
        return []

    def _assessed(self, spec: GenerateSpec):
        return assess(spec.output.dir, str(self._reference), None, "image", "report")

    def _privacy(self, spec: GenerateSpec) -> list[str]:
        record_privacy(spec.output.dir, self._assessed(spec))
        return []

    def _reproduce(self, spec: GenerateSpec) -> list[str]:
        pair = next(iter(open_dataset(self.start).rows())).pair_id
        return [str(asdict(reproduce(spec.output.dir, pair, PARTS)))]

    def _rows(self, spec: GenerateSpec) -> list[str]:
        return [f"{row} {sha256_hex(row.png)}" for row in open_dataset(spec.output.dir).rows()]


def named(name: str, text: str) -> bool:
    """Whether a message names a file, or the folder of the shard or of the rounds it lies in."""
    if name == SUCCESS:
        return SUCCESS in text or "not finished" in text
    folder = name.rpartition("/")[0]
    return name in text or (folder != "" and folder in text and not name.startswith("data/"))


def content(out: Path) -> dict[str, str]:
    """sha256 of all files that a promise covers: of records without `run`, of the spec without its folder."""
    found = {}
    for path in sorted(one for one in out.rglob("*") if one.is_file() and ".tmp" not in one.parts):
        written = path.read_bytes().replace(str(out).encode(), b"")
        if path.name in ("_shard.json", "manifest.json"):
            with contextlib.suppress(ValueError, KeyError, TypeError):
                values = json.loads(written)
                del values["run"], values["sha256"]
                # spec.yaml holds the output folder.
                values["files"] = [one for one in values["files"] if one["path"] != "spec.yaml"]
                written = json.dumps(values).encode()
        found[path.relative_to(out).as_posix()] = hashlib.sha256(written).hexdigest()
    return found
