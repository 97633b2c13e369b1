"""SIGTERM as a request: finish what runs, start nothing new, leave with exit code 143."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

GRACE_S = 30.0


def grace_s() -> float:
    """Seconds to finish in after SIGTERM.

    `ray job stop` kills after RAY_JOB_STOP_WAIT_TIME_S (set in the job's runtime_env; otherwise 3), so it is one less.
    """
    given = os.environ.get("RAY_JOB_STOP_WAIT_TIME_S")
    return max(float(given) - 1.0, 0.0) if given else GRACE_S


@contextmanager
def drain_on_sigterm() -> Iterator[threading.Event]:
    """Inside, SIGTERM sets the event and does nothing else; outside, it does what it did before.

    Enter it after `ray.init`, which installs a handler of its own. Signals reach only the main thread; in another one
    the event is never set.
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
