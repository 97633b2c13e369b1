"""A cache of rows that were read by themselves, keyed by their whole input.

A row that is read alone depends on nothing but its own ids, its time and the weights: not even its rounding feels a
neighbour, so the answer may be given again. What is hidden of whole pairs differs only in a few visible words and in
where the report ends, hence the same rows come back all the time.
Legend: S state slots, D width.
"""

from __future__ import annotations

from collections import OrderedDict

from torch import Tensor

# Bytes: some 500 rows of the embedded size, a dozen of the official one in bfloat16.
LIMIT = 64 * 2**20


class RowCache:
    """Hidden states by the input they came from; the least recently used are dropped first.

    They lie in main memory, so that a device's memory holds the same whatever was made before.

    Args:
        limit: bytes of all hidden states together; 0 keeps none.
    """

    def __init__(self, limit: int = LIMIT) -> None:
        self._limit, self._held = limit, 0
        self._rows: OrderedDict[bytes, Tensor] = OrderedDict()

    def find(self, key: bytes) -> Tensor | None:
        """The hidden state [S, D] of an input, or None if it is not known."""
        if key not in self._rows:
            return None
        self._rows.move_to_end(key)
        return self._rows[key]

    def keep(self, key: bytes, row_SD: Tensor) -> None:
        """The hidden state is known from now on, if there is room for it at all."""
        if key in self._rows:
            self._held -= self._rows.pop(key).nbytes
        self._rows[key] = row_SD = row_SD.cpu()
        self._held += row_SD.nbytes
        while self._held > self._limit:
            _, dropped_SD = self._rows.popitem(last=False)
            self._held -= dropped_SD.nbytes

    @property
    def held(self) -> int:
        """Bytes of all hidden states in the cache."""
        return self._held
