"""Runs every scenario and prints the table of docs/running.md: `python -m tests.chaos [FILE]`.

What Ray says on the way goes to the terminal too; the table comes last, and into the file if one is named.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from tests.chaos.lab import Ending, check, laboratory
from tests.chaos.scenarios import SCENARIOS

HEAD = "| fault | what it left behind | pairs lost, doubled | missing, with a reason | bytes | seconds |"


def row(fault: str, ending: Ending, seconds: float) -> str:
    """A line of the table."""
    trace = " ".join(ending.trace.partition(" The actor")[0].split()).replace("|", "/")
    same = "identical" if not ending.missing else "identical but for that shard"
    return f"| {fault} | {trace[:150]} | 0, 0 | {len(ending.missing)} | {same} | {seconds:.0f} |"


def main() -> int:
    rows = [HEAD, "|---|---|---|---|---|---|"]
    with laboratory() as lab:
        for scenario in SCENARIOS:
            began = time.monotonic()
            spec, ending = scenario(lab)
            check(lab, spec, ending)
            rows.append(row(scenario.__doc__ or scenario.__name__, ending, time.monotonic() - began))
            print(rows[-1], file=sys.stderr, flush=True)
    table = "\n".join(rows)
    print(f"\n{table}")
    if len(sys.argv) > 1:
        Path(sys.argv[1]).write_text(table + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
