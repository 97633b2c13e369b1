"""Given images that change while a job runs stop it, and cost no row; put back, they give the same dataset."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from medim_forge.generator.errors import EnvironmentFault, ShardError
from medim_forge.generator.generate.job import run_job
from medim_forge.generator.inputs.places import find_images
from medim_forge.generator.phantoms import draw
from tests.doubles.toy_replica import PARTS, content_of, toy_job


def given(folder: Path) -> Path:
    """Eight images, one of which holds a name."""
    place = folder / "given"
    place.mkdir(parents=True)
    for number in range(8):
        Image.fromarray(draw("chest_xray", number).image).save(place / f"smith_{number}.png")
    return place


def job(folder: Path, place: Path, checkpoint: Path | None = None):
    """A job on the images."""
    inputs = {"source": "images", "path": str(place), "domain": "chest_xray"}
    return toy_job(folder, checkpoint, task="image_to_report", prompts=(), inputs=inputs, compute={"max_retries": 0})


def run(spec, after: int, change) -> None:
    """The job runs, and after so many shards the inputs change, seen as a process sees them that begins anew."""
    done = []

    def on_event(event) -> None:
        if event.kind == "committed":
            done.append(event)
            if len(done) == after:
                change()
                find_images(spec.inputs.path, "images", fresh=True)

    run_job(spec, local=True, on_event=on_event, parts=PARTS)


def put(path: Path, seed: int) -> None:
    Image.fromarray(draw("chest_xray", seed).image).save(path)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (
            lambda place: put(place / "smith_00.png", 50),
            "not those that the job was planned with: 1 files came and 0 went",
        ),
        (lambda place: (place / "smith_0.png").unlink(), "0 files came and 1 went"),
        (lambda place: put(place / "smith_6.png", 51), "the file of row 6 was changed since the job was planned"),
        (lambda place: (place / "smith_6.png").write_bytes(b"no image"), "the file of row 6 was changed"),
    ],
)
def test_inputs_that_change_stop_the_job_and_no_row_is_lost(tmp_path, change, match):
    place = given(tmp_path)
    spec = job(tmp_path, place)
    kept = {path.name: path.read_bytes() for path in place.iterdir()}
    with pytest.raises((EnvironmentFault, ShardError), match=match) as caught:
        run(spec, 1, lambda: change(place))
    assert "smith" not in str(caught.value)
    for path in place.iterdir():
        path.unlink()
    for name, content in kept.items():
        (place / name).write_bytes(content)
    find_images(spec.inputs.path, "images", fresh=True)
    result = run_job(spec, local=True, on_event=lambda event: None, parts=PARTS)
    assert result.counts.quarantined == 0
    twin = job(tmp_path / "twin", place, tmp_path / "checkpoint")
    run_job(twin, local=True, on_event=lambda event: None, parts=PARTS)
    assert content_of(tmp_path / "out") == content_of(tmp_path / "twin" / "out")
