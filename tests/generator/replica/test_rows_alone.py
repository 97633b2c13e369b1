from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from medim_forge.generator.jobspec.generate import GenerateSpec
from medim_forge.generator.plan.plan import make_plan
from medim_forge.generator.records import Pair
from medim_forge.generator.replica.load import load_replica
from medim_forge.generator.replica.replica import MedimReplica
from tests.doubles.toy_replica import toy_job

pytestmark = pytest.mark.slow

# Big enough for products whose rounding depends on their shape; a tiny random checkpoint is not.
CHECKPOINT = "phantom"


@pytest.fixture(scope="module")
def spec(tmp_path_factory) -> GenerateSpec:
    sampling = {"batch_size": 4, "steps": 4, "text_steps": 4}
    folder = tmp_path_factory.mktemp("rows")
    return toy_job(folder, model={"checkpoint": CHECKPOINT}, sampling=sampling, compute={"pairs_per_shard": 8})


@pytest.fixture(scope="module")
def replica(spec) -> MedimReplica:
    return load_replica(spec)


@pytest.fixture(scope="module")
def whole(spec, replica) -> list[Pair]:
    return replica.generate(make_plan(spec).shard(0))


def content(pair: Pair) -> tuple[bytes | str, ...]:
    arrays = (pair.image, pair.image_codes, pair.embedding)
    numbers = np.array([pair.report_logprob, pair.image_logprob, pair.agreement])
    return (pair.report, numbers.tobytes(), *(array.tobytes() for array in arrays))


@pytest.mark.parametrize("rows", [[0], [5], [1, 2, 6], [4, 7]])
def test_a_row_is_made_the_same_whichever_rows_share_its_batch(spec, replica, whole, rows):
    shard = make_plan(spec).shard(0)
    some = replica.generate(replace(shard, requests=tuple(shard.requests[row] for row in rows)))
    assert [content(pair) for pair in some] == [content(whole[row]) for row in rows]
