"""Costs before a job runs: proportional to what is computed."""

from __future__ import annotations

import pytest

from medim_forge.generator.errors import SpecError
from medim_forge.generator.plan.cost import estimate, row_flops, rows_per_pair
from medim_forge.generator.plan.plan import make_plan
from medim_forge.model.config import medim


@pytest.fixture
def official(tmp_path):
    (tmp_path / "config.json").write_text(medim().to_json(), encoding="utf-8")
    return {"checkpoint": str(tmp_path), "dtype": "bfloat16"}


def test_row_of_the_official_size_costs_what_the_arithmetic_says(spec, official):
    # 10 layers of 276.8 M parameters and attention over 1280 positions: 7.1 + 0.27 TFLOP
    assert row_flops(spec(model=official)) == pytest.approx(7.36e12, rel=0.01)


@pytest.mark.parametrize(
    ("changes", "rows"),
    [
        ({}, 4 + 8 * 2 + 5),
        ({"order": "joint"}, 8 * 2 + 1 + 3.5),
        ({"order": "image_first"}, 8 + 4 + 3.5),
        ({"order": "image_first", "text_guidance": 1.0}, 8 + 4 * 2 + 3.5),
        ({"guidance": 0.0}, 8 + 4 + 3.5),
        ({"steps": 20}, 4 + 20 * 2 + 11),
        ({"steps": 19}, 4 + 19 * 2 + 5),
        # The embedded checkpoint has 24 report slots and learned where reports end.
        ({"text_reveal": "sequential"}, 12 + 8 * 2 + 5),
        ({"text_reveal": "sequential", "method": "ancestral"}, 4 + 8 * 2 + 5),
    ],
)
def test_rows_count_steps_guidance_and_scores(spec, changes, rows):
    sampling = {"steps": 8, "text_steps": 4, "text_reveal": "random"}
    assert rows_per_pair(spec(sampling={**sampling, **changes})) == pytest.approx(rows)


def test_a_checkpoint_without_learned_ends_takes_the_steps_it_is_given(spec, official):
    made = spec(model=official, sampling={"steps": 8, "text_steps": 4, "text_reveal": "sequential"})
    assert rows_per_pair(made) == 4 + 8 * 2 + 5


@pytest.mark.parametrize(("task", "rows"), [("report_to_image", 8 * 2 + 3.5), ("image_to_report", 12 + 3.5)])
def test_given_side_costs_no_steps(spec, task, rows):
    inputs = {"source": "phantoms", "domain": "pathology", "pairs": 2}
    made = spec(task=task, prompts=None, inputs=inputs, sampling={"steps": 8, "text_steps": 4})
    assert rows_per_pair(made) == pytest.approx(rows)


def test_replicas_share_the_time_and_not_the_gpu_hours(spec, official):
    one = estimate(make_plan(spec(model=official, compute={"gpus_per_replica": 1, "pairs_per_shard": 1})))
    four = estimate(
        make_plan(spec(model=official, compute={"gpus_per_replica": 1, "pairs_per_shard": 1, "replicas": 4}))
    )
    assert four.hours == pytest.approx(one.hours / 4)
    assert four.gpu_hours == pytest.approx(one.gpu_hours)
    assert one.gpu_hours > 0


def test_job_on_cpu_needs_no_gpu_hours(spec, official):
    assert estimate(make_plan(spec(model=official))).gpu_hours == 0


def test_half_empty_batches_cost_twice(spec, official):
    full = estimate(make_plan(spec(model=official, compute={"pairs_per_shard": 4}, sampling={"batch_size": 4})))
    half = estimate(make_plan(spec(model=official, compute={"pairs_per_shard": 4}, sampling={"batch_size": 8})))
    assert half.seconds_per_pair == pytest.approx(2 * full.seconds_per_pair)


@pytest.mark.parametrize("content", ["{}", "no json", "[]"])
def test_config_that_is_none_is_refused(spec, tmp_path, content):
    (tmp_path / "config.json").write_text(content)
    with pytest.raises(SpecError, match=r"model\.checkpoint: .*config\.json"):
        row_flops(spec(model={"checkpoint": str(tmp_path)}))
