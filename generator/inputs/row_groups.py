"""One column of a row group of a Parquet file, by row, with few rows in memory at a time.

A row group may be larger than an Arrow array can be, so it is read forward in batches. Shards take rows in order, so a
step back, which begins the group again, is rare.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from medim_forge.generator.errors import is_environment

BATCH = 64  # rows


class ColumnReader:
    """Values of one column in a row group; several threads may ask.

    Args:
        path: of the file.
        group: number of the row group.
        column: name.
    """

    def __init__(self, path: Path, group: int, column: str) -> None:
        self._path, self._group, self._column = path, group, column
        self._lock = threading.Lock()
        self._failure: Exception | None = None
        self._begin()

    def value(self, row: int) -> Any:
        """The value of a row of the group, as a Python object.

        Raises:
            OSError, pyarrow.ArrowException: the group cannot be read up to there; damage is not tried again.
        """
        with self._lock:
            if row < self._start:
                self._begin()
            while row >= self._start + len(self._values):
                self._step()
            return self._values[row - self._start].as_py()

    def _begin(self) -> None:
        self._start, self._batches = 0, self._read()
        self._values: Any = []

    def _step(self) -> None:
        if self._failure is not None:
            raise self._failure
        try:
            batch = next(self._batches)
        except Exception as error:
            if is_environment(error):
                self._begin()  # it says nothing of the file, which may be read again
            else:
                self._failure = error
            raise
        self._start, self._values = self._start + len(self._values), batch

    def _read(self) -> Iterator[Any]:
        import pyarrow.parquet as pq

        with pq.ParquetFile(self._path) as file:
            for batch in file.iter_batches(BATCH, row_groups=[self._group], columns=[self._column]):
                yield batch.column(0)
