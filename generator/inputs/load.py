"""Given reports and images: how many there are, what a shard gets, and what cannot be read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from medim_forge.generator.errors import InputError, SpecError, is_environment
from medim_forge.generator.inputs.drawn import PhantomRows
from medim_forge.generator.inputs.files import FilePairs
from medim_forge.generator.inputs.given import GivenRows
from medim_forge.generator.inputs.parquet import ParquetPairs, look_at_all
from medim_forge.generator.inputs.places import PICTURES, digests, find_images, find_tables
from medim_forge.generator.inputs.planned import check_content, check_listing
from medim_forge.generator.inputs.words import vocabulary_sha256
from medim_forge.generator.jobspec import GenerateSpec
from medim_forge.generator.jobspec.inputs import ParquetInputs, PhantomInputs
from medim_forge.generator.origins import GivenSource
from medim_forge.generator.phantoms import read_findings
from medim_forge.generator.records import PairRequest, Quarantined, Shard, Task
from medim_forge.generator.tracing import one_line, portable_traceback, wordless, wordless_causes
from medim_forge.model.quoting import quoted, shown


def count_inputs(spec: GenerateSpec) -> int:
    """How many rows the inputs give; 0 for a job without inputs.

    Raises:
        SpecError: no file, a file that is not Parquet, no such column, or no row.
    """
    return 0 if spec.inputs is None else len(_open(spec, fresh=True))


def digest_inputs(spec: GenerateSpec) -> dict[str, str]:
    """Hex sha256 of every input file by name, sorted, and of the filters' word lists by the key that names them.

    Phantoms have none: the spec determines them.
    """
    found = {} if spec.inputs is None else digests(_open(spec).files)
    return found | vocabulary_sha256(spec)


def given_reports(spec: GenerateSpec, most: int) -> Iterator[tuple[int, str | None]]:
    """Row number and report of the first rows of the inputs; None where there is none that can be read.

    Args:
        spec: a job that takes reports.
        most: how many rows at most.
    """
    rows = _open(spec)
    for row in range(min(most, len(rows))):
        try:
            yield row, rows.report(row)
        except InputError:
            yield row, None


def load_inputs(
    spec: GenerateSpec, shard: Shard, planned: Mapping[str, str] | None = None
) -> tuple[Shard, list[Quarantined]]:
    """The shard with its given reports or images, and the rows that cannot be read.

    Args:
        spec: the job.
        shard: as planned.
        planned: sha256 of the input files by name, as `plan.json` has them; None compares nothing.

    Returns:
        The shard with the readable requests only, and the others, each in order.

    Raises:
        InputError, OSError, EnvironmentFault: what stands around the rows failed (`errors.is_environment`): no row is
            to blame.
    """
    if spec.inputs is None:
        return shard, []
    with wordless_causes():
        return _loaded(spec, shard, planned)


def names_of_rows(spec: GenerateSpec, wanted: Iterable[int]) -> dict[int, str]:
    """What rows of the inputs are called where they lie, for the one who looks; those that are not there are left out.

    Args:
        spec: the job.
        wanted: row numbers.

    Raises:
        SpecError: the inputs are not there.
    """
    if spec.inputs is None or isinstance(spec.inputs, PhantomInputs):
        return {}
    rows = _open(spec)
    return {row: rows.named(row) for row in sorted(set(wanted)) if row < len(rows)}


def _loaded(spec: GenerateSpec, shard: Shard, planned: Mapping[str, str] | None) -> tuple[Shard, list[Quarantined]]:
    """What `load_inputs` gives of a job with inputs."""
    rows = _open(spec)
    held = rows if isinstance(rows, FilePairs) and planned is not None else None
    if held is not None and planned is not None:
        check_listing(held, planned)
    filled: list[PairRequest] = []
    unreadable: list[Quarantined] = []
    for request in shard.requests:
        try:
            made = _filled(rows, spec.task, request)
            _compare(held, made, planned)
            filled.append(made)
        except InputError as error:
            if is_environment(error):
                raise
            full = portable_traceback(wordless(error))
            traced = replace(request, given=_source(rows, request))
            _compare(held, traced, planned)
            unreadable.append(Quarantined(request=traced, error=one_line(error), traceback=full, stage="input"))
    return replace(shard, requests=tuple(filled)), unreadable


def _compare(rows: FilePairs | None, request: PairRequest, planned: Mapping[str, str] | None) -> None:
    """The request's file is as it was planned, where that is known.

    Raises:
        EnvironmentFault: it was changed.
    """
    if rows is not None and planned is not None and request.given is not None and request.source_row is not None:
        check_content(rows, request.source_row, request.given, planned)


def _source(rows: GivenRows, request: PairRequest) -> GivenSource | None:
    """Where a row that holds no side for the model comes from; None where not even that can be read."""
    try:
        return None if request.source_row is None else rows.source(request.source_row)
    except InputError as error:
        if is_environment(error):
            raise
        return None


def _filled(rows: GivenRows, task: Task, request: PairRequest) -> PairRequest:
    """The request with the side that is given, and with the findings that a given report asks for.

    Raises:
        InputError: it cannot be read.
    """
    row = request.source_row
    assert row is not None, "a planned pair of a job with inputs has its row"
    if task == "image_to_report":
        return replace(request, given_image=rows.image(row), given=rows.source(row))
    report = rows.report(row)
    prompt = replace(request.prompt, findings=tuple(sorted(read_findings(report))))
    return replace(request, given_report=report, prompt=prompt, given=rows.source(row))


def _open(spec: GenerateSpec, *, fresh: bool = False) -> GivenRows:
    """The rows that the job names; `fresh` looks again which files there are.

    Raises:
        SpecError: no file, a file that is not Parquet, no such column, or no row.
    """
    inputs = spec.inputs
    assert inputs is not None, "a job without inputs has nothing to open"
    if isinstance(inputs, PhantomInputs):
        return PhantomRows(inputs)
    if isinstance(inputs, ParquetInputs):
        return _open_tables(inputs, spec.task, spec.place("inputs"))
    try:
        files = find_images(inputs.path, inputs.source, fresh=fresh).images[: inputs.limit]
    except InputError as error:
        raise SpecError(f"{spec.at('inputs', 'path')} = {quoted(inputs.path)}: {error}") from error
    if not files:
        wanted = "DICOM file" if inputs.source == "dicom" else f"image ({', '.join(PICTURES)})"
        where = f"{spec.at('inputs', 'path')} = {quoted(inputs.path)}"
        raise SpecError(f"{where} names no {wanted}. Give a file, folder or glob.")
    return FilePairs(place=inputs.path, kind=inputs.source, files=files, keep_names=inputs.keep_names)


def _open_tables(inputs: ParquetInputs, task: Task, source: str) -> ParquetPairs:
    """The rows of the Parquet files that the job names.

    Args:
        inputs: of the job.
        task: decides which column must be there.
        source: the job file, for errors.

    Raises:
        SpecError: no file, a file that is not Parquet, no such column, or no row.
    """
    where = f"{source}: inputs.path = {quoted(inputs.path)}"
    try:
        paths = find_tables(inputs.path)
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
