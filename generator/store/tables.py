"""The one door for our own Parquet: a table is read whole and unchanged, or it is named with its mend.

Every page carries its checksum, which is compared when the page is read. So a flipped bit is noticed by whoever reads
it, without a second pass over the file.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from medim_forge.generator.errors import StoreError
from medim_forge.generator.files import Handle
from medim_forge.generator.store.documents import explained

MEND = "`medim verify` names all that is damaged; what is deleted, data/ or a shard's folder, `medim run` makes again."


def read_table(
    handle: Handle, columns: Sequence[str] | None = None, *, checked: bool = True, mend: str = MEND
) -> pa.Table:
    """The columns of a table of ours, all rows.

    Args:
        handle: of the file.
        columns: in the wanted order; None for all.
        checked: whether checksums are compared. Who compares hashes of rows, to name the row, reads without.
        mend: what to do where it is damaged, as a sentence.

    Raises:
        StoreError: the file is missing, damaged, or lacks a column.
    """
    with _opened(handle, mend, checked=checked) as file, _read(handle, mend):
        return file.read(_there(file, columns))


def read_group(handle: Handle, number: int, columns: Sequence[str] | None = None, *, mend: str = MEND) -> pa.Table:
    """One row group of a table of ours; the rest as in `read_table`."""
    with _opened(handle, mend) as file, _read(handle, mend):
        return file.read_row_group(number, columns=_there(file, columns))


def read_batches(
    handle: Handle, rows: int, columns: Sequence[str] | None = None, *, checked: bool = True, mend: str = MEND
) -> Iterator[pa.RecordBatch]:
    """A table of ours in pieces of at most so many rows; the rest as in `read_table`.

    Args:
        handle: of the file.
        rows: of a piece, at most.
        columns: in the wanted order; None for all.
        checked: whether checksums are compared.
        mend: what to do where it is damaged, as a sentence.
    """
    with _opened(handle, mend, checked=checked) as file:
        with _read(handle, mend):
            pieces = file.iter_batches(batch_size=rows, columns=_there(file, columns))
        while True:
            with _read(handle, mend):
                piece = next(pieces, None)
            if piece is None:
                return
            yield piece


def schema_of(handle: Handle, *, mend: str = MEND) -> pa.Schema:
    """Columns and metadata of a table of ours; `StoreError` where it cannot be read."""
    with _opened(handle, mend) as file, _read(handle, mend):
        return file.schema_arrow


def footer_of(handle: Handle, *, mend: str = MEND) -> pq.FileMetaData:
    """Row groups and metadata of a table of ours; `StoreError` where it cannot be read."""
    with _opened(handle, mend) as file:
        return file.metadata


@contextlib.contextmanager
def _opened(handle: Handle, mend: str, *, checked: bool = True) -> Iterator[pq.ParquetFile]:
    with _read(handle, mend):
        if isinstance(handle, Path) and handle.is_dir():
            raise IsADirectoryError
        if isinstance(handle, Path) and handle.exists() and not handle.is_file():
            raise ValueError("it is no regular file")
        file = pq.ParquetFile(handle, page_checksum_verification=checked)
        # The footer has no checksum, but says twice how many rows there are.
        parts = sum(file.metadata.row_group(number).num_rows for number in range(file.num_row_groups))
        if parts != file.metadata.num_rows:
            raise ValueError(f"it says that it has {file.metadata.num_rows} rows, and its parts have {parts}")
    with file:
        yield file


@contextlib.contextmanager
def _read(handle: Handle, mend: str) -> Iterator[None]:
    """What goes wrong inside is explained as a table that cannot be read; only reading may stand inside."""
    try:
        with explained(handle, mend):
            yield
    except MemoryError:
        raise
    except pa.ArrowException as error:
        raise StoreError(f"{handle}: cannot be read ({' '.join(str(error).split())[:300]}). {mend}") from error


def _there(file: pq.ParquetFile, columns: Sequence[str] | None) -> list[str] | None:
    """The columns as a list; `ValueError` where the table lacks one."""
    if columns is None:
        return None
    found = set(file.schema_arrow.names)
    if lacking := [name for name in columns if name.split(".")[0] not in found]:
        raise ValueError(f"it has no column {', '.join(lacking)}")
    return list(columns)
