"""Given reports and images in Parquet: the files, the column that matters, and one row of it."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from medim_forge.generator.errors import InputError, SpecError
from medim_forge.generator.jobspec.inputs import ParquetInputs
from medim_forge.generator.records import Task


@dataclass(frozen=True, kw_only=True)
class InputFile:
    """A Parquet file, as it was when it was looked at.

    Attributes:
        path: of the file.
        changed_ns: when it was last written: a changed file is not served from a cache.
        columns: names.
        groups: rows per row group.
    """

    path: Path
    changed_ns: int
    columns: tuple[str, ...]
    groups: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class GivenColumn:
    """One column over all input files, rows numbered through.

    Attributes:
        name: of the column.
        files: sorted by path.
        rows: how many the job uses.
    """

    name: str
    files: tuple[InputFile, ...]
    rows: int

    def value(self, row: int) -> Any:
        """The row's value as a Python object.

        Raises:
            InputError: it cannot be read.
        """
        import pyarrow

        start = 0
        for file, group in ((one, index) for one in self.files for index in range(len(one.groups))):
            end = start + file.groups[group]
            if row < end:
                try:
                    return _values(file, group, self.name)[row - start].as_py()
                except (OSError, pyarrow.ArrowException) as error:
                    raise InputError(f"row {row} of {file.path} cannot be read ({error}). Repair the file.") from error
            start = end
        raise InputError(f"row {row} is beyond the inputs, which have {start} rows. Were the files changed?")


def open_column(inputs: ParquetInputs, task: Task, source: str) -> GivenColumn:
    """The column that the task needs.

    Args:
        inputs: of the job.
        task: decides between image and report.
        source: the job file, for errors.

    Raises:
        SpecError: no file, a file that is not Parquet, no such column, or no row.
    """
    key = "report_column" if task == "report_to_image" else "image_column"
    name = inputs.report_column if task == "report_to_image" else inputs.image_column
    paths = find_files(inputs.path)
    if not paths:
        raise SpecError(f"{source}: inputs.path = {inputs.path!r} names no Parquet file. Give a file, folder or glob.")
    try:
        files = tuple(_look(path, path.stat().st_mtime_ns) for path in paths)
    except InputError as error:
        raise SpecError(f"{source}: inputs.path = {inputs.path!r}: {error}") from error
    for file in files:
        if name not in file.columns:
            listed = ", ".join(file.columns)
            raise SpecError(f"{source}: inputs.{key} = {name!r} is not a column of {file.path}. It has: {listed}.")
    rows = sum(sum(file.groups) for file in files)
    if rows == 0:
        raise SpecError(f"{source}: inputs.path = {inputs.path!r} holds no rows. Give Parquet with at least one.")
    return GivenColumn(name=name, files=files, rows=min(rows, inputs.limit or rows))


def find_files(path: str) -> tuple[Path, ...]:
    """The files that a path, a folder or a glob names, sorted."""
    given = Path(path)
    if given.is_file():
        return (given,)
    found = given.glob("*.parquet") if given.is_dir() else glob_files(given)
    return tuple(sorted(found))


def digests(column: GivenColumn) -> dict[str, str]:
    """Hex sha256 by name below the folder that all files share, sorted: the same wherever that folder lies."""
    return digests_of([file.path for file in column.files])


def digests_of(paths: Sequence[Path]) -> dict[str, str]:
    """The same of any files."""
    top = Path(os.path.commonpath([one.parent for one in paths]))
    found = {}
    for path in paths:
        with path.open("rb") as stream:
            found[path.relative_to(top).as_posix()] = hashlib.file_digest(stream, "sha256").hexdigest()
    return dict(sorted(found.items()))


def glob_files(pattern: Path) -> Iterator[Path]:
    """The files that a path with wildcards names; the working directory is where a relative one starts."""
    anchor = Path(pattern.anchor)
    relative = pattern.relative_to(anchor) if pattern.anchor else pattern
    return (one for one in anchor.glob(str(relative)) if one.is_file())


@lru_cache(maxsize=4096)
def _look(path: Path, changed_ns: int) -> InputFile:
    """What a file says about itself.

    Raises:
        InputError: it is not Parquet.
    """
    import pyarrow
    import pyarrow.parquet as pq

    try:
        metadata = pq.read_metadata(path)
    except (OSError, pyarrow.ArrowException) as error:
        raise InputError(f"{path} is not Parquet ({error}). Give Parquet files.") from error
    return InputFile(
        path=path,
        changed_ns=changed_ns,
        columns=tuple(metadata.schema.to_arrow_schema().names),
        groups=tuple(metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)),
    )


@lru_cache(maxsize=2)
def _values(file: InputFile, group: int, column: str) -> Any:
    """One column of a row group; the last ones are kept, because shards are smaller than row groups."""
    import pyarrow.parquet as pq

    with pq.ParquetFile(file.path) as opened:
        return opened.read_row_group(group, columns=[column]).column(column)
