"""Hostile job files, tables and checkpoints: how each is refused, how long that takes, and what is not refused well.

    python -m benchmarks.fuzz --out fuzz.json

Each case is made from its family, the seed and its number, so one alone can be made again: `--only jobs:values:17`.
A case is `done` (it was taken), `refused` (an error of ours that is plain), `unclear` (an error of ours that speaks of
libraries, repeats pages, or does not name its file) or a `traceback` (any other exception). Wall times are those of one
process beside whatever else the machine does; CPU times are its own.
"""

from __future__ import annotations

import os
import re
import resource
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks import fuzz_checkpoints, fuzz_jobs, fuzz_tables
from benchmarks.context import context, deliver, parser
from medim_forge.generator.errors import MedimError

SLOW = 2.0  # seconds
SHOWN = 5  # examples of each kind of trouble
_JARGON = re.compile(
    r"pydantic|Errno|os error|deserializ|Traceback|validation error|Input should|object at 0x|NoneType|yaml\.[a-z]+\.|"
    r"<class|_type\b|\w+Error\(|\w+Exception|Rust|panicked|c10::|float\(\)|int\(\)|JSONDecode|"
    r"Arrow(Invalid|NotImpl)|std::|codec can't"
)
_MOST_OF_LINE, _MOST_LINES = 1200, 12
FAMILIES: dict[str, tuple[Callable[..., Iterator[fuzz_jobs.Case]], int]] = {
    # family: its cases, and how many of each of its kinds
    "jobs": (fuzz_jobs.cases, 1400),
    "tables": (fuzz_tables.cases, 60),
    "checkpoints": (fuzz_checkpoints.cases, 30),
}


@dataclass
class Tally:
    """What became of the cases of one kind.

    Attributes:
        outcomes: how many ended how.
        wall: the slowest, seconds, and its name.
        cpu: the same of CPU time.
        slow: how many took more than `SLOW` seconds.
        trouble: names and messages of the first that were not refused well.
    """

    outcomes: Counter[str] = field(default_factory=Counter)
    wall: tuple[float, str] = (0.0, "")
    cpu: tuple[float, str] = (0.0, "")
    slow: int = 0
    trouble: list[str] = field(default_factory=list)

    def record(self) -> dict[str, Any]:
        """The tally as JSON values."""
        return {
            "cases": self.outcomes.total(),
            **{name: self.outcomes[name] for name in ("done", "refused", "unclear", "traceback")},
            "slower_than_2_s": self.slow,
            "slowest_s": {"wall": round(self.wall[0], 3), "case": self.wall[1]},
            "slowest_cpu_s": {"cpu": round(self.cpu[0], 3), "case": self.cpu[1]},
            "trouble": self.trouble,
        }


def main() -> None:
    """Measure and deliver."""
    options = parser(__doc__)
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--share", type=float, default=1.0, help="of the cases of each kind")
    options.add_argument("--only", default="", help="family, family:kind or family:kind:number")
    given = options.parse_args()
    result = {"benchmark": "fuzz", "seed": given.seed, "families": measured(given.seed, given.share, given.only)}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    deliver({**result, "peak_mib": peak, **context("cpu")}, given.out)


def measured(seed: int, share: float = 1.0, only: str = "") -> dict[str, Any]:
    """The tallies of all kinds by family."""
    family, _, rest = only.partition(":")
    found: dict[str, Any] = {}
    for name, (cases, count) in FAMILIES.items():
        if family in ("", name):
            found[name] = {kind: tally.record() for kind, tally in tallied(cases, seed, count, share, rest).items()}
    return found


def tallied(
    cases: Callable[..., Iterator[fuzz_jobs.Case]], seed: int, count: int, share: float, only: str = ""
) -> dict[str, Tally]:
    """What became of the cases of a family, by kind. They run in a folder of their own."""
    tallies: dict[str, Tally] = {}
    with tempfile.TemporaryDirectory() as folder:
        here = Path.cwd()
        os.chdir(folder)
        try:
            for case in cases(Path(folder), seed, max(1, round(count * share)), only):
                judge(case, tallies.setdefault(case.kind, Tally()))
        finally:
            os.chdir(here)
    return tallies


def judge(case: fuzz_jobs.Case, tally: Tally) -> None:
    """The case has run, and the tally says how it ended."""
    name = f"{case.kind}:{case.number}"
    wall, cpu = time.perf_counter(), time.process_time()
    try:
        case.run()
    except MedimError as error:
        wrong = unclear(str(error), case.names)
        outcome = "unclear" if wrong else "refused"
        if wrong:
            note(tally, f"{name} ({wrong}): {str(error)[:400]}")
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        outcome = "traceback"
        last = traceback.extract_tb(error.__traceback__)[-1]
        note(tally, f"{name} {type(error).__name__} at {Path(last.filename).name}:{last.lineno}: {str(error)[:300]}")
    else:
        outcome = "done"
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    tally.outcomes[outcome] += 1
    tally.slow += wall > SLOW
    tally.wall, tally.cpu = max(tally.wall, (wall, name)), max(tally.cpu, (cpu, name))


def note(tally: Tally, line: str) -> None:
    """The trouble is among the examples, if few are known yet."""
    if len(tally.trouble) < SHOWN:
        tally.trouble.append(line)


def unclear(message: str, names: tuple[str, ...]) -> str:
    """Why a message is no plain sentence; empty where it is one.

    Args:
        message: of an error.
        names: of which one must be said, for it is what is to be mended.
    """
    lines = message.splitlines()
    if found := _JARGON.search(message):
        return f"says {found.group()}"
    if len(lines) > _MOST_LINES or any(len(line) > _MOST_OF_LINE for line in lines):
        return f"{len(message)} characters"
    if not all(line.isprintable() for line in lines):
        return "holds control characters"
    if names and not any(name in message for name in names):
        return "names no file"
    return "" if message.rstrip().endswith((".", "?", ")")) else "is no sentence"


if __name__ == "__main__":
    main()
