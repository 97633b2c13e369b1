"""Exceptions as text that is the same on every machine, because it is written into datasets."""

from __future__ import annotations

import re
import sys
import traceback
from pathlib import Path

from medim_forge.generator.masking import masked

_ADDRESS = re.compile(r"\b0x[0-9a-fA-F]{6,}\b")
_FILE = re.compile(r'(?<=File ")[^"]+(?=")')


def one_line(error: BaseException) -> str:
    """Class and message on one line, as `portable` text."""
    kind, message = kind_and_message(error)
    return f"{kind}: {message}" if message else kind


def kind_and_message(error: BaseException) -> tuple[str, str]:
    """The name of the exception's class, and its message on one line as `portable` text."""
    return type(error).__name__, portable(" ".join(str(error).split()))


def portable_traceback(error: BaseException) -> str:
    """The whole traceback, as `portable` text."""
    return portable("".join(traceback.format_exception(error)))


def portable(text: str) -> str:
    """The text with files named by the module they are, without memory addresses and without credentials.

    Where a module was found, and in which folder the job was started, differs between machines and executors.
    """
    names: dict[str, str] = {}
    for name, module in sorted(sys.modules.items(), key=lambda item: (len(item[0]), item[0])):
        # Read from the dictionary: asking a lazy module for an attribute may import half a library.
        file = getattr(module, "__dict__", {}).get("__file__")
        if isinstance(file, str) and not name.startswith("__"):
            names[file] = name.replace(".", "/") + ("/__init__.py" if file.endswith("__init__.py") else ".py")

    def named(match: re.Match[str]) -> str:
        return names.get(match.group(), Path(match.group()).name)

    return masked(_ADDRESS.sub("0x0", _FILE.sub(named, text)))
