from __future__ import annotations

import pytest

from tests.doubles.kill_training import TrainingTrial


@pytest.mark.slow
def test_a_training_killed_at_a_storage_call_is_finished_by_running_it_again(tmp_path):
    """Some of its calls; `benchmarks/kills.py` has them all."""
    trial = TrainingTrial(tmp_path)
    for at in (2, trial.calls // 2, trial.calls - 1):
        trial.kill(at)
    found = trial.found
    assert found.killed == 3
    assert (found.different, found.unfinished, found.unseen, found.left) == ([], [], [], [])
