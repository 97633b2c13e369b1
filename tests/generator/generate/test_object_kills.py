from __future__ import annotations

import pytest

from tests.doubles.kill_objects import COMMANDS, ObjectTrial
from tests.doubles.object_server import BUCKET

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_killed_at_a_call_to_the_store_is_finished_by_running_it_again(command, relay, tmp_path):
    """One of its calls; `benchmarks/kills.py` has them all."""
    del relay
    trial = ObjectTrial(command, tmp_path, f"s3://{BUCKET}/kills/{command}")
    trial.kill(trial.calls - 4)
    found = trial.found
    assert found.killed == 1
    assert (found.different, found.unfinished, found.unseen, found.left) == ([], [], [], [])
