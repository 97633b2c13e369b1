"""A job file as YAML: what it says is read as it looks, and what would be read as something else is refused.

YAML 1.1 takes 010 for 8 and 1:30 for 90. Here a number is what YAML 1.2 and people take it for. A file is bounded in
size, depth and values before it is built, aliases counted as often as they are named, so none takes long.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from medim_forge.generator.errors import SpecError
from medim_forge.generator.jobspec.composer import Composer, Places, Refused
from medim_forge.generator.jobspec.scalars import FRACTION, NUMBER_STARTS, WHOLE
from medim_forge.model.quoting import shown

MOST_BYTES = 4 * 2**20  # of a job file
_EXAMPLE = "Give the path of a job file, e.g. jobs/quickstart.yaml."
# Byte order marks that are not those of UTF-8.
_OTHER_MARKS = (b"\xff\xfe", b"\xfe\xff", b"\0\0\xfe\xff")


@dataclass(frozen=True, kw_only=True)
class Document:
    """What a job file says, and where.

    Attributes:
        values: by key.
        places: line of every key and list entry by its path, e.g. `("prompts", 0, "pairs")`.
    """

    values: dict[str, Any]
    places: Places


class _Dumper(yaml.SafeDumper):
    """A safe dumper that quotes what either YAML would read as a number."""


_Dumper.add_implicit_resolver("tag:yaml.org,2002:int", WHOLE, list(NUMBER_STARTS))
_Dumper.add_implicit_resolver("tag:yaml.org,2002:float", FRACTION, list(NUMBER_STARTS))


def yaml_text(values: Mapping[str, Any]) -> str:
    """The values as YAML, in order; `parse_yaml` of it gives equal values."""
    return yaml.dump(values, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)


def read_document(path: Path) -> Document:
    """What a job file says.

    Raises:
        SpecError: the file is missing, is not YAML, holds no mapping, or gives a key twice.
    """
    return parse_document(_content(path), shown(path))


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping that a YAML file holds.

    Raises:
        SpecError: as `read_document`.
    """
    return read_document(path).values


def parse_yaml(content: bytes, source: str) -> dict[str, Any]:
    """The mapping that YAML text holds.

    Raises:
        SpecError: as `parse_document`.
    """
    return parse_document(content, source).values


def parse_document(content: bytes, source: str) -> Document:
    """What YAML text says.

    Args:
        content: in UTF-8.
        source: what to call it in errors.

    Raises:
        SpecError: it is not YAML, holds no mapping, gives a key twice, or is larger or deeper than any job.
    """
    text = _text(content, source)
    if found := yaml.reader.Reader.NON_PRINTABLE.search(text):
        raise SpecError(
            f"{source}{_place(text[: found.start()])}: is not a job file: it holds the control character "
            f"{found.group()!r}. Leave it out."
        )
    composer = Composer(text)
    try:
        values = composer.document()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f":{mark.line + 1}:{mark.column + 1}" if mark else ""
        raise SpecError(f"{source}{where}: is not a job file: {_plain(error)}.") from error
    except (yaml.YAMLError, ValueError) as error:
        raise SpecError(f"{source}: is not a job file: {shown(str(error))}.") from error
    if not isinstance(values, dict):
        what = "is empty" if values is None else "holds no mapping of keys to values"
        raise SpecError(f"{source}: {what}. Start with `kind: generate`.")
    return Document(values=values, places=composer.places)


def _content(path: Path) -> bytes:
    """The bytes of a file that may be a job.

    Raises:
        SpecError: there is none, or it is no file, or larger than any job.
    """
    name = shown(path)
    try:
        # A pipe that nobody writes to would be waited for.
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(handle, "rb") as file:
            kind = os.fstat(handle).st_mode
            content = file.read(MOST_BYTES + 1) if stat.S_ISREG(kind) else b""
    except IsADirectoryError:
        raise SpecError(f"{name}: is a folder. {_EXAMPLE}") from None
    except OSError as error:
        raise SpecError(f"{name}: cannot be read ({error.strerror}). {_EXAMPLE}") from error
    except ValueError as error:  # a NUL, or what has no bytes in the file system's encoding
        raise SpecError(f"{name}: is no path ({error}). {_EXAMPLE}") from error
    if not stat.S_ISREG(kind):
        what = "a pipe" if stat.S_ISFIFO(kind) else "a device or socket"
        raise SpecError(f"{name}: is {what}, not a file; write the job into a file. {_EXAMPLE}")
    if len(content) > MOST_BYTES:
        raise SpecError(f"{name}: is larger than {MOST_BYTES // 2**20} MiB, which no job file is. {_EXAMPLE}")
    return content


def _text(content: bytes, source: str) -> str:
    """The text of a job file.

    Raises:
        SpecError: it is not UTF-8.
    """
    if content.startswith(_OTHER_MARKS):
        raise SpecError(f"{source}: is UTF-16 or UTF-32, not UTF-8 text; save it as UTF-8.")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        where = _place(error.object[: error.start].decode(errors="replace"))
        raise SpecError(
            f"{source}{where}: is not UTF-8 text ({error.reason} at byte {error.start}). Give a job file, saved as "
            "UTF-8."
        ) from error


def _plain(error: yaml.MarkedYAMLError) -> str:
    """What was found, in plain words."""
    if isinstance(error, Refused):
        return str(error.problem)
    problem, context = error.problem or "", error.context or ""
    for jargon, words in _WORDS.items():
        if jargon in problem or jargon in context:
            return words
    return shown(problem or context).strip("'\"")


# By what the library says: what it means.
_WORDS = {
    "escape code": "quoted text has a \\u with what is no character, such as half of a surrogate pair; leave it out",
    "cannot start any token": "a value begins with a character that YAML reserves, such as a tab, @ or `; quote it",
    "mapping values are not allowed": "a colon and a blank stand where no key can be; quote the text, or mend the "
    "indentation",
    "could not find expected ':'": "a colon is missing behind a key, or the indentation is wrong",
    "while parsing a flow sequence": "a list in brackets lacks a comma or its closing ]",
    "while parsing a flow mapping": "a mapping in braces lacks a comma or its closing }",
    "while parsing a block mapping": "a key stands where none can be; mend the indentation, or quote the text before",
    "while parsing a block collection": "a list entry stands where none can be; mend the indentation",
    "block sequence entries are not allowed": "a - begins a list where none can stand; mend the indentation, or quote",
    "mapping keys are not allowed": "a key stands where none can be; mend the indentation, or quote the text before",
    "while scanning a quoted scalar": "quoted text has no end, or a backslash with what YAML does not know; in double "
    "quotes write \\\\ for a backslash",
    "while scanning a double-quoted scalar": "quoted text has a backslash with what YAML does not know; write \\\\ for "
    "a backslash",
    "while parsing a quoted scalar": "quoted text has a backslash with what YAML does not know; write \\\\ for one",
    "while scanning a block scalar": "a text that | or > begins is indented wrongly",
    "while scanning an anchor": "a name behind & is not made of letters and digits; quote the text",
    "while scanning an alias": "a name behind * is not made of letters and digits; quote the text",
    "while scanning a plain scalar": "unquoted text holds what it cannot; quote it",
    "while scanning a simple key": "a colon is missing behind a key, or the indentation is wrong",
    "directive": "it has a line that begins with %; leave it out",
    "<document start>": "something stands behind the end of the job; one file holds one job",
    "while scanning for the next token": "a character stands where none can be; quote the text",
    "node content": "a value is missing or stands where none can be; quote the text",
    "while parsing a node": "a value is missing or stands where none can be; quote the text",
}


def _place(before: str) -> str:
    """Line and column of what follows `before`, as errors name them."""
    lines = before.split("\n")
    return f":{len(lines)}:{len(lines[-1]) + 1}"
