"""The JSON files of a checkpoint: read within bounds, and built into dataclasses without converting anything."""

from __future__ import annotations

import json
import math
import os
import stat
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from typing import Any, Literal, NoReturn, get_args, get_origin, get_type_hints

from medim_forge.model.quoting import quoted, shown

MOST_BYTES = 128 * 2**20  # of a file of text; tokenizers of large vocabularies take a tenth of it
# A field that a file may leave out, and does where it has its default.
OPTIONAL = {"optional": True}


class JsonError(ValueError):
    """A file that does not hold what it should; the message names it."""


def read_text(path: Path) -> str:
    """The text of a file.

    Raises:
        JsonError: there is none, it is no file, larger than any of its kind, or not UTF-8.
    """
    try:
        # A pipe that nobody writes to would be waited for.
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(handle, "rb") as file:
            regular = stat.S_ISREG(os.fstat(handle).st_mode)
            content = file.read(MOST_BYTES + 1) if regular else b""
    except OSError as error:
        raise JsonError(f"{path} cannot be read ({error.strerror})") from error
    if not regular:
        raise JsonError(f"{path} is a pipe or device, not a file")
    if len(content) > MOST_BYTES:
        raise JsonError(f"{path} is larger than {MOST_BYTES // 2**20} MiB, which no file of its kind is")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise JsonError(f"{path} is not UTF-8 text ({error.reason} at byte {error.start})") from error


def read_mapping(path: Path) -> dict[str, Any]:
    """The mapping that a JSON file holds.

    Raises:
        JsonError: it cannot be read, or holds something else.
    """
    return parse_mapping(read_text(path), str(path))


def parse_mapping(text: str, where: str) -> dict[str, Any]:
    """The mapping that JSON text holds.

    Raises:
        JsonError: it is not JSON, gives a key twice, has a number that is none, or holds no mapping; names `where`.
    """
    try:
        value = json.loads(text, object_pairs_hook=_each_once, parse_constant=_no_number)
    except json.JSONDecodeError as error:
        raise JsonError(f"{where} is not JSON: {error.msg} at line {error.lineno}, column {error.colno}") from error
    except RecursionError as error:
        raise JsonError(f"{where} is not JSON of ours: it is nested too deeply") from error
    except ValueError as error:
        raise JsonError(f"{where} is not JSON of ours: {shown(error)}") from error
    if not isinstance(value, dict):
        raise JsonError(f"{where} must be a mapping, is {quoted(value)}")
    return value


def plain(value: Any) -> Any:
    """A dataclass as JSON has it; optional fields are left out where they have their default."""
    if is_dataclass(value):
        return {
            entry.name: plain(getattr(value, entry.name))
            for entry in fields(value)
            if not entry.metadata.get("optional") or getattr(value, entry.name) != _default(entry)
        }
    return [plain(item) for item in value] if isinstance(value, tuple) else value


def built(kind: Any, raw: Any, where: str) -> Any:
    """The value of a type that plain JSON values describe; nothing is converted silently.

    Raises:
        JsonError: they do not; the message names `where`.
    """
    if is_dataclass(kind):
        return _built_dataclass(kind, raw, where)
    if get_origin(kind) is Literal:
        if not isinstance(raw, str) or raw not in get_args(kind):
            raise JsonError(f"{where} = {quoted(raw)} is none of {', '.join(map(repr, get_args(kind)))}")
        return raw
    if get_origin(kind) is tuple and isinstance(raw, list):
        element = get_args(kind)[0]
        if element is int and all(type(item) is int for item in raw):  # thousands of ids
            return tuple(raw)
        return tuple(built(element, item, f"{where}[{index}]") for index, item in enumerate(raw))
    allowed = (kind,) if get_origin(kind) is tuple else get_args(kind) or (kind,)
    if not any(type(raw) is arg or (arg is float and type(raw) is int) for arg in allowed):
        raise JsonError(f"{where} = {quoted(raw)} has the wrong type; give {' or '.join(map(_called, allowed))}")
    if isinstance(raw, float) and not math.isfinite(raw):
        raise JsonError(f"{where} = {raw} is beyond every range; give a finite number")
    return raw


def _built_dataclass(kind: Any, raw: Any, where: str) -> Any:
    if not isinstance(raw, Mapping):
        raise JsonError(f"{where} must be a mapping, is {quoted(raw)}")
    hints = get_type_hints(kind)
    names = {entry.name for entry in fields(kind)}
    optional = {entry.name for entry in fields(kind) if entry.metadata.get("optional")}
    if unknown := sorted(set(raw) - names):
        raise JsonError(f"{where}.{shown(unknown[0])} is not a known key; known: {', '.join(sorted(names))}")
    if missing := sorted(names - set(raw) - optional):
        raise JsonError(f"{where}.{missing[0]} is missing")
    return kind(**{name: built(hints[name], raw[name], f"{where}.{name}") for name in sorted(names & set(raw))})


def _called(kind: Any) -> str:
    """What people call a type."""
    if get_origin(kind) is tuple:
        return "a list"
    names = {int: "a whole number", float: "a number", str: "text", bool: "true or false", type(None): "null"}
    return names.get(kind, str(kind))


def _default(entry: Any) -> Any:
    """What a field of a dataclass holds where it is left out."""
    return entry.default if entry.default_factory is MISSING else entry.default_factory()


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise ValueError(f"the key {shown(twice)} is given twice")
    return found


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is no number")
