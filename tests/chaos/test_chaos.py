"""Whatever dies on the way: nothing lost, nothing doubled, the same bytes, or the reason for each missing row."""

from __future__ import annotations

import pytest

from tests.chaos.lab import check, laboratory
from tests.chaos.scenarios import SCENARIOS

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(300),
    # Ray leaves sockets and files for its own shutdown to close.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]


@pytest.fixture(scope="module")
def lab():
    with laboratory() as made:
        yield made


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda one: one.__name__)
def test_nothing_is_lost_or_doubled_when(lab, scenario):
    spec, ending = scenario(lab)
    print(ending.trace)
    check(lab, spec, ending)
