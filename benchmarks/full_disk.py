"""Fills the disk under every command, gives it room again and runs the command again: python -m benchmarks.full_disk.

Needs root: every case has a file system of its own in memory (tmpfs), with so many KiB free. In this process, with the
replica of numpy. The bar: no traceback, no message without a reason, nothing different afterwards, nothing left behind.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.context import context, deliver, parser
from tests.doubles.full_disks import COMMANDS, FREE_KIB, Disk, Found, Trial


@contextlib.contextmanager
def small_disk(folder: Path) -> Iterator[Disk]:
    """A file system in memory at the folder."""
    folder.mkdir(exist_ok=True)
    mounted = ["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(folder)]
    subprocess.run(mounted, check=True)  # noqa: S603 - our own folder
    try:
        yield Disk(folder)
    finally:
        subprocess.run(["umount", str(folder)], check=True)  # noqa: S603, S607 - our own folder


def main() -> int:
    """The table as JSON; 1 where a command met a full disk badly."""
    arguments = parser(__doc__)
    options = arguments.parse_args()
    found = {name: Found() for name in COMMANDS}
    with tempfile.TemporaryDirectory() as folder:
        trial = Trial(Path(folder))
        for name in COMMANDS:
            for free in FREE_KIB:
                with small_disk(Path(folder, "disk")) as disk:
                    trial.fill(name, disk, free, found[name])
    bad = sum(row.bad for row in found.values())
    table = {name: vars(row) for name, row in found.items()}
    deliver({"benchmark": "full_disk", "bad": bad, "commands": table, "context": context("cpu")}, options.out)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
