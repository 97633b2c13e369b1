"""Previews: the first pairs of a job, and the batch size that fits."""

from __future__ import annotations

import pytest

from medim_forge.generator.errors import StoreError
from medim_forge.generator.generate.preview import first_pairs, fits, largest_batch, make_preview, make_room
from medim_forge.generator.phantoms import DOMAINS
from medim_forge.generator.plan.plan import make_plan
from tests.doubles.toy_replica import PARTS, set_faults, toy_job


def test_preview_asks_for_the_first_pairs_of_the_job(spec):
    job = spec(prompts=[{"domain": one, "pairs": 100} for one in DOMAINS])
    small = make_plan(first_pairs(job, 6))
    assert (small.pairs, small.shards) == (6, 1)
    assert [one.prompt.domain for one in small.shard(0).requests] == [
        make_plan(job).request(index).prompt.domain for index in range(6)
    ]


@pytest.mark.parametrize(
    "inputs",
    [
        {"source": "phantoms", "domain": "pathology", "pairs": 100},
        {"source": "parquet", "path": "in.parquet", "domain": "pathology"},
    ],
)
def test_preview_of_given_rows_takes_the_first(spec, inputs):
    small = first_pairs(spec(task="report_to_image", prompts=None, inputs=inputs), 6)
    assert 6 in (getattr(small.inputs, "limit", None), getattr(small.inputs, "pairs", None))


def test_preview_of_a_small_job_is_the_whole_job(spec):
    assert make_plan(first_pairs(spec(), 100)).pairs == 8


def test_preview_never_touches_a_folder_that_is_something_else(spec, tmp_path):
    small = first_pairs(spec(output={"dir": str(tmp_path / "out")}), 2)
    (tmp_path / "out_preview").mkdir()
    (tmp_path / "out_preview" / "thesis.txt").touch()
    with pytest.raises(StoreError, match="no earlier preview"):
        make_room(small)
    assert (tmp_path / "out_preview" / "thesis.txt").exists()


@pytest.mark.parametrize(
    ("start", "limit", "found"), [(16, 64, 64), (16, 16, 16), (16, 100, 64), (16, 3, 2), (16, 0, 0), (12, 1, 1)]
)
def test_largest_batch_is_found_by_doubling_and_halving(start, limit, found):
    tried = []

    def fitting(size):
        tried.append(size)
        return size <= limit

    assert largest_batch(start, fitting) == found
    assert tried[0] == start


def test_search_for_the_batch_size_ends_where_nothing_limits_it():
    assert largest_batch(16, lambda size: True) == 1024


def test_batch_that_exhausts_memory_does_not_fit(tmp_path):
    spec = toy_job(tmp_path, date="2026-11-23")
    assert fits(spec, PARTS)(2)
    set_faults(spec, {"at": "generate", "do": "memory"})
    assert not fits(spec, PARTS)(2)


def test_cost_of_the_job_follows_from_what_was_measured(tmp_path):
    job = toy_job(tmp_path, date="2026-11-23", sampling={"batch_size": 2}, compute={"replicas": 2})
    found = make_preview(job, 3, on_event=lambda event: None, parts=PARTS)
    assert found.pairs == 4
    assert found.cost.hours == pytest.approx(found.seconds_per_pair * 8 / 2 / 3600)
