"""Every row of a job's inputs when the job is planned: size, digest, where it lies, what its DICOM header says."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from medim_forge.generator.errors import SpecError, environment_fault, is_environment
from medim_forge.generator.inputs.files import FilePairs
from medim_forge.generator.inputs.given import GivenRows
from medim_forge.generator.inputs.manifest import UNREADABLE, InputManifest, RowNames
from medim_forge.generator.inputs.parquet import ParquetPairs
from medim_forge.generator.inputs.planned import PlannedInputs
from medim_forge.generator.inputs.rows import open_rows
from medim_forge.generator.jobspec import GenerateSpec
from medim_forge.generator.jobspec.inputs import FileInputs, PhantomInputs
from medim_forge.generator.origins import GivenDicom
from medim_forge.generator.tracing import wordless, wordless_causes

MOST_HEADERS = 2000  # DICOM headers that are read before a job runs: some seconds of work
_SHOWN = 5  # rows in a message
_AT_ONCE, _THREADS = 1024, 8  # files that are handed out, and those that are read
# By key: what such images say of themselves, and what that means.
_CONCERNS = {
    "burned_in": ("words are burned into them (Burned In Annotation is YES)", "what is made of them may show names"),
    "identified": (
        "they name their patient (Patient Identity Removed is NO)",
        "what is made of them is somebody's",
    ),
}


@dataclass(frozen=True, eq=False, kw_only=True)
class Survey(PlannedInputs):
    """The inputs of a job as they are now.

    Attributes:
        flagged: by key of the job that says what is done about them: the rows whose DICOM header says so of itself.
    """

    flagged: dict[str, tuple[int, ...]]

    @property
    def record(self) -> dict[str, Any]:
        """What `plan.json` says of the inputs."""
        counts = {key: len(rows) for key, rows in self.flagged.items()}
        return {"rows": len(self.manifest), "sha256": self.manifest.sha256, **counts}


def survey_inputs(spec: GenerateSpec) -> Survey | None:
    """Every row of the inputs as it is now, each read once; None where the spec determines them.

    Raises:
        SpecError: no file, no row, or a column that cannot be used.
        EnvironmentFault: a row cannot be read for what stands around it.
    """
    if spec.inputs is None or isinstance(spec.inputs, PhantomInputs):
        return None
    try:
        return _survey(spec)
    except Exception as error:
        if is_environment(error):
            raise environment_fault(error, "the inputs cannot be read") from wordless(error)
        raise


def _survey(spec: GenerateSpec) -> Survey:
    """What `survey_inputs` gives of a job that is given files."""
    with wordless_causes():
        rows = open_rows(spec, fresh=True)
        sizes = np.empty(len(rows), np.int64)
        digests = np.zeros((len(rows), 32), np.uint8)
        flagged: dict[str, list[int]] = {key: [] for key in _CONCERNS}
        for row, (found, header) in enumerate(_looked_at(rows, headers=_wants_headers(spec))):
            sizes[row] = UNREADABLE if found is None else found[0]
            if found is not None:
                digests[row] = np.frombuffer(bytes.fromhex(found[1]), np.uint8)
            for key in _flags(header):
                flagged[key].append(row)
        manifest, names = InputManifest(sizes, digests), _names_of(rows)
    return Survey(manifest=manifest, names=names, flagged={key: tuple(found) for key, found in flagged.items()})


def check_headers(spec: GenerateSpec) -> tuple[str, ...]:
    """What a person should know of the first DICOM inputs before the job runs.

    Raises:
        SpecError: one says of itself what the job refuses.
    """
    if not _wants_headers(spec):
        return ()
    rows = open_rows(spec)
    assert isinstance(rows, FilePairs), "a job that is given files has files"
    looked_at = min(len(rows), MOST_HEADERS)
    flags = [_flags(rows.header(row)) for row in range(looked_at)]
    return concerns(
        spec, {key: tuple(row for row in range(looked_at) if key in flags[row]) for key in _CONCERNS}, looked_at
    )


def concerns(spec: GenerateSpec, flagged: dict[str, tuple[int, ...]], looked_at: int) -> tuple[str, ...]:
    """What a person should know of inputs that say that they may be somebody's, as the job wants it.

    Args:
        spec: the job.
        flagged: rows by the key of the job that says what is done about them.
        looked_at: how many rows were.

    Raises:
        SpecError: there are some that the job refuses.
    """
    lines = []
    for key, rows in flagged.items():
        policy = getattr(spec.inputs, key, "allow")
        if not rows or policy == "allow":
            continue
        said, means = _CONCERNS[key]
        listed = ", ".join(map(str, rows[:_SHOWN])) + (", ..." if len(rows) > _SHOWN else "")
        line = f"{len(rows)} of {looked_at} images say that {said}, row{'s' * (len(rows) > 1)} {listed}; {means}"
        if policy == "error":
            raise SpecError(
                f"{spec.at('inputs', key)} = 'error': {line}. Take them away, or set the key to warn or allow."
            )
        lines.append(f"inputs: {line} (inputs.{key}: error refuses them, allow says nothing)")
    return tuple(lines)


def _wants_headers(spec: GenerateSpec) -> bool:
    """Whether the job asks what DICOM says of itself; reading a header takes some milliseconds."""
    inputs = spec.inputs
    return (
        isinstance(inputs, FileInputs)
        and inputs.source == "dicom"
        and {inputs.burned_in, inputs.identified} != {"allow"}
    )


def _flags(header: GivenDicom | None) -> tuple[str, ...]:
    """The keys of the job that are about an image with this header."""
    if header is None:
        return ()
    found = {"burned_in": header.burned_in == "YES", "identified": header.identity_removed == "NO"}
    return tuple(key for key, said in found.items() if said)


def _looked_at(rows: GivenRows, *, headers: bool) -> Iterator[tuple[tuple[int, str] | None, GivenDicom | None]]:
    """Size and digest of every row in order, and headers where they are wanted; files are read several at a time."""
    if not isinstance(rows, FilePairs):
        yield from ((rows.fingerprint(row), None) for row in range(len(rows)))
        return
    with ThreadPoolExecutor(_THREADS) as pool:
        for first in range(0, len(rows), _AT_ONCE):
            some = range(first, min(first + _AT_ONCE, len(rows)))
            yield from (
                pool.map(rows.fingerprint_and_header, some)
                if headers
                else ((found, None) for found in pool.map(rows.fingerprint, some))
            )


def _names_of(rows: GivenRows) -> RowNames:
    """Where the rows lie."""
    if isinstance(rows, ParquetPairs):
        return RowNames(tuple(map(str, rows.files)), tuple(sum(table.groups) for table in rows.tables))
    return RowNames(tuple(map(str, rows.files)), (1,) * len(rows.files))
