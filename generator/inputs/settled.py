"""The folder of a dataset knows its inputs, and a look tells whether they are still those that were planned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

from medim_forge.generator.errors import EnvironmentFault, SpecError
from medim_forge.generator.files import is_url
from medim_forge.generator.inputs.files import FilePairs
from medim_forge.generator.inputs.given import GivenRows
from medim_forge.generator.inputs.manifest import ROWS, write_names, write_rows
from medim_forge.generator.inputs.parquet import ParquetPairs
from medim_forge.generator.inputs.planned import MEND, ChangedInputsFault, PlannedInputs, planned_inputs
from medim_forge.generator.inputs.rows import open_rows
from medim_forge.generator.inputs.survey import Survey, survey_inputs
from medim_forge.generator.jobspec import GenerateSpec
from medim_forge.generator.store import Store
from medim_forge.generator.tracing import why, wordless_causes

_SHOWN = 5  # rows in a message


def settle_inputs(store: Store, spec: GenerateSpec, record: Mapping[str, Any] | None, surveyed: Survey | None) -> None:
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
            raise ChangedInputsFault(f"the inputs are not those that the job was planned with. {MEND}")
        # An object has no owner who alone may read it.
        if surveyed.names is not None and not is_url(str(store)):
            write_names(store, surveyed.names)
        write_rows(store, surveyed.manifest)  # last, for it says that both are there
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
                f"planned. {MEND}"
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
        f"{_rows(went)}, {len(changed)} changed{_rows(changed)}. {MEND}",
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
        raise EnvironmentFault(f"a file of the inputs cannot be looked at ({why(error)}). {MEND}") from error
