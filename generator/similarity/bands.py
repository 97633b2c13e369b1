"""Rows that may be equal in many places, found by the bands of places in which they are wholly equal."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from medim_forge.generator.records import Signature

MOST_BANDS = 16  # more are too short to tell rows apart
_RATIO = 16  # a sorted run is at least so many times longer than the next
_ROW_BITS, _HASH_BITS = 32, 26


class Found:
    """Stretches of sorted entries."""

    def __init__(self, stretches: list[NDArray[np.uint64]]) -> None:
        self._stretches = stretches

    def __len__(self) -> int:
        return sum(map(len, self._stretches))

    def rows(self) -> NDArray[np.intp]:
        """The rows of the entries; one that several bands found comes several times."""
        if not self._stretches:
            return np.empty(0, np.intp)
        return (np.concatenate(self._stretches) & np.uint64(2**_ROW_BITS - 1)).astype(np.intp)


class Bands:
    """Rows by what each band of their places holds.

    An entry is one number: band, hash of the band's values, row. Entries lie in few sorted runs, each much longer than
    the next, so that adding costs little and finding is a bisection of each.

    Args:
        places: how many values a row has.
        bands: into how many they are cut; neighbours go to different ones, because they resemble each other.
        values: uint64 [places] of a signature.
    """

    def __init__(self, places: int, bands: int, values: Callable[[Signature], NDArray[np.uint64]]) -> None:
        self._values = values
        band = np.arange(places) % bands
        self._order = np.argsort(band, kind="stable")
        self._starts = np.flatnonzero(np.diff(band[self._order], prepend=-1))
        self._factors = np.random.default_rng(places).integers(0, 2**64, places, np.uint64) | np.uint64(1)
        self._band = np.arange(bands, dtype=np.uint64) << np.uint64(_HASH_BITS)
        self._runs: list[NDArray[np.uint64]] = []
        self._pending: list[NDArray[np.uint64]] = []

    def add(self, signature: Signature, row: int, *, full: bool) -> None:
        """The row is one more; it and other pending ones are found as soon as these are `full`."""
        self._pending.append(self._keys(signature) | np.uint64(row))
        if not full:
            return
        self._runs.append(np.sort(np.concatenate(self._pending)))
        self._pending.clear()
        while len(self._runs) > 1 and len(self._runs[-2]) < _RATIO * len(self._runs[-1]):
            last = self._runs.pop()
            self._runs[-1] = np.sort(np.concatenate([self._runs[-1], last]))

    def find(self, signature: Signature) -> Found:
        """Entries that share a band with the signature."""
        keys = self._keys(signature)
        ends = np.concatenate([keys, keys + np.uint64(2**_ROW_BITS)])
        found = []
        for run in self._runs:
            places = run.searchsorted(ends).tolist()
            stretches = zip(places[: len(keys)], places[len(keys) :], strict=True)
            found += [run[start:stop] for start, stop in stretches if start < stop]
        return Found(found)

    def _keys(self, signature: Signature) -> NDArray[np.uint64]:
        sums = np.add.reduceat((self._values(signature) * self._factors)[self._order], self._starts)
        return ((sums >> np.uint64(64 - _HASH_BITS)) | self._band) << np.uint64(_ROW_BITS)
