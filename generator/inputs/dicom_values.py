"""Elements of a DICOM file as they are found: odd numbers, and lookup tables in every packing (PS3.3 C.11)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.datadict import dictionary_VR
from pydicom.dataset import Dataset
from pydicom.tag import Tag

from medim_forge.generator.errors import InputError

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.IGNORECASE)
_AROUND = " \0\t\r\n"


@dataclass(frozen=True, kw_only=True)
class Table:
    """A lookup table.

    Attributes:
        entries: [N], what the values from `first` on are mapped to.
        first: the stored value that the first entry belongs to.
        bits: of an entry, as the descriptor says it.
    """

    entries: NDArray[np.uint16]
    first: int
    bits: int

    @property
    def highest(self) -> int:
        """The highest value that an entry of so many bits can have."""
        return int(2**self.bits - 1)

    def of(self, values: NDArray[Any]) -> NDArray[np.uint16]:
        """The entries that `values` are mapped to; what lies before the table or behind it takes its end."""
        places = np.clip(np.rint(values).astype(np.int64) - self.first, 0, len(self.entries) - 1)
        return np.asarray(self.entries[places])


def numbers(dataset: Dataset, keyword: str) -> tuple[float | None, ...]:
    """The numbers of an element, in order; None where a value is empty or no number.

    A decimal comma is read as a point; blanks and NULs around a value are ignored. A missing element has no numbers.
    """
    return tuple(_number(value) for value in _values(dataset, keyword))


def number(dataset: Dataset, keyword: str) -> float | None:
    """The first number of an element; None where it has none."""
    return next((value for value in numbers(dataset, keyword) if value is not None), None)


def word(dataset: Dataset, keyword: str) -> str:
    """The first value of an element in capitals, without blanks around it; empty where it has none."""
    return next((str(value).strip(_AROUND).upper() for value in _values(dataset, keyword)), "")


def table(dataset: Dataset, prefix: str, *, little_endian: bool, signed: bool) -> Table:
    """The lookup table of `<prefix>Descriptor` and `<prefix>Data`.

    Entries of up to 8 bits may be packed two to a word or have a word each. A table that is shorter than its descriptor
    says is used as far as it goes.

    Args:
        dataset: that holds both elements.
        prefix: of their keywords, e.g. `LUT`.
        little_endian: byte order of the file.
        signed: whether the values that are looked up can be negative; then so can the first of them (PS3.3 C.11.1.1.1).

    Raises:
        InputError: there is no table, or it cannot be used.
    """
    descriptor = [int(value) for value in numbers(dataset, f"{prefix}Descriptor") if value is not None]
    if len(descriptor) != 3 or not 1 <= descriptor[2] <= 16:
        raise InputError("has a lookup table whose descriptor is none; it needs entries, first value and bits")
    count, first, bits = descriptor[0] % 2**16 or 2**16, descriptor[1] % 2**16, descriptor[2]
    entries = _entries(dataset[f"{prefix}Data"].value, count, bits, little_endian=little_endian)
    if not entries.size:
        raise InputError("has a lookup table without entries")
    return Table(entries=entries, first=first - 2**16 if signed and first >= 2**15 else first, bits=bits)


def _entries(data: Any, count: int, bits: int, *, little_endian: bool) -> NDArray[np.uint16]:
    words: NDArray[np.uint16]
    if not isinstance(data, bytes | bytearray):
        words = np.asarray([int(value) % 2**16 for value in _listed(data)], dtype=np.uint16)
    else:
        words = np.frombuffer(bytes(data[: len(data) // 2 * 2]), "<u2" if little_endian else ">u2").astype(np.uint16)
    # Two entries to a word: the first one is in its lower byte, in either byte order.
    if bits <= 8 and len(words) <= (count + 1) // 2:
        words = words.astype("<u2").view(np.uint8).astype(np.uint16)
    words = words[:count]
    # Entries of 8 bits that were written as 16: the upper byte is the entry.
    if bits <= 8 and words.size and int(words.max()) > 2**bits - 1:
        words = np.right_shift(words, 8)
    return words


def _values(dataset: Dataset, keyword: str) -> list[Any]:
    if keyword not in dataset:
        return []
    tag = Tag(keyword)
    content = getattr(dataset.get_item(tag), "value", None)
    # Text that pydicom has not converted yet is read as it stands, for it refuses numbers that are oddly written.
    if isinstance(content, bytes) and dictionary_VR(tag) in ("CS", "DS", "IS"):
        return list(content.decode("latin-1").split("\\"))
    return _listed(dataset[tag].value)


def _listed(value: Any) -> list[Any]:
    if value is None or value == "":
        return []
    several = not isinstance(value, int | float | str | bytes) and hasattr(value, "__len__")
    return list(value) if several else [value]


def _number(value: Any) -> float | None:
    if isinstance(value, int | float):
        return float(value)
    text = str(value).strip(_AROUND).replace(",", ".")
    return float(text) if _NUMBER.fullmatch(text) else None
