"""The one place where a command speaks: nothing that it says can command the terminal."""

from __future__ import annotations

import sys

from medim_forge.generator.escaping import visible


def say(text: str, *, error: bool = False) -> None:
    """The text is on standard output at once, or on standard error, with controls written out."""
    print(visible(text), file=sys.stderr if error else sys.stdout, flush=True)
