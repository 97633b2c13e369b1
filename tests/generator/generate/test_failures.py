"""A job whose rows fail says why, and stops early where most of them do."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from medim_forge.generator.audit.status import status
from medim_forge.generator.cli.text import status_text
from medim_forge.generator.errors import QuarantineError
from medim_forge.generator.store import SUCCESS, store_at
from tests.doubles.toy_jobs import rows_of, run
from tests.doubles.toy_replica import toy_job


def job(tmp_path, good, rows=80, **compute):
    """Reports for given images of which some are images: every row whose number `good` accepts."""
    from medim_forge.generator.inputs.drawn import PhantomRows
    from medim_forge.generator.jobspec.inputs import PhantomInputs

    png = PhantomRows(PhantomInputs(source="phantoms", domain="chest_xray", pairs=1)).image(0)
    images = [png if good(row) else b"no image %d" % row for row in range(rows)]
    pq.write_table(pa.table({"image": images}), tmp_path / "images.parquet")
    inputs = {"source": "parquet", "path": str(tmp_path / "images.parquet"), "domain": "chest_xray"}
    return toy_job(
        tmp_path, task="image_to_report", prompts=[], inputs=inputs, compute={"pairs_per_shard": 8, **compute}
    )


def test_a_job_most_of_whose_rows_fail_stops_early_and_names_the_error(tmp_path):
    spec = job(tmp_path, lambda row: row % 4 == 0)
    with pytest.raises(QuarantineError, match=r"24 of the 32 rows tried so far failed") as caught:
        run(spec)
    message = str(caught.value)
    assert "compute.max_failed_share = 0.5" in message
    assert "The most frequent errors: 24 x InputError: row 1, column image, " in message
    assert "first in shards 0, 1, 2, 3" in message
    store = store_at(spec.output.dir)
    assert len(list(store.committed())) == 4
    # Run again, it makes nothing before somebody did something.
    with pytest.raises(QuarantineError, match="24 of the 32 rows"):
        run(spec)
    assert len(list(store.committed())) == 4


def test_it_goes_on_where_the_job_says_so(tmp_path):
    spec = job(tmp_path, lambda row: row % 4 == 0, max_failed_share=1.0)
    with pytest.raises(QuarantineError, match=r"60 rows were quarantined, .* 60 x InputError: .* All else is made"):
        run(spec)
    assert len(rows_of(spec)) > 0
    run(job(tmp_path, lambda row: row % 4 == 0, max_quarantined=60))
    assert store_at(spec.output.dir).exists(SUCCESS)


def test_half_of_the_rows_may_fail_before_it_stops(tmp_path):
    spec = job(tmp_path, lambda row: row % 2 == 0)
    with pytest.raises(QuarantineError, match=r"40 rows were quarantined"):
        run(spec)


def test_a_small_job_none_of_whose_rows_can_be_made_ends_with_the_reason(tmp_path):
    spec = job(tmp_path, lambda row: False, rows=6)
    with pytest.raises(QuarantineError, match=r"6 x InputError: .* No row could be made, so data/ is empty"):
        run(spec)
    assert rows_of(spec) == []
    said = status_text(status(spec.output.dir))
    assert "all is tried, but more rows are quarantined than its job allows; run it again to read why" in said
