"""Whether an image stands on another side of the split already: the same pixels, or a perceptual hash that is near."""

from __future__ import annotations

import hashlib
import sqlite3
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medim_forge.generator.corpus.split import Split
from medim_forge.generator.records import Signature
from medim_forge.generator.similarity.sides import BITS, PENDING, Hashes, narrowed
from medim_forge.generator.similarity.signature import phash

# So many of the 256 bits of two hashes may differ: an image stored anew differs in fewer, another radiograph in more.
MOST_BITS = 4
_NOTHING = np.empty(0, np.float32), np.empty(0, np.uint32)


@dataclass(frozen=True)
class Print:
    """What tells an image from others; small enough to be kept in place of it.

    Args:
        digest: sha256 of its pixels, 32 bytes.
        phash: perceptual hash, uint64 [4].
    """

    digest: bytes
    phash: NDArray[np.uint64]

    @staticmethod
    def of(pixels: NDArray[np.uint8]) -> Print:
        """The print of an image: uint8 [H, W] or [H, W, 3]."""
        content = repr(pixels.shape).encode() + np.ascontiguousarray(pixels).tobytes()
        return Print(hashlib.sha256(content).digest(), phash(pixels))


@dataclass(frozen=True)
class Twin:
    """A row that has the same image.

    Args:
        name: what messages call it.
        split: where it stands.
        exact: whether the pixels are equal, and not only near.
    """

    name: str
    split: Split
    exact: bool


class Twins:
    """Images that were seen, by side."""

    def __init__(self) -> None:
        self._base = sqlite3.connect("", isolation_level=None)
        self._base.execute("create table pixels (digest blob primary key, split text, name text) without rowid")
        self._base.execute("create table names (split text, number integer, name text, primary key (split, number))")
        self._sides: dict[Split, _Side] = {}
        self.same_side = 0

    def find(self, image: Print, split: Split) -> Twin | None:
        """A row of another side that has the same image; None where there is none."""
        found = self._base.execute("select split, name from pixels where digest = ?", (image.digest,)).fetchone()
        if found is not None and found[0] != split:
            return Twin(found[1], found[0], exact=True)
        if found is not None:
            self.same_side += 1
        hashed = _signature(image)
        for other, side in self._sides.items():
            number = None if other == split else side.near(hashed)
            if number is not None:
                query = "select name from names where split = ? and number = ?"
                return Twin(self._base.execute(query, (other, number)).fetchone()[0], other, exact=False)
        return None

    def add(self, image: Print, split: Split, name: str) -> None:
        """The image was seen on this side; later ones are compared with it."""
        self._base.execute("insert or ignore into pixels values (?, ?, ?)", (image.digest, split, name))
        side = self._sides.setdefault(split, _Side())
        self._base.execute("insert into names values (?, ?, ?)", (split, len(side), name))
        side.add(_signature(image))


class _Side:
    """Perceptual hashes of one side, found by bands: 32 bytes and five entries an image."""

    def __init__(self) -> None:
        # The bound that four differing bits are beyond, and five are not.
        self._hashes = Hashes(1 - (MOST_BITS + 1) / BITS)
        assert self._hashes.bands is not None, "few bits differ, so few bands are enough"
        self._bands = self._hashes.bands
        self._size = self._banded = 0

    def __len__(self) -> int:
        return self._size

    def add(self, signature: Signature) -> None:
        full = self._size + 1 - self._banded == PENDING
        self._hashes.add(signature)
        self._bands.add(signature, self._size, full=full)
        self._size += 1
        if full:
            self._banded = self._size

    def near(self, signature: Signature) -> int | None:
        """The first row whose hash differs in so few bits; None where there is none."""
        # What is pending is in no band yet.
        for rows in (np.unique(self._bands.find(signature).rows()), slice(self._banded, self._size)):
            found = narrowed(rows, self._hashes.alike(rows, signature))
            if found.size:
                return int(found[0])
        return None


def _signature(image: Print) -> Signature:
    return Signature(domain="", phash=image.phash, embedding=_NOTHING[0], minhash=_NOTHING[1])
