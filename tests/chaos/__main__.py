"""Runs every scenario and prints the table of docs/running.md: `python -m tests.chaos`."""

from __future__ import annotations

import sys
import time

from tests.chaos.lab import check, laboratory
from tests.chaos.scenarios import SCENARIOS


def main() -> int:
    print("| fault | what it left behind | pairs lost, doubled | missing with a reason | bytes | seconds |")
    print("|---|---|---|---|---|---|")
    with laboratory() as lab:
        for scenario in SCENARIOS:
            began = time.monotonic()
            spec, ending = scenario(lab)
            check(lab, spec, ending)
            took = time.monotonic() - began
            bytes_ = "identical" if not ending.missing else "identical but for that shard"
            trace = " ".join(ending.trace.split())[:110].replace("|", "/")
            print(
                f"| {scenario.__doc__} | {trace} | 0, 0 | {len(ending.missing)} | {bytes_} | {took:.0f} |", flush=True
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
