from __future__ import annotations

import os
import signal
import threading

import pytest

from medim_forge.generator.executors.drain import GRACE_S, drain_on_sigterm, grace_s


def test_sigterm_sets_the_event_and_afterwards_means_what_it_meant_before():
    before = signal.getsignal(signal.SIGTERM)
    with drain_on_sigterm() as asked:
        assert not asked.is_set()
        os.kill(os.getpid(), signal.SIGTERM)
        assert asked.wait(timeout=5)
    assert signal.getsignal(signal.SIGTERM) is before


def test_another_thread_than_the_main_one_can_run_a_job_and_is_never_asked():
    seen = []

    def work() -> None:
        with drain_on_sigterm() as asked:
            seen.append(asked.is_set())

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [False]


@pytest.mark.parametrize(("given", "seconds"), [(None, GRACE_S), ("20", 19.0), ("0.5", 0.0)])
def test_the_grace_ends_before_ray_kills(monkeypatch, given, seconds):
    monkeypatch.delenv("RAY_JOB_STOP_WAIT_TIME_S", raising=False)
    if given:
        monkeypatch.setenv("RAY_JOB_STOP_WAIT_TIME_S", given)
    assert grace_s() == seconds
