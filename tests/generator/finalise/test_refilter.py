"""Another policy on stored scores gives what a job with that policy would have given."""

import io
import shutil
from pathlib import Path

import pytest
from pydicom import dcmread

from medim_forge.generator.audit.verify import verify
from medim_forge.generator.cli.text import refiltered_text
from medim_forge.generator.dataset.reader import open_dataset
from medim_forge.generator.errors import SpecError, StoreError, VerifyError
from medim_forge.generator.finalise.manifest import read_manifest
from medim_forge.generator.finalise.refilter import refilter
from medim_forge.generator.generate.job import run_job
from medim_forge.generator.store.places import store_at
from medim_forge.generator.store.protocol import SUCCESS
from medim_forge.generator.writers.dicom.archive import beside, read_object
from tests.doubles.toy_jobs import made
from tests.doubles.toy_replica import PARTS, content_of, toy_job

# Identifiers, names and the sequences that hold some of them are made of the job's digest, and the jobs differ.
OF_THE_JOB = ("UI", "LO", "PN", "SQ", "ST")
NOTHING = [{"name": "agreement", "drop_below": 99}]
POLICIES = [
    [{"name": "agreement"}],
    [{"name": "agreement", "drop_below": 0.25}, {"name": "report_form", "drop_below": 0.5}],
    [{"name": "image_stats", "drop_below": 1.0, "options": {"min_entropy": 7.0}}, {"name": "agreement"}],
    [{"name": "report_form", "drop_below": 0.9, "options": {"max_words": 30}}, {"name": "labels", "drop_above": 2}],
]


@pytest.fixture(scope="module")
def made_once(tmp_path_factory):
    """The folder of a job of the toy, which no test may change."""
    folder = tmp_path_factory.mktemp("refilter")
    made(toy_job(folder))
    return folder


@pytest.fixture
def finished(made_once, tmp_path):
    """A job of the toy whose dataset lies there, finished; a test may change it."""
    shutil.copytree(made_once / "out", tmp_path / "out")
    return toy_job(tmp_path, made_once / "checkpoint")


def other(finished, **changes):
    """The finished job with other keys, in the same place."""
    return toy_job(Path(finished.output.dir).parent, Path(finished.model.checkpoint), **changes)


def indices(spec):
    return [row.pair_index for row in open_dataset(spec.output.dir).rows()]


@pytest.mark.parametrize("filters", POLICIES)
def test_refiltering_gives_the_pairs_that_a_job_with_these_filters_would(finished, tmp_path, filters):
    fresh = made(toy_job(tmp_path / "two", Path(finished.model.checkpoint), filters=filters))
    before = indices(finished)
    found = refilter(finished.output.dir, other(finished, filters=filters))
    assert indices(finished) == indices(fresh)
    assert (found.before, found.data_rows) == (len(before), len(indices(fresh)))
    assert found.restored == len(set(indices(fresh)) - set(before))
    verify(finished.output.dir)


def test_the_policies_of_this_test_drop_and_restore(finished):
    kept = []
    for filters in POLICIES:
        refilter(finished.output.dir, other(finished, filters=filters))
        kept.append(indices(finished))
    assert len(kept[0]) == 8
    assert all(0 < len(one) < 8 for one in kept[1:])


def test_refiltering_with_the_jobs_own_filters_and_back_again_changes_no_row(finished):
    out = Path(finished.output.dir)
    data = {name: value for name, value in content_of(out).items() if name.startswith(("data/", "shards/"))}
    refilter(out, other(finished, filters=POLICIES[1]))
    assert {name: value for name, value in content_of(out).items() if name.startswith("shards/")} == {
        name: value for name, value in data.items() if name.startswith("shards/")
    }
    assert read_manifest(store_at(out))["refiltered"]["filters"][0]["drop_below"] == 0.25
    refilter(out, finished)
    again = content_of(out)
    assert {name: again[name] for name in data} == data
    assert (out / SUCCESS).exists()


def test_a_job_that_differs_in_more_than_filters_is_refused(finished):
    with pytest.raises(SpecError, match=r"seed: 11 -> 12"):
        refilter(finished.output.dir, other(finished, seed=12))


def test_words_that_were_not_counted_cannot_be_added_afterwards(finished):
    rules = [{"name": "nonwords", "drop_above": 0.1, "options": {"words": ["swoled"]}}]
    with pytest.raises(SpecError, match="cannot be applied to stored scores"):
        refilter(finished.output.dir, other(finished, filters=rules))


def test_a_plugin_that_would_score_otherwise_is_refused(tmp_path, monkeypatch):
    info = tmp_path / "lengths-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: lengths\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[medim_forge.filters]\nx_length = plugin_of_lengths:judge\n")
    source = "def judge(options):\n    return lambda pair: options['scale'] * len(pair.report)\n"
    (tmp_path / "plugin_of_lengths.py").write_text(source)
    monkeypatch.syspath_prepend(str(tmp_path))

    def job(scale, **bounds):
        rules = [{"name": "x_length", "options": {"scale": scale}, **bounds}]
        return toy_job(tmp_path, tmp_path / "weights", filters=rules)

    spec = made(job(1))
    with pytest.raises(SpecError, match="x_length: its options cannot be applied to stored scores; change its bounds"):
        refilter(spec.output.dir, job(2, drop_above=1))
    assert refilter(spec.output.dir, job(1, drop_above=1)).data_rows == 0


def test_an_unfinished_dataset_is_refused(finished):
    (Path(finished.output.dir) / SUCCESS).unlink()
    with pytest.raises(StoreError, match="is not finished"):
        refilter(finished.output.dir, finished)


def test_remaking_a_shard_after_a_refilter_keeps_to_its_filters(finished):
    out = Path(finished.output.dir)
    refilter(out, other(finished, filters=POLICIES[1]))
    content, rows = content_of(out), indices(finished)
    shutil.rmtree(out / "shards" / "000001")
    (out / SUCCESS).unlink()
    told = []
    run_job(finished, local=True, on_event=lambda event: told.append(event.message), parts=PARTS)
    assert indices(finished) == rows
    assert content_of(out) == content
    assert any("keeps to the filters of the last `medim refilter`" in message for message in told)


def values_of(dataset):
    return [one for one in dataset if one.VR not in OF_THE_JOB]


@pytest.mark.parametrize("archive", [None, "zip"])
def test_pairs_that_come_back_have_the_dicom_that_their_shard_would_have_written(tmp_path, archive):
    output = {"dir": str(tmp_path / "out"), "dicom": {"archive": archive}}
    lenient = [{"name": "agreement"}]
    spec = made(toy_job(tmp_path, tmp_path / "weights", output=output))
    whole = {"dir": str(tmp_path / "whole"), "dicom": {"archive": archive}}
    expected = made(toy_job(tmp_path, tmp_path / "weights", filters=lenient, output=whole))
    before = content_of(tmp_path / "out")
    result = refilter(tmp_path / "out", toy_job(tmp_path, tmp_path / "weights", filters=lenient, output=output))
    restored = [row for row in open_dataset(tmp_path / "out").rows() if row.dicom_path.startswith("restored/")]
    assert result.restored == len(restored) > 0
    assert verify(tmp_path / "out").dicom_objects == 16
    twins = {row.pair_index: row for row in open_dataset(expected.output.dir).rows()}
    for row in restored:
        for name in ("image.dcm", "report.dcm"):
            mine = dcmread(io.BytesIO(read_object(tmp_path / "out", beside(row.dicom_path, name))))
            twin = beside(twins[row.pair_index].dicom_path, name)
            theirs = dcmread(io.BytesIO(read_object(tmp_path / "whole", twin)))
            assert values_of(mine) == values_of(theirs)
    (tmp_path / "out" / restored[0].dicom_path).write_bytes(b"")
    with pytest.raises(VerifyError, match="restored/"):
        verify(tmp_path / "out")
    refilter(tmp_path / "out", spec)
    assert content_of(tmp_path / "out") == before
    assert not (tmp_path / "out" / "restored").exists()


def test_a_policy_that_leaves_nothing_says_so_and_the_card_says_whose_policy_it_is(finished):
    out = Path(finished.output.dir)
    found = refilter(out, other(finished, filters=NOTHING))
    assert found.data_rows == 0
    assert "warning: data/ is empty" in refiltered_text(found)
    assert "those of a later `medim refilter`" in (out / "README.md").read_text()
    refilter(out, finished)
    assert "later `medim refilter`" not in (out / "README.md").read_text()
    assert not (out / ".tmp").exists()
