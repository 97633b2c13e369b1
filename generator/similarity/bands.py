"""An index by bands: it finds the rows that may be equal to a given one in all but few places.

If at most k places differ and the places are cut into k + 1 bands, at least one band is equal throughout (the
pigeonhole principle). So the rows that share a band with the given one include all that are sought, and some others.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from medim_forge.generator.records import Signature

MOST_BANDS = 16  # more bands are too short to tell rows apart
_RATIO = 16  # each sorted run is at least this many times longer than the next
_ROW_BITS, _HASH_BITS = 32, 26


class Matches:
    """Entries of the index that share a band with a signature, as stretches of its sorted runs."""

    def __init__(self, stretches: list[NDArray[np.uint64]]) -> None:
        self._stretches = stretches

    def __len__(self) -> int:
        return sum(map(len, self._stretches))

    def rows(self) -> NDArray[np.intp]:
        """The rows of the entries; a row that shares several bands comes several times."""
        if not self._stretches:
            return np.empty(0, np.intp)
        return (np.concatenate(self._stretches) & np.uint64(2**_ROW_BITS - 1)).astype(np.intp)


class Bands:
    """Rows by what each band of their places holds.

    An entry is one number: band, hash of the band's values, row, from the highest bits to the lowest. Entries lie in
    few sorted runs, each much longer than the next, so that adding costs little and finding is a bisection of each run.

    Args:
        places: how many values a row has.
        bands: into how many bands the places are cut. Neighbours go to different bands, because they resemble each
            other.
        values: gives the uint64 [places] of a signature.
    """

    def __init__(self, places: int, bands: int, values: Callable[[Signature], NDArray[np.uint64]]) -> None:
        self._values = values
        # Place p belongs to band p mod bands. `order` puts the places of a band side by side, `starts` is where each
        # band begins there.
        band = np.arange(places) % bands
        self._order = np.argsort(band, kind="stable")
        self._starts = np.flatnonzero(np.diff(band[self._order], prepend=-1))
        # A band is hashed by a sum of its values, each times an odd random factor. The seed is fixed: what is found
        # besides the equal bands is the same in every run.
        self._factors = np.random.default_rng(places).integers(0, 2**64, places, np.uint64) | np.uint64(1)
        self._band = np.arange(bands, dtype=np.uint64) << np.uint64(_HASH_BITS)
        self._runs: list[NDArray[np.uint64]] = []
        self._pending: list[NDArray[np.uint64]] = []

    def add(self, signature: Signature, row: int, *, full: bool) -> None:
        """The row is one more; it and the other pending rows are found from when these are `full`."""
        self._pending.append(self._keys(signature) | np.uint64(row))
        if not full:
            return
        # The pending entries become the last run.
        self._runs.append(np.sort(np.concatenate(self._pending)))
        self._pending.clear()
        # While a run is not much longer than the next, the two are merged.
        while len(self._runs) > 1 and len(self._runs[-2]) < _RATIO * len(self._runs[-1]):
            last = self._runs.pop()
            self._runs[-1] = np.sort(np.concatenate([self._runs[-1], last]))

    def find(self, signature: Signature) -> Matches:
        """The entries that share a band with the signature, and a few whose band has the same hash."""
        # All entries of a band and hash lie between its key with the lowest row and the next key.
        keys = self._keys(signature)
        ends = np.concatenate([keys, keys + np.uint64(2**_ROW_BITS)])
        found = []
        for run in self._runs:
            places = run.searchsorted(ends).tolist()
            stretches = zip(places[: len(keys)], places[len(keys) :], strict=True)
            found += [run[start:stop] for start, stop in stretches if start < stop]
        return Matches(found)

    def _keys(self, signature: Signature) -> NDArray[np.uint64]:
        """The entries of the signature's bands with row 0, uint64 [bands]."""
        # One sum per band, modulo 2 ** 64; its highest bits depend on all bits of the values.
        sums = np.add.reduceat((self._values(signature) * self._factors)[self._order], self._starts)
        return ((sums >> np.uint64(64 - _HASH_BITS)) | self._band) << np.uint64(_ROW_BITS)
