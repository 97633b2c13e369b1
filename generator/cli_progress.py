"""Shows a running job: a progress bar in a terminal, plain lines anywhere else."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from generator.events import JobEvent, OnEvent


@contextmanager
def shown(name: str) -> Iterator[OnEvent]:
    """Inside, every event of the job is shown.

    Args:
        name: of the job.
    """
    if not sys.stdout.isatty():
        yield print_line
        return
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("pairs, {task.fields[facts]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns) as bar:
        task = bar.add_task(name, total=None, facts="starting")

        def show(event: JobEvent) -> None:
            bar.update(task, total=event.pairs_total, completed=event.pairs_done, facts=facts(event))
            if event.kind != "committed":
                bar.console.print(event.message, markup=False, highlight=False)

        yield show


def print_line(event: JobEvent) -> None:
    """One line is printed, and can be read at once by whoever follows a log."""
    counts = f" ({event.pairs_done} of {event.pairs_total} pairs)" if event.kind == "committed" else ""
    print(f"{event.message}{counts}", flush=True)


def facts(event: JobEvent) -> str:
    """What became of the pairs so far."""
    lost = f", {event.quarantined} quarantined" if event.quarantined else ""
    return f"{event.kept} kept, {event.dropped} dropped{lost}"
