"""Job files for the tests of the factory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from generator.spec import GenerateSpec, parse_spec


@pytest.fixture
def job() -> Callable[..., dict[str, Any]]:
    """The values of a small joint job; keyword arguments replace its keys."""

    def make(**changes: Any) -> dict[str, Any]:
        values = {
            "kind": "generate",
            "name": "small",
            "seed": 7,
            "date": "2026-11-23",
            "task": "joint",
            "prompts": [{"domain": "chest_xray", "pairs": 5}, {"domain": "pathology", "pairs": 3}],
            "compute": {"pairs_per_shard": 3},
            "output": {"dir": "out/small"},
        }
        return {key: value for key, value in {**values, **changes}.items() if value is not None}

    return make


@pytest.fixture
def spec(job) -> Callable[..., GenerateSpec]:
    """A small joint job; keyword arguments replace its keys."""

    def make(**changes: Any) -> GenerateSpec:
        made = parse_spec(job(**changes), source="jobs/small.yaml")
        assert isinstance(made, GenerateSpec)
        return made

    return make
