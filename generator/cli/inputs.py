"""What rows of the inputs are called, for the one who looks: on the terminal alone, where `--show-inputs` asks for it.

Names of files are often people's. Everything that is kept or logged therefore names rows by number; see
docs/running.md.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from medim_forge.generator.cli.say import say
from medim_forge.generator.errors import MedimError
from medim_forge.generator.events import JobEvent, OnEvent, note
from medim_forge.generator.files import is_url
from medim_forge.generator.jobspec import GenerateSpec
from medim_forge.model.quoting import shown

if TYPE_CHECKING:
    from medim_forge.generator.store import Store

_MOST = 100  # names shown at once


def named_lines(job: GenerateSpec, text: str) -> list[str]:
    """What the rows and tables that a message names are called, a line each; where none is known, a line says why."""
    from medim_forge.generator.inputs import names_of_rows, names_of_tables

    lines = []
    for kind, names_of in (("table", names_of_tables), ("row", names_of_rows)):
        wanted = numbers_of(kind, text)
        if not wanted:
            continue
        try:
            names = names_of(job, wanted[:_MOST], _store_of(job))
        except MedimError as error:
            lines.append(f"what the {kind}s are called is not known: {error}")
            continue
        lines += [f"{kind} {number} is {shown(name, 4096)}" for number, name in names.items()]
        if len(wanted) > _MOST:
            lines.append(f"more than {_MOST} {kind}s: the others are not shown")
    return lines


def numbers_of(kind: str, text: str) -> list[int]:
    """The numbers of what a message names, `row 3` or `rows 3, 17, ...`, in order, each once."""
    found = re.findall(rf"\b{kind}s? (\d+(?:, \d+)*)", text)
    return list(dict.fromkeys(int(number) for numbers in found for number in numbers.split(", ")))


def _store_of(job: GenerateSpec) -> Store | None:
    """The dataset of the job, which knows what its rows were called when it was planned; None where there is none.

    Raises:
        StoreError: it is damaged.
    """
    from medim_forge.generator.plan import begun_plan
    from medim_forge.generator.store import store_at

    place = job.output.dir
    if not is_url(place) and not Path(place).is_dir():
        return None
    store = store_at(place)
    return None if begun_plan(store, job) is None else store


@contextmanager
def naming(job: GenerateSpec, wanted: bool, on_event: OnEvent = print) -> Iterator[OnEvent]:
    """Inside, events and errors that name rows or tables are followed by what those are called, where that is wanted.

    Args:
        job: whose inputs they are.
        wanted: whether `--show-inputs` was given.
        on_event: shows an event.
    """

    def show(event: JobEvent) -> None:
        on_event(event)
        for line in named_lines(job, event.message):
            on_event(note(line))

    try:
        yield show if wanted else on_event
    except MedimError as error:
        if wanted:
            came = [f"came: {shown(path, 4096)}" for path in getattr(error, "came", ())[:_MOST]]
            for line in (*named_lines(job, str(error)), *came):
                say(line, error=True)
        raise


def with_names(job: GenerateSpec, text: str, wanted: bool) -> str:
    """The text, with what the rows and tables that it names are called, where that is wanted."""
    return "\n".join([text, *named_lines(job, text)]) if wanted else text


def lost_lines(job: GenerateSpec, place: str) -> list[str]:
    """The rows that a dataset lost, with what they are called and what was wrong; as many as are shown at once."""
    from medim_forge.generator.audit.quarantine import lost_inputs
    from medim_forge.generator.inputs import names_of_rows
    from medim_forge.generator.store import store_at

    lost = list(islice(lost_inputs(store_at(place)), _MOST))
    try:
        names = names_of_rows(job, (row.source_row for row in lost), _store_of(job))
    except MedimError as error:
        return [f"what the quarantined rows are called is not known: {error}"]
    return [f"quarantined: {shown(names.get(row.source_row, ''), 4096)}: {row.error}" for row in lost]
