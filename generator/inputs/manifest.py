"""The manifest of a job's inputs: size and digest of every row, as they were when the job was planned.

    <out>/inputs.parquet          size and sha256 of each row, in order; part of the dataset
    <out>/inputs_names.parquet    where the rows lie: read by its owner alone, part of nothing, and may be deleted

Names of files are often people's, so they stand in a file of their own. `plan.json` pins the rows by one digest over
their sizes and digests. Names need no pinning: whatever file is read, its content is compared with its row.
"""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import overload

import numpy as np
from numpy.typing import NDArray

from medim_forge.generator.store import Store
from medim_forge.generator.store.documents import explained

ROWS = "inputs.parquet"
NAMES = "inputs_names.parquet"
UNREADABLE = -1  # size of a row that holds nothing that can be read
_DIGEST = 32  # bytes
_GROUP = 2**17  # rows of a row group


@dataclass(frozen=True, eq=False)
class InputManifest:
    """Rows of inputs as they were planned.

    Attributes:
        sizes: int64 [rows], bytes of each; `UNREADABLE` where it could not be read.
        digests: uint8 [rows, 32], sha256 of each; zeros where it could not be read.
    """

    sizes: NDArray[np.int64]
    digests: NDArray[np.uint8]

    def __len__(self) -> int:
        """The number of rows."""
        return len(self.sizes)

    @cached_property
    def sha256(self) -> str:
        """One digest of all rows, hex: the same on every machine and for every layout of the file."""
        digest = hashlib.sha256(self.sizes.astype("<i8").tobytes())
        digest.update(self.digests.tobytes())
        return digest.hexdigest()

    def holds(self, row: int, found: tuple[int, str] | None) -> bool:
        """Whether a row is as it was planned.

        Args:
            row: number.
            found: its size and sha256 now; None where it cannot be read.
        """
        size, digest = (UNREADABLE, "00" * _DIGEST) if found is None else found
        return int(self.sizes[row]) == size and self.digests[row].tobytes().hex() == digest


@dataclass(frozen=True, eq=False)
class RowNames:
    """Where the rows of inputs lie.

    Attributes:
        paths: of their files, in order.
        counts: how many rows each of them holds.
    """

    paths: tuple[str, ...]
    counts: tuple[int, ...]

    @property
    def files(self) -> Sequence[Path]:
        """The paths of their files, each made when it is asked for, for there may be millions."""
        return _Paths(self.paths)

    @cached_property
    def top(self) -> str:
        """The folder that all of them share."""
        return os.path.commonpath([path.parent for path in self.files])

    @property
    def sha256(self) -> str:
        """The digest that the file ends with, hex."""
        return hashlib.sha256(repr((self.paths, self.counts)).encode()).hexdigest()


@dataclass(frozen=True)
class _Paths(Sequence[Path]):
    """Texts as the paths that they stand for."""

    texts: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.texts)

    @overload
    def __getitem__(self, place: int) -> Path: ...

    @overload
    def __getitem__(self, place: slice) -> Sequence[Path]: ...

    def __getitem__(self, place: int | slice) -> Path | Sequence[Path]:
        return _Paths(self.texts[place]) if isinstance(place, slice) else Path(self.texts[place])


def write_rows(store: Store, manifest: InputManifest) -> None:
    """The manifest is in the dataset."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    digests = pa.FixedSizeBinaryArray.from_buffers(
        pa.binary(_DIGEST), len(manifest), [None, pa.py_buffer(manifest.digests.tobytes())]
    )
    table = pa.table({"size": pa.array(manifest.sizes), "sha256": digests})
    with store.draft(ROWS) as path:
        pq.write_table(table, path, row_group_size=_GROUP, compression="ZSTD", use_dictionary=False)


def read_rows(store: Store, sha256: str) -> InputManifest:
    """The manifest of a dataset.

    Args:
        store: of the dataset.
        sha256: of all rows, as `plan.json` has it.

    Raises:
        StoreError: it is missing, damaged or of other rows.
    """
    import pyarrow.parquet as pq

    mend = "Delete it and run the job again: it is made anew from the inputs, if they are as they were planned."
    with explained(f"{store}/{ROWS}", mend):
        table = pq.read_table(io.BytesIO(store.read(ROWS))).combine_chunks()
        sizes = np.asarray(table["size"].to_numpy(), np.int64)
        digests = np.frombuffer(b"".join(table["sha256"].to_pylist()), np.uint8).reshape(len(sizes), _DIGEST)
        found = InputManifest(sizes, digests)
        if found.sha256 != sha256:
            raise ValueError("its rows are not those that plan.json was made for")
        return found


def write_names(store: Store, names: RowNames) -> None:
    """The names are beside the dataset, in a file that nobody but its owner may read from its first moment on."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.table({"path": pa.array(names.paths, pa.string()), "rows": pa.array(names.counts, pa.int64())})
    with store.draft(NAMES) as path:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        pq.write_table(table.replace_schema_metadata({"sha256": names.sha256}), path, compression="ZSTD")


def read_names(store: Store) -> RowNames | None:
    """Where the rows of a dataset's inputs lie; None where nobody wrote that down, or the file was deleted.

    Raises:
        StoreError: it is damaged.
    """
    import pyarrow.parquet as pq

    if not store.exists(NAMES):
        return None
    with explained(f"{store}/{NAMES}", "Delete it: the inputs are looked for again, and compared with the plan."):
        table = pq.read_table(io.BytesIO(store.read(NAMES)))
        found = RowNames(tuple(table["path"].to_pylist()), tuple(table["rows"].to_pylist()))
        if (table.schema.metadata or {}).get(b"sha256", b"").decode() != found.sha256:
            raise ValueError("it was changed since it was written: its digest is another one")
        return found
