"""A job plans its inputs once, and workers obey: every row is read where it was planned and compared with its digest.

So a file that comes later shifts no row, and what vanished or was changed stops the job, named by its row.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np

from medim_forge.generator.errors import EnvironmentFault, SpecError
from medim_forge.generator.files import is_url
from medim_forge.generator.inputs.files import FilePairs
from medim_forge.generator.inputs.given import GivenRows
from medim_forge.generator.inputs.manifest import (
    ROWS,
    UNREADABLE,
    InputManifest,
    RowNames,
    read_names,
    read_rows,
    write_names,
    write_rows,
)
from medim_forge.generator.inputs.parquet import ParquetPairs
from medim_forge.generator.inputs.rows import open_rows
from medim_forge.generator.jobspec import GenerateSpec
from medim_forge.generator.jobspec.inputs import PhantomInputs
from medim_forge.generator.store import Store
from medim_forge.generator.tracing import why, wordless_causes

_MEND = (
    "Put the inputs back as they were when the job began and run the same command again, or begin anew with --out in a "
    "folder of its own."
)
_SHOWN = 5  # rows in a message
_AT_ONCE, _THREADS = 1024, 8  # files that are handed out, and those that are read


class ChangedInputsFault(EnvironmentFault):
    """The inputs are not those that the job was planned with; no row is to blame.

    Args:
        message: that names rows by number.
        came: files that have no row, for the one who looks.
    """

    def __init__(self, message: str, came: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.came = tuple(came)


@dataclass(frozen=True, eq=False)
class PlannedInputs:
    """The inputs of a job, as they were planned.

    Attributes:
        manifest: size and digest of every row.
        names: where the rows lie; None where that is looked for again.
    """

    manifest: InputManifest
    names: RowNames | None

    @property
    def record(self) -> dict[str, Any]:
        """What `plan.json` says of the inputs."""
        return {"rows": len(self.manifest), "sha256": self.manifest.sha256}

    def check(self, rows: GivenRows, row: int) -> None:
        """The row is as it was planned, to the last bit.

        Raises:
            ChangedInputsFault: it was changed, or is gone; no row is to blame.
            InputError: it cannot be read now, whatever it holds.
        """
        if row >= len(self.manifest) or not self.manifest.holds(row, rows.fingerprint(row)):
            raise ChangedInputsFault(f"row {row} was changed since the job was planned. {_MEND}")


def survey_inputs(spec: GenerateSpec) -> PlannedInputs | None:
    """Every row of the inputs as it is now, each read once; None where the spec determines them.

    Raises:
        SpecError: no file, no row, or a column that cannot be used.
        InputError: a row cannot be read for what stands around it.
    """
    if spec.inputs is None or isinstance(spec.inputs, PhantomInputs):
        return None
    with wordless_causes():
        rows = open_rows(spec, fresh=True)
        sizes = np.empty(len(rows), np.int64)
        digests = np.zeros((len(rows), 32), np.uint8)
        for row, found in enumerate(_fingerprints(rows)):
            sizes[row] = UNREADABLE if found is None else found[0]
            if found is not None:
                digests[row] = np.frombuffer(bytes.fromhex(found[1]), np.uint8)
        return PlannedInputs(InputManifest(sizes, digests), _names_of(rows))


def planned_inputs(store: Store, record: Mapping[str, Any] | None) -> PlannedInputs | None:
    """The inputs that a dataset was planned with; None where the spec determines them.

    Args:
        store: of the dataset.
        record: what `plan.json` says of them.

    Raises:
        StoreError: their manifest is missing or damaged.
    """
    return None if record is None else PlannedInputs(read_rows(store, record["sha256"]), read_names(store))


def settle_inputs(
    store: Store, spec: GenerateSpec, record: Mapping[str, Any] | None, surveyed: PlannedInputs | None
) -> None:
    """The dataset holds the manifest of its inputs, and they are there as they were planned, as far as a look tells.

    Args:
        store: of the dataset.
        spec: of its job.
        record: what `plan.json` says of the inputs; None where the spec determines them.
        surveyed: the inputs, where they have just been read; None looks at the names, numbers and sizes of files alone.

    Raises:
        ChangedInputsFault: files came, went or have another size.
        StoreError: the manifest is damaged, or the place cannot be written.
    """
    if record is None:
        return
    if surveyed is None and not store.exists(ROWS):
        surveyed = survey_inputs(spec)
    if surveyed is not None:
        if surveyed.record != dict(record):
            raise ChangedInputsFault(f"the inputs are not those that the job was planned with. {_MEND}")
        write_rows(store, surveyed.manifest)
        # An object has no owner who alone may read it.
        if surveyed.names is not None and not is_url(str(store)):
            write_names(store, surveyed.names)
        return
    planned = planned_inputs(store, record)
    assert planned is not None, "a record was given"
    with wordless_causes():
        _check_files(open_rows(spec, fresh=True), planned)


def check_arrivals(store: Store, spec: GenerateSpec, record: Mapping[str, Any] | None) -> None:
    """No file came to the inputs since they were planned, as far as they are still there.

    Raises:
        ChangedInputsFault: some did. They have no row, so no pair was made of them.
    """
    if record is None or not store.exists(ROWS):
        return
    planned = planned_inputs(store, record)
    assert planned is not None, "a record was given"
    try:
        with wordless_causes():
            _refuse_changes(_arrived(open_rows(spec, fresh=True), planned), (), ())
    except SpecError:
        return  # they are gone, and nobody needs them any more


def _check_files(rows: GivenRows, planned: PlannedInputs) -> None:
    """Files are those that were planned, and pictures have their sizes.

    Raises:
        ChangedInputsFault: they are not.
    """
    manifest, names = planned.manifest, planned.names
    if names is None:
        if len(rows) != len(manifest):
            raise ChangedInputsFault(
                f"the inputs are not those that the job was planned with: {len(rows)} rows, and {len(manifest)} were "
                f"planned. {_MEND}"
            )
        return
    came, there = _arrived(rows, planned), {str(path) for path in rows.files}
    firsts = [0, *accumulate(names.counts)]
    went = [first for first, path in zip(firsts, names.paths, strict=False) if path not in there]
    changed: list[int] = []
    if isinstance(rows, FilePairs):
        sizes = {row: _size(path) for row, path in enumerate(names.files) if names.paths[row] in there}
        changed = [row for row, size in sizes.items() if size != manifest.sizes[row]]
    elif isinstance(rows, ParquetPairs):
        now = {str(table.path): sum(table.groups) for table in rows.tables}
        planned_rows = zip(firsts, names.paths, names.counts, strict=False)
        changed = [first for first, path, count in planned_rows if now.get(path, count) != count]
    _refuse_changes(came, went, changed)


def _arrived(rows: GivenRows, planned: PlannedInputs) -> list[str]:
    """The files that have no row; where it is not known which have, those behind the planned number."""
    if planned.names is None:
        return [str(path) for path in rows.files[len(planned.manifest) :]] if isinstance(rows, FilePairs) else []
    known = set(planned.names.paths)
    return sorted(str(path) for path in rows.files if str(path) not in known)


def _refuse_changes(came: Sequence[str], went: Sequence[int], changed: Sequence[int]) -> None:
    """Nothing came, went or was changed.

    Args:
        came: files that have no row.
        went: first rows of files that are gone.
        changed: first rows of files that are others.

    Raises:
        ChangedInputsFault: something did.
    """
    if not came and not went and not changed:
        return
    raise ChangedInputsFault(
        f"the inputs are not those that the job was planned with: {len(came)} files came, {len(went)} went"
        f"{_rows(went)}, {len(changed)} changed{_rows(changed)}. {_MEND}",
        came,
    )


def _rows(rows: Sequence[int]) -> str:
    """The first row numbers, in words."""
    listed = ", ".join(map(str, rows[:_SHOWN]))
    return "" if not rows else f" (row{'s' if len(rows) > 1 else ''} {listed}{', ...' if len(rows) > _SHOWN else ''})"


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError as error:
        raise EnvironmentFault(f"a file of the inputs cannot be looked at ({why(error)}). {_MEND}") from error


def _fingerprints(rows: GivenRows) -> Iterator[tuple[int, str] | None]:
    """Size and digest of every row in order; files are read several at a time."""
    if not isinstance(rows, FilePairs):
        yield from map(rows.fingerprint, range(len(rows)))
        return
    with ThreadPoolExecutor(_THREADS) as pool:
        for first in range(0, len(rows), _AT_ONCE):
            yield from pool.map(rows.fingerprint, range(first, min(first + _AT_ONCE, len(rows))))


def _names_of(rows: GivenRows) -> RowNames:
    """Where the rows lie."""
    if isinstance(rows, ParquetPairs):
        return RowNames(tuple(map(str, rows.files)), tuple(sum(table.groups) for table in rows.tables))
    return RowNames(tuple(map(str, rows.files)), (1,) * len(rows.files))
