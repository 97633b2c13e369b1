"""Damages every file of a finished dataset in six ways and runs every command: python -m benchmarks.damage [--every N].

In this process, with the replica of numpy; tests/doubles/damages.py says what counts as what. The bar: no traceback,
nothing silent, no message without the file's name.
"""

from __future__ import annotations

import itertools
import sys
import tempfile
from pathlib import Path

from benchmarks.context import context, deliver, parser
from tests.doubles.damages import DAMAGES, Commands, Found


def main() -> int:
    """The table as JSON; 1 where a command met a damage badly."""
    arguments = parser(__doc__)
    arguments.add_argument("--every", type=int, default=1, help="every N-th of the cases only")
    arguments.add_argument("--only", help="this command only")
    options = arguments.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        commands = Commands(Path(folder))
        names = [name for name in commands.all if options.only in (None, name)]
        found = {name: Found() for name in names}
        cases = itertools.product(names, commands.files, DAMAGES)
        for command, name, damage in itertools.islice(cases, 0, None, options.every):
            commands.of(command, name, damage, found[command])
    bad = sum(len(row.tracebacks) + len(row.silent) + len(row.unnamed) for row in found.values())
    table = {name: {**vars(row), "outcomes": dict(row.outcomes)} for name, row in found.items()}
    result = {"benchmark": "damage", "files": len(commands.files), "bad": bad, "commands": table}
    deliver({**result, "context": context("cpu")}, options.out)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
