"""Exceptions as text that is the same on every machine, because it is written into datasets."""

from __future__ import annotations

import os
import re
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from medim_forge.generator.errors import MedimError
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


@contextmanager
def wordless_causes() -> Iterator[None]:
    """What fails inside, fails with what we say of it, and without the words of libraries and of the system.

    Those repeat what they were given: names of files, values of cells and of DICOM elements, which are often people's.
    """
    failed: BaseException | None = None
    try:
        yield
    except Exception as error:  # noqa: BLE001 - it is raised again, below
        failed = wordless(error)
    if failed is not None:
        raise failed  # outside its handler, so that it does not carry along what it stands for


def wordless(error: BaseException) -> BaseException:
    """The error, with all that it was raised from: ours as they are, others as their class and number alone."""
    found = error if isinstance(error, MedimError) else _without_words(error)
    cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    found.__cause__ = None if cause is None else wordless(cause)
    found.__context__ = None
    return found


def why(error: OSError) -> str:
    """What the system says of a failure, in words that name no file."""
    return os.strerror(error.errno) if error.errno is not None else type(error).__name__


def _without_words(error: BaseException) -> BaseException:
    """An error of the same class, raised at the same place, that says nothing but the number that the system gave."""
    said = (error.errno, os.strerror(error.errno)) if isinstance(error, OSError) and error.errno is not None else ()
    try:
        bare = type(error).__new__(type(error), *said)
        str(bare)
    except Exception:  # noqa: BLE001 - classes of libraries may need anything to be made or written
        bare = RuntimeError(type(error).__name__)
    return bare.with_traceback(error.__traceback__)


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
