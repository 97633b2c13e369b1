"""Parquet files that users hold: what each says about itself, and what is said of damage."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from medim_forge.generator.errors import InputError
from medim_forge.generator.tracing import why, wordless
from medim_forge.model.quoting import shown


@dataclass(frozen=True, kw_only=True)
class Table:
    """A Parquet file, as it was when it was looked at.

    Attributes:
        path: of the file.
        changed_ns: when it was last written: a changed file is not served from a cache.
        columns: names.
        kinds: what each of them holds: `text`, `bytes`, `picture` (a struct with bytes), or Arrow's name of the type.
        groups: rows per row group.
    """

    path: Path
    changed_ns: int
    columns: tuple[str, ...]
    kinds: tuple[str, ...]
    groups: tuple[int, ...]


def look_at(path: Path) -> Table:
    """What a Parquet file says about itself.

    Raises:
        InputError: it is not Parquet; the message goes on from what the file is called.
    """
    return _look(path, path.stat().st_mtime_ns)


def look_at_all(paths: Sequence[Path]) -> tuple[Table, ...]:
    """What the Parquet files of a place say about themselves.

    Raises:
        InputError: one is not Parquet; it is named by its number in the order of their names.
    """
    tables = []
    for number, path in enumerate(paths):
        try:
            tables.append(look_at(path))
        except InputError as error:
            raise InputError(f"table {number} {error}") from wordless(error)
        except OSError as error:
            raise InputError(f"table {number} cannot be read ({why(error)}). Mend its file.") from wordless(error)
    return tuple(tables)


def said(error: Exception) -> str:
    """What a library says of a damaged file, without words that only its authors know or that name files and values."""
    import pyarrow

    if isinstance(error, UnicodeDecodeError):
        return f"text that is not UTF-8, at byte {error.start}"
    if isinstance(error, OSError) and error.errno is not None:
        return why(error)
    text = str(error).strip()
    if "thrift" in text or "Exception" in text:
        return "its description of itself is damaged"
    # Quotation marks and slashes stand around names of files and values.
    if not text or not isinstance(error, pyarrow.ArrowException) or any(mark in text for mark in "'\"/"):
        return "its content is damaged"
    return shown(text.splitlines()[0])


@lru_cache(maxsize=4096)
def _look(path: Path, changed_ns: int) -> Table:
    """What `look_at` gives, kept for as long as the file does not change."""
    import pyarrow
    import pyarrow.parquet as pq

    try:
        metadata = pq.read_metadata(path)
        schema = metadata.schema.to_arrow_schema()
    except (OSError, pyarrow.ArrowException, ValueError) as error:
        raise InputError(f"is not Parquet ({said(error)}). Give Parquet files.") from wordless(error)
    return Table(
        path=path,
        changed_ns=changed_ns,
        columns=tuple(schema.names),
        kinds=tuple(_kind(field.type) for field in schema),
        groups=tuple(metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)),
    )


def _kind(found: Any) -> str:
    """What a column of an Arrow type holds."""
    from pyarrow import types

    found = getattr(found, "storage_type", found)
    if types.is_dictionary(found):
        return _kind(found.value_type)
    if types.is_string(found) or types.is_large_string(found) or types.is_string_view(found):
        return "text"
    if any(is_kind(found) for is_kind in (types.is_binary, types.is_large_binary, types.is_binary_view)):
        return "bytes"
    if types.is_fixed_size_binary(found):
        return "bytes"
    if types.is_struct(found) and found.get_field_index("bytes") >= 0 and _kind(found.field("bytes").type) == "bytes":
        return "picture"
    return shown(found, 60)
