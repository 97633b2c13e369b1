from __future__ import annotations

import re
import sys
from typing import Any

import pytest

from medim_forge.generator.cli.progress import Lines, facts, shown
from medim_forge.generator.events import JobEvent, note
from medim_forge.generator.records import Counts


def event(
    kind: Any, shards: int, *, planned: int = 4, message: str | None = None, replicas: int = 0, **counts: Any
) -> JobEvent:
    done = {"shards": shards, "pairs": 10 * shards, "kept": 9 * shards, "dropped": shards, **counts}
    return JobEvent(
        kind=kind,
        message=message or f"shard {shards}: 9 kept",
        done=Counts(**done),
        planned=Counts(shards=planned, pairs=10 * planned),
        replicas=replicas,
    )


@pytest.fixture
def clock():
    class Clock:
        now = 100.0

        def __call__(self) -> float:
            return self.now

    return Clock()


def test_a_small_job_names_every_shard_with_its_pace_and_how_long_the_rest_takes(clock, capsys):
    lines = Lines(clock)
    lines.show(event("opened", 1, message="3 of 4 shards to make"))
    clock.now += 5
    lines.show(event("committed", 2, replicas=2))
    assert capsys.readouterr().out == (
        "3 of 4 shards to make\nshard 2: 9 kept (20 of 40 pairs, 90.0% kept, 2 replicas alive, 2 pairs/s, 10 s left)\n"
    )


def test_what_earlier_runs_committed_does_not_count_as_pace(clock, capsys):
    lines = Lines(clock)
    lines.show(event("opened", 3))
    clock.now += 5
    lines.show(event("committed", 3))
    assert "pairs/s" not in capsys.readouterr().out


def test_a_large_job_says_every_few_seconds_how_far_it_is_and_at_the_end(clock, capsys):
    lines = Lines(clock)
    lines.show(event("opened", 0, planned=5000, message="to make"))
    for done in range(1, 5001):
        clock.now += 0.01
        lines.show(event("committed", done, planned=5000))
    out = capsys.readouterr().out.splitlines()
    assert out[0] == "to make"
    assert out[1].startswith("10 of 50,000 pairs: 90.0% kept")
    assert out[-1].startswith("50,000 of 50,000 pairs")
    # 50 seconds: one line at once, one every ten seconds, one at the end.
    assert len(out) == 7


def test_failures_are_always_said(clock, capsys):
    lines = Lines(clock)
    for _ in range(3):
        lines.show(event("failed", 1, planned=5000, message="shard 1, attempt 1: ReplicaDied"))
    assert capsys.readouterr().out.count("ReplicaDied") == 3


def test_the_three_commonest_reasons_are_named_and_quarantined_rows_too():
    said = facts(event("committed", 2, rejects={"a": 1, "b": 7, "c": 3, "d": 7}, quarantined=4, replicas=1))
    assert said == "90.0% kept, dropped for b 7, d 7, c 3, 4 quarantined, 1 replica alive"
    assert facts(event("opened", 0)) == "none judged"


def test_bar_counts_the_steps_of_an_experiment_and_says_nothing_of_pairs(monkeypatch, capsys):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    with shown("augment") as on_event:
        on_event(note("7 synthetic pairs", steps=(0, 8)))
        on_event(note("repetition 1 of 2", steps=(4, 8)))
    out = capsys.readouterr().out
    assert "repetition 1 of 2" in out
    assert "4/8" in out
    assert "judged" not in out


def test_bar_stays_as_it_is_when_a_message_counts_nothing(monkeypatch, capsys):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    with shown("evaluate") as on_event:
        on_event(note("chest_xray: probe and image tokenizer"))
        on_event(event("committed", 1))
        on_event(note("macro F1 0.9"))
    out = capsys.readouterr().out
    assert "macro F1 0.9" in out
    last = out[out.index("macro F1 0.9") :]
    assert "10/40 pairs" in last
    assert "90.0%" in last
    assert "0/0" not in out


@pytest.mark.parametrize("columns", [60, 80, 120])
def test_bar_keeps_its_count_in_a_narrow_terminal(monkeypatch, capsys, columns):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", str(columns))
    with shown("a_job_with_a_rather_long_name") as on_event:
        on_event(event("committed", 3, replicas=12, rejects={"report_form<0.5": 70, "agreement<0.01": 7}))
    lines = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", capsys.readouterr().out).splitlines()
    (last,) = [line for line in lines if "pairs" in line][-1:]
    assert "30/40 pairs" in last
    assert len(last) <= columns
