"""Inputs are planned once and read as planned: what came, went or changed stops the job, and costs no row."""

from __future__ import annotations

import json
import shutil
import stat
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from medim_forge.generator.audit.verify import verify
from medim_forge.generator.errors import EnvironmentFault, ShardError, StoreError
from medim_forge.generator.finalise.refilter import refilter
from medim_forge.generator.generate.job import run_job
from medim_forge.generator.inputs import load_inputs, names_of_rows
from medim_forge.generator.inputs.manifest import NAMES, ROWS, read_names
from medim_forge.generator.inputs.places import find_images
from medim_forge.generator.inputs.planned import PlannedInputs, planned_inputs
from medim_forge.generator.inputs.survey import survey_inputs
from medim_forge.generator.phantoms import draw
from medim_forge.generator.plan import make_plan, read_plan
from medim_forge.generator.store import SUCCESS, store_at
from tests.doubles.toy_replica import PARTS, content_of, toy_job


def put(path: Path, seed: int) -> None:
    Image.fromarray(draw("chest_xray", seed).image).save(path)


def images(folder: Path) -> Path:
    """Eight images, one of which is named as somebody."""
    place = folder / "given"
    place.mkdir(parents=True)
    for number in range(8):
        put(place / f"smith_{number}.png", number)
    return place


def reports(place: Path, words: str = "row") -> None:
    """Two tables of four reports, in row groups of two."""
    place.mkdir(parents=True, exist_ok=True)
    for number in range(2):
        texts = [f"{words} {row}" for row in range(4 * number, 4 * number + 4)]
        pq.write_table(pa.table({"report": texts}), place / f"smith_{number}.parquet", row_group_size=2)


def job(folder: Path, place: Path, checkpoint: Path | None = None, source: str = "images"):
    """A job on the images, or on the tables."""
    task = "image_to_report" if source == "images" else "report_to_image"
    inputs = {"source": source, "path": str(place), "domain": "chest_xray"}
    return toy_job(folder, checkpoint, task=task, prompts=(), inputs=inputs, compute={"max_retries": 0})


def run(spec, after: int = 9, change=lambda: None):
    """The job runs, and after so many shards the inputs change, seen as a process sees them that begins anew."""
    done = []

    def on_event(event) -> None:
        if event.kind == "committed":
            done.append(event)
            if len(done) == after:
                change()
                find_images(spec.inputs.path, "images", fresh=True)

    return run_job(spec, local=True, on_event=on_event, parts=PARTS)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda place: put(place / "smith_00.png", 50), "1 files came, 0 went, 0 changed"),
        (lambda place: (place / "smith_6.png").unlink(), r"row 6 cannot be read .No such file or directory"),
        (lambda place: put(place / "smith_6.png", 51), "row 6 was changed since the job was planned"),
        (lambda place: (place / "smith_6.png").write_bytes(b"none"), "row 6 was changed since the job was planned"),
    ],
    ids=["came", "went", "changed", "damaged"],
)
def test_images_that_change_stop_the_job_and_no_row_is_lost(tmp_path, change, match):
    place = images(tmp_path)
    spec = job(tmp_path, place)
    kept = {path.name: path.read_bytes() for path in place.iterdir()}
    with pytest.raises((EnvironmentFault, ShardError), match=match) as caught:
        run(spec, 1, lambda: change(place))
    assert "smith" not in str(caught.value)
    # A run that begins now sees it at a look.
    with pytest.raises(EnvironmentFault, match="the inputs are not those that the job was planned with"):
        run(spec)
    for path in place.iterdir():
        path.unlink()
    for name, content in kept.items():
        (place / name).write_bytes(content)
    assert run(spec).counts.quarantined == 0
    if "came" in match:
        run(job(tmp_path / "twin", place, tmp_path / "checkpoint"))
        assert content_of(tmp_path / "out") == content_of(tmp_path / "twin" / "out")


def test_where_names_are_not_known_a_file_that_came_gives_no_row_another_image(tmp_path):
    place = images(tmp_path)
    spec = job(tmp_path, place)
    planned = PlannedInputs(survey_inputs(spec).manifest, None)
    shard = make_plan(spec).shard(0)
    put(place / "smith_00.png", 50)
    find_images(spec.inputs.path, "images", fresh=True)
    with pytest.raises(EnvironmentFault, match="row 1 was changed since the job was planned"):
        load_inputs(spec, shard, planned)
    # Nobody would see it without the plan.
    assert load_inputs(spec, shard)[1] == []


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda place: reports(place, "line"), "row 2 was changed since the job was planned"),
        (lambda place: (place / "smith_1.parquet").unlink(), "table 1 cannot be read"),
        (
            lambda place: shutil.copy(place / "smith_1.parquet", place / "smith_00.parquet"),
            r"1 files came, 0 went, 0 changed",
        ),
    ],
    ids=["changed", "went", "came"],
)
def test_tables_that_change_stop_the_job_though_size_and_time_are_the_same(tmp_path, change, match):
    place = tmp_path / "given"
    reports(place, "text")
    spec, first = job(tmp_path, place, source="parquet"), place / "smith_0.parquet"
    before = first.stat()

    def faults():
        change(place)
        if match.startswith("row 2"):
            assert first.stat().st_size == before.st_size
        # Readers of a process that begins anew have nothing in memory.
        from medim_forge.generator.inputs import parquet

        parquet._reader.cache_clear()

    with pytest.raises((EnvironmentFault, ShardError), match=match) as caught:
        run(spec, 1, faults)
    assert "smith" not in str(caught.value)


def test_plan_and_manifest_hold_no_name_and_the_names_are_their_owners_alone(tmp_path):
    place = images(tmp_path)
    spec = job(tmp_path, place)
    run(spec)
    out = tmp_path / "out"
    assert "smith" not in (out / "plan.json").read_text() + (out / "manifest.json").read_text()
    assert json.loads((out / "plan.json").read_text())["inputs"] == survey_inputs(spec).record
    assert ROWS in {entry["path"] for entry in json.loads((out / "manifest.json").read_text())["files"]}
    assert NAMES not in (out / "manifest.json").read_text()
    assert stat.S_IMODE((out / NAMES).stat().st_mode) == 0o600
    assert read_names(store_at(out)).paths == tuple(str(place / f"smith_{number}.png") for number in range(8))
    # They say what a row was called, whatever lies there now.
    put(place / "a.png", 1)
    find_images(str(place), "images", fresh=True)
    assert names_of_rows(spec, [3], store_at(out)) == {3: str(place / "smith_3.png")}
    assert names_of_rows(spec, [3]) == {3: str(place / "smith_2.png")}


def test_a_finished_dataset_needs_its_inputs_no_more(tmp_path):
    place = images(tmp_path)
    spec = job(tmp_path, place)
    run(spec)
    before = content_of(tmp_path / "out")
    shutil.rmtree(place)
    find_images(str(place), "images", fresh=True)
    (tmp_path / "out" / NAMES).unlink()
    result = run(spec)
    assert (result.made, result.counts.pairs) == (0, 8)
    assert verify(tmp_path / "out").problems == ()
    (tmp_path / "out" / SUCCESS).unlink()
    run(spec)
    assert content_of(tmp_path / "out") == {name: digest for name, digest in before.items() if name != NAMES}
    refilter(tmp_path / "out", spec)
    assert verify(tmp_path / "out").problems == ()


def test_a_lost_manifest_is_made_again_and_a_damaged_one_is_named_with_its_mend(tmp_path):
    place = images(tmp_path)
    spec, out = job(tmp_path, place), tmp_path / "out"
    with pytest.raises(ShardError):
        run(spec, 1, lambda: put(place / "smith_6.png", 51))
    put(place / "smith_6.png", 6)
    content = (out / ROWS).read_bytes()
    for damaged in (content[:-9], b"", content.replace(content[40:44], b"\0\0\0\0")):
        (out / ROWS).write_bytes(damaged)
        with pytest.raises(StoreError, match=rf"{ROWS}: cannot be read .* Delete it and run the job again"):
            run(spec)
    (out / NAMES).write_bytes((out / NAMES).read_bytes().replace(b"smith_3", b"smith_4"))
    (out / ROWS).unlink()
    assert run(spec).counts.pairs == 8
    assert (out / ROWS).read_bytes() == content


def test_a_lost_manifest_is_not_made_of_other_inputs(tmp_path):
    place = images(tmp_path)
    spec = job(tmp_path, place)
    with pytest.raises(ShardError):
        run(spec, 1, lambda: put(place / "smith_6.png", 51))
    (tmp_path / "out" / ROWS).unlink()
    with pytest.raises(EnvironmentFault, match="inputs are not those that the job was planned with"):
        run(spec)
    assert not (tmp_path / "out" / ROWS).exists()


def test_phantoms_need_no_manifest(tmp_path):
    inputs = {"source": "phantoms", "domain": "chest_xray", "pairs": 4}
    spec = toy_job(tmp_path, task="image_to_report", prompts=(), inputs=inputs)
    run(spec)
    store = store_at(tmp_path / "out")
    assert planned_inputs(store, read_plan(store)["inputs"]) is None
    assert not store.exists(ROWS)
