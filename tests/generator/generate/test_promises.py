"""The promises with the real network on the tiny job, in this process; the faults of Ray have a file of their own."""

from __future__ import annotations

import hashlib
import shutil
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from medim_forge.generator.audit.reproduce import reproduce
from medim_forge.generator.audit.verify import verify
from medim_forge.generator.cli import commands as cli
from medim_forge.generator.dataset.png import encode_png
from medim_forge.generator.errors import StoreError, VerifyError
from medim_forge.generator.jobspec import SamplingSection
from medim_forge.generator.jobspec.generate import GenerateSpec
from medim_forge.generator.phantoms import draw
from medim_forge.generator.plan.plan import make_plan
from medim_forge.generator.replica.load import load_replica
from medim_forge.generator.store.protocol import shard_folder
from tests.doubles.pairs import committed
from tests.doubles.tiny_checkpoint import write_tiny_checkpoint
from tests.doubles.tiny_jobs import run_here, tiny_job
from tests.doubles.toy_replica import content_of


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def finished(tmp_path_factory, tiny_checkpoint) -> tuple[GenerateSpec, Path]:
    out = tmp_path_factory.mktemp("finished") / "out"
    spec = tiny_job(out, tiny_checkpoint)
    run_here(spec)
    return spec, out


@pytest.fixture
def dataset(finished, tmp_path) -> Path:
    """A copy that a test may damage."""
    return shutil.copytree(finished[1], tmp_path / "copy")


def ids_of(spec: GenerateSpec) -> list[str]:
    plan = make_plan(spec)
    return [plan.request(index).pair_id for index in range(plan.pairs)]


def test_the_same_spec_twice_gives_the_same_bytes(finished, tmp_path, tiny_checkpoint):
    run_here(tiny_job(tmp_path / "again", tiny_checkpoint))
    first, second = content_of(finished[1]), content_of(tmp_path / "again")
    assert first == second
    assert sum(name.endswith(".dcm") for name in first) == 24
    assert sum(name.endswith("pairs.parquet") for name in first) == 6
    assert any(name.startswith("data/") for name in first)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"seed": 8}, r"another spec.*seed: 7 -> 8"),
        ({"sampling": {"guidance": 2.5}}, r"another spec.*sampling\.guidance: 1\.0 -> 2\.5"),
        ({"compute": {"pairs_per_shard": 3}}, r"another spec.*compute\.pairs_per_shard: 2 -> 3"),
    ],
)
def test_another_spec_on_an_old_folder_is_refused_naming_what_differs(dataset, tiny_checkpoint, changes, words):
    before = content_of(dataset)
    with pytest.raises(StoreError, match=words):
        run_here(tiny_job(dataset, tiny_checkpoint, **changes))
    assert content_of(dataset) == before


def test_other_weights_on_an_old_folder_are_refused_naming_both(tmp_path):
    weights = write_tiny_checkpoint(tmp_path / "weights")
    spec = tiny_job(tmp_path / "out", weights, prompts=[{"domain": "chest_xray", "pairs": 2}])
    run_here(spec)
    shutil.rmtree(shard_folder(tmp_path / "out", 0))
    write_tiny_checkpoint(weights, seed=1)
    with pytest.raises(StoreError, match=r"other weights.*model_sha256: '[0-9a-f]{64}' -> '[0-9a-f]{64}'"):
        run_here(spec)
    assert committed(tmp_path / "out") == {}


def test_a_pair_is_reproduced_with_all_other_shards_deleted(dataset, finished):
    pair_id = ids_of(finished[0])[5]
    for folder in (dataset / "shards").iterdir():
        if folder != shard_folder(dataset, 2):
            shutil.rmtree(folder)
    found = reproduce(dataset, pair_id)
    assert found.pair_id == pair_id
    assert len(found.files) == 2


def test_a_flipped_byte_in_a_png_makes_verify_and_reproduce_fail_naming_the_pair(dataset, finished):
    pair_id = ids_of(finished[0])[3]
    path = shard_folder(dataset, 1) / "pairs.parquet"
    png = next(row["image"]["bytes"] for row in pq.read_table(path).to_pylist() if row["pair_id"] == pair_id)
    content = bytearray(path.read_bytes())
    content[content.index(png) + len(png) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(VerifyError, match=f"pair {pair_id}: image is not the one that was written"):
        verify(dataset)
    with pytest.raises(VerifyError, match=f"pair {pair_id}: its PNG in .* is damaged"):
        reproduce(dataset, pair_id)


@pytest.mark.parametrize("task", ["joint", "report_to_image", "image_to_report"])
def test_every_task_makes_what_was_asked_for(tmp_path, tiny_checkpoint, task):
    changes = {}
    if task != "joint":
        inputs = {"source": "phantoms", "domain": "pathology", "pairs": 5, "seed": 3}
        changes = {"task": task, "prompts": None, "inputs": inputs}
    result = run_here(tiny_job(tmp_path / "out", tiny_checkpoint, **changes))
    pairs = 12 if task == "joint" else 5
    assert (result.counts.pairs, result.counts.kept, result.counts.quarantined) == (pairs, pairs, 0)
    files = [str(path) for path in sorted((tmp_path / "out").glob("shards/*/pairs.parquet"))]
    rows = [row for path in files for row in pq.read_table(path).to_pylist()]
    assert [row["pair_index"] for row in rows] == list(range(pairs))
    assert {row["task"] for row in rows} == {task}
    given, made = {
        "joint": ((), ("report_logprob", "image_logprob")),
        "report_to_image": (("report_logprob",), ("image_logprob",)),
        "image_to_report": (("image_logprob",), ("report_logprob",)),
    }[task]
    assert all(row[name] is None for row in rows for name in given)
    assert all(row[name] < 0 for row in rows for name in made)
    if task == "report_to_image":
        assert all(row["prompt_chars"] == len(row["report"]) for row in rows)


def made_by(folder: Path, checkpoint: Path, **sampling: object) -> list[tuple[str, bytes]]:
    """Reports and images of six joint pairs, without the rest of the factory."""
    few = [{"domain": "chest_xray", "pairs": 3}, {"domain": "pathology", "pairs": 3}]
    spec = tiny_job(folder, checkpoint, prompts=few, sampling=sampling, compute={"pairs_per_shard": 6})
    return [(pair.report, pair.image.tobytes()) for pair in load_replica(spec).generate(make_plan(spec).shard(0))]


CHANGES = {
    "method": ({}, "ancestral"),
    "order": ({}, "joint"),
    "text_reveal": ({}, "confidence"),
    "image_reveal": ({}, "confidence"),
    "steps": ({}, 5),
    "text_steps": ({"text_reveal": "random"}, 6),
    "guidance": ({}, 4.0),
    "text_guidance": ({"order": "image_first"}, 4.0),
    "text_temperature": ({}, 3.0),
    "image_temperature": ({}, 3.0),
    "confidence_noise": ({"image_reveal": "confidence"}, 5.0),
}


BASES = [dict(base) for base in sorted({tuple(base.items()) for base, _ in CHANGES.values()})]


@pytest.fixture(scope="module")
def made_before(tmp_path_factory, tiny_checkpoint) -> list[list[tuple[str, bytes]]]:
    """What each of `BASES` makes."""
    return [made_by(tmp_path_factory.mktemp("base"), tiny_checkpoint, **base) for base in BASES]


@pytest.mark.parametrize("key", CHANGES)
def test_every_sampling_key_changes_the_pairs(tmp_path, tiny_checkpoint, made_before, key):
    base, value = CHANGES[key]
    assert made_by(tmp_path, tiny_checkpoint, **base, **{key: value}) != made_before[BASES.index(base)]


@pytest.mark.parametrize("number", range(len(BASES)))
def test_the_same_sampling_keys_make_the_same_pairs_again(tmp_path, tiny_checkpoint, made_before, number):
    assert made_by(tmp_path, tiny_checkpoint, **BASES[number]) == made_before[number]


def test_no_sampling_key_is_left_out_and_each_is_part_of_the_digest(tmp_path, tiny_checkpoint):
    # `official` needs official weights, and rows per batch round differently at most: neither has to change a pixel.
    keys = {**CHANGES, "mode": ({}, "official"), "batch_size": ({}, 3)}
    assert set(keys) == set(SamplingSection.model_fields)
    spec = tiny_job(tmp_path, tiny_checkpoint)
    digests = {tiny_job(tmp_path, tiny_checkpoint, sampling={key: value}).sha256 for key, (_, value) in keys.items()}
    assert len(digests | {spec.sha256}) == len(keys) + 1


def medim(monkeypatch, capsys, *arguments: object) -> tuple[int, str]:
    """Exit code and standard error of a command."""
    monkeypatch.setattr(sys, "argv", ["medim", *map(str, arguments)])
    with pytest.raises(SystemExit) as leaving:
        cli.main()
    assert isinstance(leaving.value.code, int)
    return leaving.value.code, capsys.readouterr().err


@pytest.mark.parametrize(("allowed", "code"), [(1, 0), (0, 3)])
def test_an_unreadable_image_is_quarantined_and_the_rest_go_on(
    tmp_path, tiny_checkpoint, monkeypatch, capsys, allowed, code
):
    from medim_forge.generator.jobspec.load import to_yaml

    images = [encode_png(draw("chest_xray", seed).image, "test") for seed in range(4)]
    images[2] = images[2][: len(images[2]) // 2]
    pq.write_table(pa.table({"image": images}), tmp_path / "in.parquet")
    inputs = {"source": "parquet", "path": str(tmp_path / "in.parquet"), "domain": "chest_xray"}
    changes = {"task": "image_to_report", "prompts": None, "inputs": inputs, "compute": {"max_quarantined": allowed}}
    spec = tiny_job(tmp_path / "out", tiny_checkpoint, **changes)
    (tmp_path / "job.yaml").write_text(to_yaml(spec), encoding="utf-8")
    left_with, error = medim(monkeypatch, capsys, "run", "--local", tmp_path / "job.yaml")
    assert left_with == code, error
    assert (tmp_path / "out" / "_SUCCESS").exists() == (code == 0)
    kept = [
        row for path in sorted(tmp_path.glob("out/shards/*/pairs.parquet")) for row in pq.read_table(path).to_pylist()
    ]
    assert [row["pair_index"] for row in kept] == [0, 1, 3]
    [lost] = [
        row
        for path in sorted(tmp_path.glob("out/shards/*/_rejected.parquet"))
        for row in pq.read_table(path).to_pylist()
    ]
    assert (lost["pair_index"], lost["stage"]) == (2, "input")
    assert "row 2, column image, " in lost["error"]
    assert "cannot be decoded" in lost["error"]
    assert "Traceback" in lost["traceback"]
    planned = pq.read_table(tmp_path / "out" / "inputs.parquet").to_pylist()
    digests = [hashlib.sha256(image).digest() for image in images]
    assert planned == [{"size": len(image), "sha256": digests[row]} for row, image in enumerate(images)]
