"""The one door for our own JSON: a document is read whole, unchanged and within bounds, or it is named with its mend.

The last key of a document is `sha256`, of all bytes before it. So one changed digit is noticed wherever it is read.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Protocol

from medim_forge.generator.errors import StoreError
from medim_forge.generator.files import sha256_hex

MOST_BYTES = 2**31  # the manifest of a dataset of some ten million DICOM objects
_SEAL = re.compile(rb',?\n  "sha256": "([0-9a-f]{64})"\n}\n\Z')
_SEAL_BYTES = 100


class _Readable(Protocol):
    """What documents are read from: every `Store` is one."""

    def read(self, name: str) -> bytes:
        """The content of a file."""

    def size(self, name: str) -> int:
        """Bytes of a file."""


def json_text(value: Mapping[str, Any]) -> str:
    """The value as JSON, indented, with a line end."""
    return json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def sealed_text(value: Mapping[str, Any], *, indent: int | None = 2) -> str:
    """The value as a document: JSON that ends with the digest of what stands before.

    Args:
        value: without a key `sha256`.
        indent: None for a long list on one line.
    """
    return "".join(sealed([json.dumps(value, indent=indent, ensure_ascii=False, allow_nan=False)]))


def sealed(pieces: Iterable[str]) -> Iterator[str]:
    """The pieces of a JSON mapping, and its digest in front of the last brace, which is in the last piece."""
    digest, last = hashlib.sha256(), ""
    for piece in pieces:
        digest.update(last.encode())
        yield last
        last = piece
    last = last.rstrip().removesuffix("}").rstrip()
    digest.update(last.encode())
    yield last
    comma = "" if last.endswith("{") else ","
    yield f'{comma}\n  "sha256": "{digest.hexdigest()}"\n}}\n'


def unsealed(content: bytes) -> dict[str, Any]:
    """What a document holds, without its digest.

    Raises:
        ValueError: it is no JSON mapping, or not as it was written; says which.
    """
    try:
        values = json.loads(content)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    if not isinstance(values, dict):
        raise ValueError(f"it holds {type(values).__name__}, not a mapping")
    end = _SEAL.search(content, max(0, len(content) - _SEAL_BYTES))
    if end is None:
        raise ValueError("it does not end with its digest: it was changed, or written by an earlier release")
    if sha256_hex(content[: end.start()]) != end[1].decode():
        raise ValueError("it was changed since it was written: its digest is another one")
    del values["sha256"]
    return values


def read_json(store: _Readable, name: str, mend: str) -> dict[str, Any]:
    """What a document of ours holds, as it was written.

    Args:
        store: of the dataset or result.
        name: of the file in it.
        mend: what to do where it is damaged, as a sentence.

    Raises:
        StoreError: it is missing, damaged, changed or too large.
    """
    with explained(f"{store}/{name}", mend):
        size = store.size(name)
        if size > MOST_BYTES:
            raise ValueError(f"it has {size} bytes, and no such file of ours has more than {MOST_BYTES}")
        return unsealed(store.read(name))


@contextlib.contextmanager
def explained(where: object, mend: str) -> Iterator[None]:
    """What goes wrong inside is explained as a file of ours that cannot be read.

    Args:
        where: the file.
        mend: what to do, as a sentence.

    Raises:
        StoreError: whatever went wrong with the file or with what it holds.
    """
    try:
        yield
    except (OSError, ValueError, TypeError, KeyError, AttributeError, IndexError, OverflowError) as error:
        raise StoreError(f"{where}: cannot be read ({said(error)}). {mend}") from error


def said(error: Exception) -> str:
    """Why a file cannot be read, in one line and without its name."""
    match error:
        case FileNotFoundError() | NotADirectoryError():
            return "it is missing"
        case IsADirectoryError():
            return "it is a folder"
        case json.JSONDecodeError():
            return f"it is no whole JSON: {error}" if error.doc.strip() else "it is empty"
        case UnicodeDecodeError():
            return "it is no text"
        case KeyError():
            return f"it lacks {error}"
        case OSError() if error.errno is not None:
            return os.strerror(error.errno)
        case _:
            return " ".join(str(error).split())[:300] or type(error).__name__
