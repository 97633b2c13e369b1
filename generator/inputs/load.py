"""Given reports and images: how many there are, what a shard gets, and what cannot be read."""

from __future__ import annotations

import hashlib
import io
from dataclasses import replace

from medim_forge.generator.errors import InputError
from medim_forge.generator.inputs.files import decodable, image_files, read_file
from medim_forge.generator.inputs.parquet import digests, digests_of, open_column
from medim_forge.generator.jobspec import GenerateSpec
from medim_forge.generator.jobspec.inputs import FileInputs, ParquetInputs, PhantomInputs
from medim_forge.generator.records import PairRequest, Quarantined, Shard
from medim_forge.generator.tracing import one_line, portable_traceback


def count_inputs(spec: GenerateSpec) -> int:
    """How many rows the inputs give; 0 for a job without inputs.

    Raises:
        SpecError: no file, a file that is not Parquet, no such column, or no row.
    """
    if isinstance(spec.inputs, ParquetInputs):
        return open_column(spec.inputs, spec.task, spec.source).rows
    if isinstance(spec.inputs, FileInputs):
        return len(image_files(spec.inputs, spec.source, fresh=True))
    return 0 if spec.inputs is None else spec.inputs.pairs


def digest_inputs(spec: GenerateSpec) -> dict[str, str]:
    """Hex sha256 of every input file by name, sorted, and of the filters' word lists by the key that names them.

    Phantoms have none: the spec determines them.
    """
    from medim_forge.generator.inputs.words import vocabulary_sha256

    if isinstance(spec.inputs, ParquetInputs):
        found = digests(open_column(spec.inputs, spec.task, spec.source))
    elif isinstance(spec.inputs, FileInputs):
        found = digests_of(image_files(spec.inputs, spec.source))
    else:
        found = {}
    return found | vocabulary_sha256(spec)


def load_inputs(spec: GenerateSpec, shard: Shard) -> tuple[Shard, list[Quarantined]]:
    """The shard with its given reports or images, and the rows that cannot be read.

    Args:
        spec: the job.
        shard: as planned.

    Returns:
        The shard with the readable requests only, and the others, each in order.
    """
    if spec.inputs is None:
        return shard, []
    filled: list[PairRequest] = []
    unreadable: list[Quarantined] = []
    for request in shard.requests:
        try:
            filled.append(_fill(spec, request))
        except InputError as error:
            full = portable_traceback(error)
            unreadable.append(Quarantined(request=request, error=one_line(error), traceback=full, stage="input"))
    return replace(shard, requests=tuple(filled)), unreadable


def _fill(spec: GenerateSpec, request: PairRequest) -> PairRequest:
    """The request with what is given.

    Raises:
        InputError: it cannot be read.
    """
    assert spec.inputs is not None, "a job without inputs has nothing to fill"
    assert request.source_row is not None, "a planned pair of a job with inputs has its row"
    if isinstance(spec.inputs, PhantomInputs):
        return _drawn(spec, spec.inputs, request, request.source_row)
    if isinstance(spec.inputs, FileInputs):
        return replace(request, given_image=read_file(spec.inputs, spec.source, request.source_row))
    column = open_column(spec.inputs, spec.task, spec.source)
    value = column.value(request.source_row)
    where = f"row {request.source_row} of {spec.inputs.path}, column {column.name},"
    if spec.task == "image_to_report":
        return replace(request, given_image=_cell(value, where))
    return _with_report(request, _report(value, where))


def _drawn(spec: GenerateSpec, inputs: PhantomInputs, request: PairRequest, row: int) -> PairRequest:
    """The request with a phantom's image or report."""
    from PIL import Image

    from medim_forge.generator.phantoms import draw

    digest = hashlib.sha256(f"inputs/{inputs.seed}/{row}".encode()).digest()
    phantom = draw(inputs.domain, int.from_bytes(digest[:8], "big") >> 1)
    if spec.task == "report_to_image":
        return _with_report(request, phantom.report)
    stream = io.BytesIO()
    Image.fromarray(phantom.image).save(stream, "PNG")
    return replace(request, given_image=stream.getvalue())


def _with_report(request: PairRequest, report: str) -> PairRequest:
    """The request with a report, and with the findings it asks for."""
    from medim_forge.generator.phantoms import read_findings

    prompt = replace(request.prompt, findings=tuple(sorted(read_findings(report))))
    return replace(request, given_report=report, prompt=prompt)


def _report(value: object, where: str) -> str:
    """The text of a cell.

    Raises:
        InputError: it holds none.
    """
    if not isinstance(value, str) or not value.strip():
        raise InputError(f"{where} holds no report, but {value!r:.80}. Give text.")
    return value.strip()


def _cell(value: object, where: str) -> bytes:
    """The encoded image of a cell, known to decode.

    Raises:
        InputError: it holds none, or one that does not decode.
    """
    content = value.get("bytes") if isinstance(value, dict) else value
    if not isinstance(content, bytes) or not content:
        raise InputError(f"{where} holds no image bytes, but {type(content).__name__}. Embed the encoded image there.")
    return decodable(content, where)
