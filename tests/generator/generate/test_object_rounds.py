"""Rounds and restored objects in an object store: the same bytes as in a folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from medim_forge.generator.audit.reproduce import reproduce
from medim_forge.generator.audit.status import status
from medim_forge.generator.audit.verify import verify
from medim_forge.generator.dataset.reader import open_dataset
from medim_forge.generator.finalise.refilter import refilter
from medim_forge.generator.jobspec.generate import GenerateSpec
from medim_forge.generator.store.s3 import ObjectStore
from tests.doubles.object_server import copied
from tests.doubles.toy_jobs import run
from tests.doubles.toy_replica import PARTS, content_of, toy_job

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
BALANCE = {"budget": 60, "quotas": [{"finding": "nodule", "kept": 2}, {"prompt": 1, "at_most": 2}]}
LENIENT = [{"name": "agreement"}]


def job(folder: Path, weights: Path, place: str, **changes: Any) -> GenerateSpec:
    filters = [{"name": "agreement", "drop_below": 0.3, "action": "regenerate"}]
    return toy_job(folder, weights, **{"filters": filters, "balance": BALANCE, "output": {"dir": place}, **changes})


def test_a_job_with_rounds_and_a_later_policy_leave_the_same_bytes_as_in_a_folder(tmp_path, url):
    here = str(tmp_path / "here")
    result = run(job(tmp_path, tmp_path / "weights", here))
    assert run(job(tmp_path, tmp_path / "weights", url)).rounds == result.rounds > 0
    assert content_of(copied(url, tmp_path / "copy")) == content_of(Path(here))
    assert status(url).rounds == result.rounds
    again = next(row for row in open_dataset(url).rows() if row.repeats is not None)
    assert reproduce(url, again.pair_id, PARTS).pair_id == again.pair_id

    for place in (here, url):
        refilter(place, job(tmp_path, tmp_path / "weights", place, filters=LENIENT, balance=None))
        assert ObjectStore(url).files("restored") if place == url else (Path(here) / "restored").is_dir()
        verify(place)
    assert content_of(copied(url, tmp_path / "later")) == content_of(Path(here))

    refilter(url, job(tmp_path, tmp_path / "weights", url))
    assert ObjectStore(url).files("restored") == []
    assert content_of(copied(url, tmp_path / "back")) == content_of(tmp_path / "copy")
