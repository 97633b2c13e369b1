"""What rows of the inputs are called, for the one who looks: on the terminal alone, where `--show-inputs` asks for it.

Names of files are often people's. Everything that is kept or logged therefore names rows by number; see
docs/running.md.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

from medim_forge.generator.errors import MedimError
from medim_forge.generator.events import JobEvent, OnEvent, note
from medim_forge.generator.files import is_url
from medim_forge.generator.jobspec import GenerateSpec
from medim_forge.model.quoting import shown

# How messages name rows: `row 3`, `rows 3, 17, ...`.
_ROWS = re.compile(r"\brows? (\d+(?:, \d+)*)")
_MOST = 100  # names shown at once


def rows_in(text: str) -> list[int]:
    """The numbers of the rows that a message names, in order, each once."""
    return list(dict.fromkeys(int(number) for found in _ROWS.findall(text) for number in found.split(", ")))


def named_lines(job: GenerateSpec, rows: Iterable[int]) -> list[str]:
    """What these rows of the inputs are called where they lie, a line each; where nothing is known, a line says why."""
    wanted = list(islice(dict.fromkeys(rows), _MOST + 1))
    if not wanted:
        return []
    try:
        names = _names(job, wanted[:_MOST])
    except MedimError as error:
        return [f"what the rows are called is not known: {error}"]
    lines = [f"row {row} is {name}" for row, name in names.items()]
    return [*lines, f"more than {_MOST} rows: the others are not shown"] if len(wanted) > _MOST else lines


def _names(job: GenerateSpec, rows: Iterable[int]) -> dict[int, str]:
    """What rows are called, by number, those of them that are there.

    Raises:
        SpecError: the inputs are not there.
        StoreError: the dataset, which may know them, cannot be read.
    """
    from medim_forge.generator.inputs import names_of_rows
    from medim_forge.generator.store import store_at

    place = job.output.dir
    store = store_at(place) if is_url(place) or Path(place).is_dir() else None
    return {row: shown(name, 4096) for row, name in names_of_rows(job, rows, store).items()}


@contextmanager
def naming(job: GenerateSpec, wanted: bool, on_event: OnEvent = print) -> Iterator[OnEvent]:
    """Inside, events and errors that name rows are followed by what those are called, where that is wanted.

    Args:
        job: whose inputs they are.
        wanted: whether `--show-inputs` was given.
        on_event: shows an event.
    """

    def show(event: JobEvent) -> None:
        on_event(event)
        for line in named_lines(job, rows_in(event.message)):
            on_event(note(line))

    try:
        yield show if wanted else on_event
    except MedimError as error:
        if wanted:
            came = [f"came: {shown(path, 4096)}" for path in getattr(error, "came", ())[:_MOST]]
            for line in (*named_lines(job, rows_in(str(error))), *came):
                print(line, file=sys.stderr)
        raise


def with_names(job: GenerateSpec, text: str, wanted: bool) -> str:
    """The text, with what the rows that it names are called, where that is wanted."""
    return "\n".join([text, *named_lines(job, rows_in(text))]) if wanted else text


def lost_lines(job: GenerateSpec, place: str) -> list[str]:
    """The rows that a dataset lost, with what they are called and what was wrong; as many as are shown at once."""
    from medim_forge.generator.audit.quarantine import lost_inputs
    from medim_forge.generator.store import store_at

    lost = list(islice(lost_inputs(store_at(place)), _MOST))
    try:
        names = _names(job, (row.source_row for row in lost))
    except MedimError as error:
        return [f"what the quarantined rows are called is not known: {error}"]
    return [f"quarantined: {names.get(row.source_row, '')}: {row.error}" for row in lost]
