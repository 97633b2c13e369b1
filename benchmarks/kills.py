"""Kills every command at every storage call, runs it again and compares: python -m benchmarks.kills [--every N].

In this process, with the replica of numpy, and a training of a tiny backbone; see tests/doubles/kills.py for what a
kill is. The bar: nothing different, unfinished, left behind, or seen half made.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from tests.doubles.kill_objects import COMMANDS, ObjectTrial
from tests.doubles.kill_scenarios import SCENARIOS, Trial
from tests.doubles.kill_training import TrainingTrial
from tests.doubles.object_server import bucket


def main() -> int:
    """The table as JSON; 1 where a kill did harm."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--every", type=int, default=1, help="kill at every N-th call only")
    arguments.add_argument("--only", help="this command only")
    arguments.add_argument("--json", type=Path, help="where the JSON goes; the screen without it")
    options = arguments.parse_args()
    found = {}
    trials: dict[str, Callable[[Path], Any]] = {scenario.name: partial(Trial, scenario) for scenario in SCENARIOS}
    with bucket() as place:
        for command in COMMANDS:
            made = partial(ObjectTrial, command, place=f"{place}/{command}")
            trials[f"{command}, object store"] = made
        for name, make in {**trials, "training": TrainingTrial}.items():
            if options.only not in (None, name):
                continue
            with tempfile.TemporaryDirectory() as folder:
                trial = make(Path(folder))
                for at in range(1, trial.calls + 1, options.every):
                    trial.kill(at)
            found[name] = vars(trial.found)
            print(f"{name}: {trial.found.killed} kills", file=sys.stderr)
    harm = sum(len(row[name]) for row in found.values() for name in ("different", "unfinished", "unseen", "left"))
    text = json.dumps({"benchmark": "kills", "every": options.every, "harm": harm, "scenarios": found}, indent=1)
    if options.json:
        options.json.write_text(text + "\n", encoding="utf-8")
    else:
        print(text)
    return 1 if harm else 0


if __name__ == "__main__":
    sys.exit(main())
