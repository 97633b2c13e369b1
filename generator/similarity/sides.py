"""The three sides on which pairs can be alike: perceptual hashes, MinHashes of reports, embeddings of images.

Each side keeps what it compares of the admitted pairs, as compactly as it can, and says which of them are more like a
further pair than a bound allows. For hashes and MinHashes the bound becomes a whole number of places that may differ.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from medim_forge.generator.records import Signature
from medim_forge.generator.similarity.bands import MOST_BANDS, Bands
from medim_forge.generator.similarity.signature import HASH_SIDE, PERMUTATIONS

BITS = HASH_SIDE**2
PENDING = 256  # so many admitted pairs are compared one by one before they are sorted into bands
_PART = 16  # MinHash values that fill a line of a processor's cache, and bits of uint16
_HEAD = 16  # principal axes of embeddings
TRAINING = 512  # so many first pairs decide the principal axes
_ROUNDING = 1e-5  # more than float32 can lose in a product over the axes

Piece = slice | NDArray[np.intp]


class Side(Protocol):
    """One side of the admitted pairs.

    Attributes:
        scattered: how many times longer it takes to compare a row that does not lie beside the one before.
    """

    scattered: int

    @property
    def bands(self) -> Bands | None:
        """The index that finds rows alike on this side; None where it would leave too many rows to compare."""

    def add(self, signature: Signature) -> None:
        """The pair is admitted, as the next row."""

    def alike(self, rows: Piece, signature: Signature) -> NDArray[np.bool_]:
        """Which of the rows are more like the signature than the bound allows, bool [rows]."""


def narrowed(rows: Piece, chosen: NDArray[np.bool_]) -> NDArray[np.intp]:
    """The numbers of those of the rows that are chosen."""
    return np.flatnonzero(chosen) + rows.start if isinstance(rows, slice) else rows[chosen]


class _Column:
    """An array that grows by rows."""

    def __init__(self, shape: tuple[int, ...], kind: type[np.generic]) -> None:
        self.rows: NDArray[Any] = np.empty((PENDING, *shape), kind)
        self._size = 0

    def add(self, row: NDArray[Any]) -> None:
        if self._size == len(self.rows):
            self.rows = np.concatenate([self.rows, np.empty_like(self.rows)])
        self.rows[self._size] = row
        self._size += 1

    def at(self, rows: Piece) -> NDArray[Any]:
        return self.rows[rows] if isinstance(rows, slice) else self.rows.take(rows, axis=0)


class Hashes:
    """The side of perceptual hashes: alike are images whose hashes differ in few bits."""

    scattered = 16

    def __init__(self, bound: float) -> None:
        # So many bits may differ at most.
        self._most = max(differing for differing in range(BITS + 1) if 1 - differing / BITS > bound)
        self.bands = Bands(BITS, self._most + 1, _bits) if self._most < MOST_BANDS else None
        # One column per word: the last two words, of the higher frequencies, tell most hashes apart.
        self._words = tuple(_Column((), np.uint64) for _ in range(BITS // 64))

    def add(self, signature: Signature) -> None:
        """The pair is admitted, as the next row."""
        for column, word in zip(self._words, signature.phash, strict=True):
            column.add(word)

    def alike(self, rows: Piece, signature: Signature) -> NDArray[np.bool_]:
        """Which of the rows differ in so few bits that they are beyond the bound, bool [rows]."""
        # By two words alone, most rows differ in too many bits.
        differing = self._differing((2, 3), rows, signature)
        alike: NDArray[np.bool_] = differing <= self._most
        # Of the rows that are left, the other two words are compared, too; 256 does not fit into uint8.
        rest = self._differing((0, 1), narrowed(rows, alike), signature)
        alike[alike] = differing[alike].astype(np.uint16) + rest <= self._most
        return alike

    def _differing(self, words: tuple[int, int], rows: Piece, signature: Signature) -> NDArray[np.uint8]:
        """How many bits of two words differ, uint8 [rows]."""
        first, second = (np.bitwise_count(self._words[word].at(rows) ^ signature.phash[word]) for word in words)
        differing: NDArray[np.uint8] = first + second
        return differing


class Reports:
    """The side of reports: alike are those of which many MinHash values are equal."""

    scattered = 2

    def __init__(self, bound: float) -> None:
        # So many values must be equal at least.
        self._least = min(equal for equal in range(PERMUTATIONS + 1) if equal / PERMUTATIONS > bound)
        bands = PERMUTATIONS - self._least + 1
        self.bands = Bands(PERMUTATIONS, bands, _hashes) if bands <= MOST_BANDS else None
        # One column per part of the values: the first part tells most reports apart.
        self._parts = tuple(_Column((_PART,), np.uint32) for _ in range(PERMUTATIONS // _PART))

    def add(self, signature: Signature) -> None:
        """The pair is admitted, as the next row."""
        for column, part in zip(self._parts, signature.minhash.reshape(-1, _PART), strict=True):
            column.add(part)

    def alike(self, rows: Piece, signature: Signature) -> NDArray[np.bool_]:
        """Which of the rows have so many equal values that they are beyond the bound, bool [rows]."""
        # By the first part alone, most rows have too few: even if all other values were equal, the sum would not do.
        equal = self._equal(0, rows, signature)
        alike: NDArray[np.bool_] = equal >= self._least - (PERMUTATIONS - _PART)
        # Of the rows that are left, the other parts are compared, too.
        left = narrowed(rows, alike)
        total = equal[alike]
        for part in range(1, len(self._parts)):
            total += self._equal(part, left, signature)
        alike[alike] = total >= self._least
        return alike

    def _equal(self, part: int, rows: Piece, signature: Signature) -> NDArray[np.uint8]:
        """How many values of a part are equal, uint8 [rows]."""
        same = self._parts[part].at(rows) == signature.minhash[part * _PART : (part + 1) * _PART]
        # The 16 truth values of a row are packed into one number, whose bits are counted.
        equal: NDArray[np.uint8] = np.bitwise_count(np.packbits(same).view(np.uint16))
        return equal


class Embeddings:
    """The side of embeddings: alike are images whose centred embeddings have a cosine beyond the bound.

    Cosines allow no bands. Products with the first principal axes bound them from above (Cauchy and Schwarz), so that
    most rows need no more. Embeddings are kept as float16, which is what datasets hold.
    """

    scattered = 2
    bands = None

    def __init__(self, bound: float, width: int) -> None:
        self._bound, self._size = bound, 0
        self._column = _Column((width,), np.float16)
        self._heads = _Column((min(_HEAD, width) + 1,), np.float32)
        self._axes: NDArray[np.float64] | None = None

    def add(self, signature: Signature) -> None:
        """The pair is admitted, as the next row."""
        self._column.add(signature.embedding)
        self._size += 1
        if self._axes is not None:
            self._heads.add(self._head(_units(signature.embedding[None]))[0])
        elif self._size == TRAINING:
            # The axes are those of the first pairs, whose heads are added now.
            units = _units(self._column.rows[:TRAINING])
            self._axes = np.linalg.svd(units, full_matrices=False)[2][: self._heads.rows.shape[1] - 1].T
            for head in self._head(units):
                self._heads.add(head)

    def alike(self, rows: Piece, signature: Signature) -> NDArray[np.bool_]:
        """Which of the rows have a cosine beyond the bound, bool [rows]."""
        unit = _units(signature.embedding[None])
        if self._axes is None:
            return self._beyond(self._column.at(rows), unit)
        # The product of two heads is no less than the cosine: where even that is within the bound, the row is out.
        alike: NDArray[np.bool_] = self._heads.at(rows) @ self._head(unit)[0] > self._bound - _ROUNDING
        # Of the rows that are left, the cosine itself is computed.
        alike[alike] = self._beyond(self._column.at(narrowed(rows, alike)), unit)
        return alike

    def _beyond(self, embeddings: NDArray[np.float16], unit: NDArray[np.float64]) -> NDArray[np.bool_]:
        # Summed row by row, so that a cosine does not depend on the rows beside it.
        cosines = (_units(embeddings) * unit).sum(1).astype(np.float32)
        beyond: NDArray[np.bool_] = cosines > self._bound
        return beyond

    def _head(self, units: NDArray[np.float64]) -> NDArray[np.float32]:
        """Products with the axes and the length of the rest, float32 [rows, axes + 1].

        A vector is its part along the axes and the rest. The product of two rests is at most the product of their
        lengths, so the product of two heads is at least the cosine.
        """
        assert self._axes is not None
        products = units @ self._axes
        rest = np.maximum((units**2).sum(1) - (products**2).sum(1), 0.0)
        return np.column_stack([products, np.sqrt(rest)]).astype(np.float32)


def _bits(signature: Signature) -> NDArray[np.uint64]:
    return np.unpackbits(signature.phash.view(np.uint8)).astype(np.uint64)


def _hashes(signature: Signature) -> NDArray[np.uint64]:
    return signature.minhash.astype(np.uint64)


def _units(embeddings: NDArray[np.floating]) -> NDArray[np.float64]:
    """Rows centred and of length 1; one that is constant becomes zero."""
    wide = embeddings.astype(np.float64)
    wide -= wide.mean(1, keepdims=True)
    lengths = np.sqrt((wide**2).sum(1, keepdims=True))
    wide /= np.where(lengths > 0, lengths, 1.0)
    return wide
