"""Shows a running job: a progress bar in a terminal, plain lines anywhere else."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from medim_forge.generator.cli.say import say
from medim_forge.generator.cli.text import duration
from medim_forge.generator.escaping import visible
from medim_forge.generator.events import JobEvent, OnEvent
from medim_forge.generator.records import Counts

# A log of a large job says how far it is every so many seconds; one of a small job names every shard.
QUIET_S = 10.0
FEW_SHARDS = 200
_NAME, _BAR = 16, 12  # characters at most of the job's name, and of the bar


class Pace:
    """How fast a job is, from its events.

    Args:
        clock: seconds that never go back.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._began: tuple[float, int] | None = None
        self._steps: tuple[float, int, int] | None = None

    def text(self, event: JobEvent) -> str:
        """Pairs per second of this run, and how long the rest will take; empty before anything was made."""
        if event.done is None or event.planned is None:
            return ""
        if self._began is None or event.kind == "opened":
            self._began = (self._clock(), event.done.pairs)
        seconds, made = self._clock() - self._began[0], event.done.pairs - self._began[1]
        if made <= 0 or seconds <= 0:
            return ""
        left = duration((event.planned.pairs - event.done.pairs) * seconds / made)
        return f"{made / seconds:.3g} pairs/s, {left} left"

    def of_steps(self, steps: int, total: int) -> str:
        """Steps per second, and how long the rest will take; empty at the first step of each stretch of them."""
        if self._steps is None or self._steps[2] != total or steps <= self._steps[1]:
            self._steps = (self._clock(), steps, total)
            return ""
        seconds, made = self._clock() - self._steps[0], steps - self._steps[1]
        return f"{made / max(seconds, 1e-9):.3g} steps/s, {duration((total - steps) * seconds / made)} left"


@contextmanager
def shown(name: str) -> Iterator[OnEvent]:
    """Inside, every event of the job is shown.

    Args:
        name: of the job.
    """
    if not sys.stdout.isatty():
        yield Lines().show
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
    from rich.table import Column

    # Where there is no room for all, the end of the state is cut off, and never the count.
    columns = (
        TextColumn("{task.description}", table_column=Column(no_wrap=True, overflow="ellipsis", max_width=_NAME)),
        TextColumn("{task.fields[count]}", table_column=Column(no_wrap=True)),
        BarColumn(bar_width=_BAR),
        TimeElapsedColumn(),
        TextColumn("{task.fields[state]}", table_column=Column(no_wrap=True, overflow="ellipsis", ratio=1)),
    )
    pace = Pace()
    with Progress(*columns, console=Console(), expand=True) as bar:
        task = bar.add_task(visible(name), total=None, count="", state="starting")

        def show(event: JobEvent) -> None:
            # An event that counts nothing leaves the bar as it is.
            if event.done is not None and event.planned is not None:
                made, wanted = event.done.pairs, event.planned.pairs
                count = f"{made:{len(str(wanted))}}/{wanted} pairs"
                bar.update(
                    task, total=wanted, completed=made, count=count, state=visible(facts(event, pace.text(event)))
                )
            elif event.steps is not None:
                steps, total = event.steps
                bar.update(
                    task, total=total, completed=steps, count=f"{steps}/{total}", state=pace.of_steps(steps, total)
                )
            if event.kind not in ("committed", "step"):
                bar.console.print(visible(event.message), markup=False, highlight=False)

        yield show


class Lines:
    """Prints one line per event, at once, so that whoever follows a log can read it.

    Args:
        clock: seconds that never go back.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._pace = clock, Pace(clock)
        self._printed = float("-inf")

    def show(self, event: JobEvent) -> None:
        """The event is printed, unless it is one of very many commits."""
        pace = self._pace.text(event)
        if event.kind == "step":
            return
        if event.kind != "committed" or event.done is None or event.planned is None:
            say(event.message)
            return
        now, done = self._clock(), f"{event.done.pairs:,} of {event.planned.pairs:,} pairs"
        if event.planned.shards <= FEW_SHARDS:
            say(f"{event.message} ({done}, {facts(event, pace)})")
        elif now - self._printed >= QUIET_S or event.done.shards == event.planned.shards:
            self._printed = now
            say(f"{done}: {facts(event, pace)}")


def facts(event: JobEvent, pace: str = "") -> str:
    """What became of the pairs so far, and how fast that goes."""
    done = event.done or Counts()
    parts = [f"{done.kept / done.judged:.1%} kept" if done.judged else "none judged"]
    if done.rejects:
        frequent = sorted(done.rejects.items(), key=lambda item: (-item[1], item[0]))[:3]
        parts.append("dropped for " + ", ".join(f"{reason} {count}" for reason, count in frequent))
    if done.quarantined:
        parts.append(f"{done.quarantined} quarantined")
    if event.replicas:
        parts.append(f"{event.replicas} replicas alive" if event.replicas > 1 else "1 replica alive")
    return ", ".join([*parts, pace] if pace else parts)
