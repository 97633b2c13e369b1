"""Given reports and images: how many there are, what a shard gets, and what cannot be read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from medim_forge.generator.errors import InputError, SpecError, is_environment
from medim_forge.generator.inputs.given import GivenRows, NoTextError
from medim_forge.generator.inputs.manifest import read_names
from medim_forge.generator.inputs.places import find_tables
from medim_forge.generator.inputs.planned import PlannedInputs
from medim_forge.generator.inputs.rows import open_rows
from medim_forge.generator.jobspec import GenerateSpec
from medim_forge.generator.jobspec.inputs import ParquetInputs, PhantomInputs
from medim_forge.generator.origins import GivenSource
from medim_forge.generator.phantoms import read_findings
from medim_forge.generator.records import PairRequest, Quarantined, Shard, Task
from medim_forge.generator.store import Store
from medim_forge.generator.tracing import one_line, portable_traceback, wordless, wordless_causes


def count_inputs(spec: GenerateSpec) -> int:
    """How many rows the inputs give; 0 for a job without inputs.

    Raises:
        SpecError: no file, a file that is not Parquet, no such column, or no row.
    """
    return 0 if spec.inputs is None else len(open_rows(spec, fresh=True))


def given_reports(spec: GenerateSpec, most: int) -> Iterator[tuple[int, str | None]]:
    """Row number and report of the first rows of the inputs; None where there is none that can be read.

    Args:
        spec: a job that takes reports.
        most: how many rows at most.

    Raises:
        SpecError: a report is not text in UTF-8: then the table was written in another encoding.
    """
    rows = open_rows(spec)
    for row in range(min(most, len(rows))):
        try:
            yield row, rows.report(row)
        except NoTextError as error:
            raise SpecError(
                f"{spec.at('inputs', 'report_column')}: row {row} is no text in UTF-8, which tables "
                "hold: read the reports in the encoding that they have (latin-1, cp1252?), and write the table again."
            ) from wordless(error)
        except InputError:
            yield row, None


def load_inputs(
    spec: GenerateSpec, shard: Shard, planned: PlannedInputs | None = None
) -> tuple[Shard, list[Quarantined]]:
    """The shard with its given reports or images, and the rows that cannot be read.

    Args:
        spec: the job.
        shard: as planned.
        planned: the inputs that the job was planned with; None compares nothing.

    Returns:
        The shard with the readable requests only, and the others, each in order.

    Raises:
        InputError, OSError, EnvironmentFault: what stands around the rows failed (`errors.is_environment`), or they are
            not those that were planned: no row is to blame.
    """
    if spec.inputs is None:
        return shard, []
    with wordless_causes():
        return _loaded(spec, shard, planned)


def names_of_rows(spec: GenerateSpec, wanted: Iterable[int], store: Store | None = None) -> dict[int, str]:
    """What rows of the inputs are called where they lie, for the one who looks; those that are not there are left out.

    Args:
        spec: the job.
        wanted: row numbers.
        store: of a dataset of the job, which may know what they were called when it was planned.

    Raises:
        SpecError: the inputs are not there.
        StoreError: the dataset cannot be read.
    """
    if spec.inputs is None or isinstance(spec.inputs, PhantomInputs):
        return {}
    rows = open_rows(spec, names=None if store is None else read_names(store))
    return {row: rows.named(row) for row in sorted(set(wanted)) if row < len(rows)}


def names_of_tables(spec: GenerateSpec, wanted: Iterable[int], store: Store | None = None) -> dict[int, str]:
    """Which files tables of the inputs are, by number, for the one who looks; those that are not there are left out.

    Args:
        spec: the job.
        wanted: numbers of tables.
        store: of a dataset of the job, which may know what they were called when it was planned.

    Raises:
        InputError: the place cannot be searched.
        StoreError: the dataset cannot be read.
    """
    if not isinstance(spec.inputs, ParquetInputs):
        return {}
    planned = None if store is None else read_names(store)
    paths = find_tables(spec.inputs.path) if planned is None else planned.files
    return {number: str(paths[number]) for number in sorted(set(wanted)) if number < len(paths)}


def _loaded(spec: GenerateSpec, shard: Shard, planned: PlannedInputs | None) -> tuple[Shard, list[Quarantined]]:
    """What `load_inputs` gives of a job with inputs."""
    rows = open_rows(spec, names=None if planned is None else planned.names)
    filled: list[PairRequest] = []
    unreadable: list[Quarantined] = []
    for request in shard.requests:
        assert request.source_row is not None, "a planned pair of a job with inputs has its row"
        try:
            if planned is not None:
                planned.check(rows, request.source_row)
            filled.append(_filled(rows, spec.task, request, request.source_row))
        except InputError as error:
            if is_environment(error):
                raise
            full = portable_traceback(wordless(error))
            traced = replace(request, given=_source(rows, request.source_row))
            unreadable.append(Quarantined(request=traced, error=one_line(error), traceback=full, stage="input"))
    return replace(shard, requests=tuple(filled)), unreadable


def _source(rows: GivenRows, row: int) -> GivenSource | None:
    """Where a row that holds no side for the model comes from; None where not even that can be read."""
    try:
        return rows.source(row)
    except InputError as error:
        if is_environment(error):
            raise
        return None


def _filled(rows: GivenRows, task: Task, request: PairRequest, row: int) -> PairRequest:
    """The request with the side that is given, and with the findings that a given report asks for.

    Raises:
        InputError: it cannot be read.
    """
    if task == "image_to_report":
        return replace(request, given_image=rows.image(row), given=rows.source(row))
    report = rows.report(row)
    prompt = replace(request.prompt, findings=tuple(sorted(read_findings(report))))
    return replace(request, given_report=report, prompt=prompt, given=rows.source(row))
