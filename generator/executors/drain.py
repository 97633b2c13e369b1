"""SIGTERM asks a job to drain: it finishes the shards that run, starts no others, and leaves with exit code 143."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from medim_forge.generator.errors import DrainedError

GRACE_S = 30.0


def grace_s() -> float:
    """The seconds within which a job has to finish after SIGTERM.

    `ray job stop` kills the job after RAY_JOB_STOP_WAIT_TIME_S (set in the job's runtime_env; otherwise 3). Where that
    is set, it is one second less.
    """
    given = os.environ.get("RAY_JOB_STOP_WAIT_TIME_S")
    return max(float(given) - 1.0, 0.0) if given else GRACE_S


@contextmanager
def drain_on_sigterm() -> Iterator[threading.Event]:
    """Inside, SIGTERM sets the event and does nothing else; outside, it does what it did before.

    Enter it after `ray.init`, which installs a handler of its own. Signals reach only the main thread; in another
    thread the event is never set.
    """
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield asked
        return

    def ask(_signal: int, _frame: FrameType | None) -> None:
        asked.set()

    before = signal.signal(signal.SIGTERM, ask)
    try:
        yield asked
    finally:
        signal.signal(signal.SIGTERM, before)


def drained(left: str) -> DrainedError:
    """The error that ends a job on SIGTERM.

    Args:
        left: what is not made yet, as `Schedule.left` says it.
    """
    return DrainedError(f"stopped on SIGTERM, {left}; run the same command to go on.")
