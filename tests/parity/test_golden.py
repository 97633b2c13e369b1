"""Our model gives the answers that the official code gave; `pytest tests/parity --golden DIR` checks any folder.

Without the option it is tests/golden. What is there is checked, all of it: a file of no known kind, or none at all, is
an error.
"""

from __future__ import annotations

import pytest
import torch

from tests.parity.checks import CHECKS
from tests.parity.folder import Case, GoldenError, find_cases


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "case" in metafunc.fixturenames:
        try:
            cases = find_cases(metafunc.config.getoption("--golden"))
        except GoldenError as error:
            raise pytest.UsageError(str(error)) from error
        metafunc.parametrize("case", [pytest.param(case, id=f"{case.kind}-{case.name}") for case in cases])


@torch.inference_mode()
def test_the_official_answer_is_given_again(case: Case) -> None:
    CHECKS[case.kind](case)
