"""The rows that a job names: phantoms, tables or files, known to hold what the job takes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from medim_forge.generator.errors import InputError, SpecError
from medim_forge.generator.inputs.drawn import PhantomRows
from medim_forge.generator.inputs.files import FilePairs
from medim_forge.generator.inputs.given import GivenRows
from medim_forge.generator.inputs.manifest import RowNames
from medim_forge.generator.inputs.parquet import ParquetPairs
from medim_forge.generator.inputs.places import PICTURES, find_images, find_tables
from medim_forge.generator.inputs.tables import Table, look_at_all
from medim_forge.generator.jobspec import GenerateSpec
from medim_forge.generator.jobspec.inputs import ParquetInputs, PhantomInputs
from medim_forge.generator.records import Task
from medim_forge.model.quoting import quoted, shown

# By key: what a column may hold, anything but bytes where nothing is named, and what to do about others.
_TAKEN = {
    "image_column": ("bytes", "picture"),
    "report_column": ("text", "bytes"),
    "keep_columns": (),
}
_MENDS = {
    "image_column": "images are bytes: encoded PNG or JPEG, or a struct with a field `bytes`. Names of files are not "
    "followed: name another column, or write the bytes of the files into it",
    "report_column": "reports are text. Name another column, or write it as text",
    "keep_columns": "columns are kept as text. Leave it out",
}


def open_rows(spec: GenerateSpec, *, fresh: bool = False, names: RowNames | None = None) -> GivenRows:
    """The rows that the job names.

    Args:
        spec: a job with inputs.
        fresh: look again which files there are.
        names: the files that were planned; None looks for them.

    Raises:
        SpecError: no file, a file that is not Parquet, no such column, or no row.
    """
    inputs = spec.inputs
    assert inputs is not None, "a job without inputs has nothing to open"
    if isinstance(inputs, PhantomInputs):
        return PhantomRows(inputs)
    if isinstance(inputs, ParquetInputs):
        return _open_tables(inputs, spec.task, spec.place("inputs"), names)
    if names is not None:
        kept = inputs.keep_names
        top = names.top if kept else None
        return FilePairs(place=inputs.path, kind=inputs.source, files=names.files, keep_names=kept, top=top)
    try:
        files = find_images(inputs.path, inputs.source, fresh=fresh).images[: inputs.limit]
    except InputError as error:
        raise SpecError(f"{spec.at('inputs', 'path')} = {quoted(inputs.path)}: {error}") from error
    if not files:
        wanted = "DICOM file" if inputs.source == "dicom" else f"image ({', '.join(PICTURES)})"
        where = f"{spec.at('inputs', 'path')} = {quoted(inputs.path)}"
        raise SpecError(f"{where} names no {wanted}. Give a file, folder or glob.")
    if fresh:
        _check_names(files, f"{spec.at('inputs', 'path')} = {quoted(inputs.path)}")
    return FilePairs(place=inputs.path, kind=inputs.source, files=files, keep_names=inputs.keep_names)


def _check_names(files: Sequence[Path], where: str) -> None:
    """The names of the files are text.

    Raises:
        SpecError: some are not; names the first of them by number.
    """
    wrong = [number for number, path in enumerate(files) if not _is_text(str(path))]
    if wrong:
        listed = ", ".join(map(str, wrong[:5])) + (", ..." if len(wrong) > 5 else "")
        raise SpecError(
            f"{where}: {len(wrong)} files have names that are no UTF-8 text, by their numbers in order of all files: "
            f"row{'s' * (len(wrong) > 1)} {listed}. Rename them, with `convmv -f latin1 -t utf8` for example."
        )


def _is_text(name: str) -> bool:
    """Whether a name is text; what the system could not read as text are halves of surrogate pairs."""
    return name.isascii() or not any("\ud800" <= letter <= "\udfff" for letter in name)


def _open_tables(inputs: ParquetInputs, task: Task, source: str, names: RowNames | None) -> ParquetPairs:
    """The rows of the Parquet files that the job names.

    Args:
        inputs: of the job.
        task: decides which column must be there.
        source: the job file, for errors.
        names: the files that were planned; None looks for them.

    Raises:
        SpecError: no file, a file that is not Parquet, no such column, or no row.
    """
    where = f"{source}: inputs.path = {quoted(inputs.path)}"
    try:
        paths = find_tables(inputs.path) if names is None else names.files
    except InputError as error:
        raise SpecError(f"{where}: {error}") from error
    if not paths:
        raise SpecError(f"{where} names no Parquet file. Give a file, folder or glob.")
    _check_names(paths, where)
    try:
        tables = look_at_all(paths)
    except InputError as error:
        raise SpecError(f"{where}: {error}") from error
    key = "report_column" if task == "report_to_image" else "image_column"
    rows = ParquetPairs(
        place=inputs.path,
        tables=tables,
        image_column=inputs.image_column,
        report_column=inputs.report_column,
        limit=inputs.limit,
        kept_side=getattr(inputs, key),
        keep_names=inputs.keep_names,
        keep_columns=inputs.keep_columns,
    )
    for key_of, name in ((key, getattr(inputs, key)), *(("keep_columns", kept) for kept in inputs.keep_columns)):
        for number, table in enumerate(tables):
            _check_column(source, key_of, name, number, table)
    if not len(rows):
        raise SpecError(f"{where} holds no rows. Give Parquet with at least one.")
    return rows


def _check_column(source: str, key: str, name: str, number: int, table: Table) -> None:
    """A table has the column that a key of the job names, once, and it holds what is taken from it.

    Raises:
        SpecError: it has none, several or another kind.
    """
    named = f"{source}: inputs.{key} = {quoted(name)}"
    if name not in table.columns:
        listed = shown(", ".join(table.columns), 400)
        raise SpecError(f"{named} is not a column of table {number}. It has: {listed}.")
    if table.columns.count(name) > 1:
        raise SpecError(f"{named} names several columns of table {number}. Give each a name of its own.")
    kind, wanted = table.kinds[table.columns.index(name)], _TAKEN[key]
    if kind not in wanted if wanted else kind in ("bytes", "picture"):
        raise SpecError(f"{named} holds {kind} in table {number}, and {_MENDS[key]}.")
