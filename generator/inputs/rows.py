"""The rows that a job names: phantoms, tables or files, known to hold what the job takes."""

from __future__ import annotations

from medim_forge.generator.errors import InputError, SpecError
from medim_forge.generator.inputs.drawn import PhantomRows
from medim_forge.generator.inputs.files import FilePairs
from medim_forge.generator.inputs.given import GivenRows
from medim_forge.generator.inputs.manifest import RowNames
from medim_forge.generator.inputs.parquet import ParquetPairs
from medim_forge.generator.inputs.places import PICTURES, find_images, find_tables
from medim_forge.generator.inputs.tables import look_at_all
from medim_forge.generator.jobspec import GenerateSpec
from medim_forge.generator.jobspec.inputs import ParquetInputs, PhantomInputs
from medim_forge.generator.records import Task
from medim_forge.model.quoting import quoted, shown


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
        return FilePairs(place=inputs.path, kind=inputs.source, files=names.files, keep_names=inputs.keep_names)
    try:
        files = find_images(inputs.path, inputs.source, fresh=fresh).images[: inputs.limit]
    except InputError as error:
        raise SpecError(f"{spec.at('inputs', 'path')} = {quoted(inputs.path)}: {error}") from error
    if not files:
        wanted = "DICOM file" if inputs.source == "dicom" else f"image ({', '.join(PICTURES)})"
        where = f"{spec.at('inputs', 'path')} = {quoted(inputs.path)}"
        raise SpecError(f"{where} names no {wanted}. Give a file, folder or glob.")
    return FilePairs(place=inputs.path, kind=inputs.source, files=files, keep_names=inputs.keep_names)


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
        lacking = rows.lacking(name)
        if lacking is not None:
            listed = shown(", ".join(tables[lacking].columns), 400)
            named = f"inputs.{key_of} = {quoted(name)}"
            raise SpecError(f"{source}: {named} is not a column of table {lacking}. It has: {listed}.")
        for number, table in enumerate(tables):
            if table.columns.count(name) > 1:
                raise SpecError(
                    f"{source}: inputs.{key_of} = {quoted(name)} names several columns of table {number}. Give each a "
                    "name of its own."
                )
    if task == "image_to_report" and inputs.image_column in inputs.keep_columns:
        raise SpecError(
            f"{source}: inputs.keep_columns takes columns as text, and {inputs.image_column!r} holds images. "
            "Leave it out."
        )
    if not len(rows):
        raise SpecError(f"{where} holds no rows. Give Parquet with at least one.")
    return rows
