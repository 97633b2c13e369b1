"""Whole jobs into an object store: a real server, a real relay before it, real outages, kills and rivals."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import pytest
from PIL import Image

from medim_forge.generator.audit.verify import inspect
from medim_forge.generator.cli import commands as cli
from medim_forge.generator.dataset.reader import open_dataset
from medim_forge.generator.errors import MedimError, ShardError
from medim_forge.generator.events import JobEvent
from medim_forge.generator.generate.job import JobResult, run_job
from medim_forge.generator.inputs.manifest import NAMES, ROWS
from medim_forge.generator.jobspec.generate import GenerateSpec
from medim_forge.generator.jobspec.load import to_yaml
from medim_forge.generator.phantoms import draw
from medim_forge.generator.store import s3_client as object_client
from medim_forge.generator.store.s3 import ObjectStore
from tests.doubles.object_server import copied, keys_below
from tests.doubles.pairs import committed
from tests.doubles.toy_replica import PARTS, content_of, fired, set_faults, toy_job

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(120),
    # Ray leaves sockets and files for its own shutdown to close.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]

Driver = subprocess.Popen[str]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory) -> Path:
    """One for all jobs: its path is part of the spec, and so of the bytes. Faults are laid into it."""
    return tmp_path_factory.mktemp("weights")


@pytest.fixture(scope="module")
def truth(tmp_path_factory, checkpoint) -> dict[str, str]:
    """What the job makes undisturbed in a local folder, in one process; Parquet, DICOM and all."""
    folder = tmp_path_factory.mktemp("truth")
    spec = toy_job(folder, checkpoint, output={"dir": str(folder / "out")})
    set_faults(spec)
    run_here(spec)
    return content_of(folder / "out")


@pytest.fixture
def job(tmp_path, checkpoint, url) -> Callable[..., GenerateSpec]:
    """The same job into a prefix of its own; keyword arguments replace keys of `compute`."""

    def make(**compute: object) -> GenerateSpec:
        spec = toy_job(tmp_path, checkpoint, output={"dir": url}, compute=compute)
        set_faults(spec)
        return spec

    return make


@pytest.fixture
def driver(tmp_path, repository) -> Callable[..., Driver]:
    """Starts a driver of the job in a process of its own."""

    def start(spec: GenerateSpec, *words: str) -> Driver:
        path = tmp_path / "job.yaml"
        path.write_text(to_yaml(spec), encoding="utf-8")
        command = [sys.executable, "-m", "tests.doubles.object_driver", str(path), *words]
        return subprocess.Popen(
            command, cwd=repository, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=dict(os.environ)
        )

    return start


def run_here(spec: GenerateSpec, on_event: Callable[[JobEvent], None] = lambda event: None) -> JobResult:
    return run_job(spec, local=True, on_event=on_event, parts=PARTS)


def ended(process: Driver) -> tuple[int, str]:
    """Exit code and output of a driver."""
    said, _ = process.communicate(timeout=60)
    return process.returncode, said


def once_committed(shard: int, act: Callable[[], object], told: list[JobEvent]) -> Callable[[JobEvent], None]:
    """Something that happens as soon as the shard is committed; every event is kept."""

    def on_event(event: JobEvent) -> None:
        told.append(event)
        if event.record and event.record.index == shard:
            act()

    return on_event


def check_whole(url: str, folder: Path, truth: dict[str, str]) -> None:
    """The dataset has the bytes of the local one, and nothing of any other attempt is left in the bucket."""
    assert content_of(copied(url, folder)) == truth
    records = committed(ObjectStore(url))
    named = {name for index, record in records.items() for name in (f"{index:06d}", record.run["folder"])}
    assert {key.split("/")[1] for key in keys_below(url)} == named


def test_a_job_into_a_bucket_leaves_the_bytes_of_a_local_run(job, url, tmp_path, truth):
    result = run_here(job())
    assert (result.out, result.made) == (url, 4)
    check_whole(url, tmp_path / "copy", truth)
    assert sum(name.endswith(".dcm") for name in truth) == 14
    assert run_here(job()).made == 0


def test_names_of_given_images_stay_out_of_a_bucket_and_the_images_are_still_those_that_were_planned(url, tmp_path):
    place = tmp_path / "given"
    place.mkdir()
    for number in range(4):
        Image.fromarray(draw("chest_xray", number).image).save(place / f"smith_{number}.png")
    inputs = {"source": "images", "path": str(place), "domain": "chest_xray"}
    spec = toy_job(
        tmp_path,
        task="image_to_report",
        prompts=(),
        inputs=inputs,
        output={"dir": url, "dicom": None},
        compute={"max_retries": 0},
    )
    third = place / "smith_3.png"
    kept = third.read_bytes()
    with pytest.raises(ShardError, match="row 3 was changed since the job was planned"):
        run_here(spec, once_committed(0, lambda: third.write_bytes(kept + b" "), []))
    third.write_bytes(kept)
    assert run_here(spec).counts.quarantined == 0
    store = ObjectStore(url)
    assert (store.exists(ROWS), store.exists(NAMES)) == (True, False)
    assert not any(
        b"smith" in path.read_bytes() for path in copied(url, tmp_path / "copy").rglob("*") if path.is_file()
    )


def test_an_outage_of_seconds_in_the_middle_loses_nothing_and_the_job_goes_on(job, url, tmp_path, truth, relay, caplog):
    told: list[JobEvent] = []
    run_here(job(max_retries=0), once_committed(1, lambda: relay.fail_until(lambda: caplog.records, 3.0), told))
    said = [record.getMessage() for record in caplog.records]
    assert any("no answer" in one for one in said)
    assert any("answers again after" in one for one in said)
    assert [event.record.index for event in told if event.record] == [0, 1, 2, 3]
    assert not any(event.kind == "failed" for event in told)
    check_whole(url, tmp_path / "copy", truth)


def test_a_longer_outage_is_a_failed_attempt_that_is_repeated(job, url, tmp_path, truth, relay, monkeypatch):
    monkeypatch.setattr(object_client, "OUTAGE_S", 0.5)
    told: list[JobEvent] = []

    def met() -> bool:
        return any(event.kind == "failed" for event in told)

    run_here(job(max_retries=20), once_committed(1, lambda: relay.fail_until(met, 1.0), told))
    failed = [event.message for event in told if event.kind == "failed"]
    assert failed
    assert all("shard 2" in one and "OutageError" in one and "does not answer" in one for one in failed)
    check_whole(url, tmp_path / "copy", truth)


def test_an_outage_without_end_stops_the_job_with_its_cause_and_a_rerun_finishes(
    job, url, tmp_path, truth, relay, monkeypatch
):
    monkeypatch.setattr(object_client, "OUTAGE_S", 0.3)
    with pytest.raises(MedimError, match=r"OutageError: s3://.*does not answer.*run the same command.*\nTried 2 times"):
        run_here(job(), once_committed(0, relay.kill, []))
    relay.start()
    assert run_here(job()).made == 3
    check_whole(url, tmp_path / "copy", truth)


def test_two_drivers_at_once_make_every_shard_once(job, url, tmp_path, truth, driver, checkpoint):
    spec = job()
    set_faults(spec, {"at": "generate", "do": "meet", "pair": 0, "times": 2, "folder": str(checkpoint), "count": 2})
    drivers = [driver(spec), driver(spec)]
    ends = [ended(one) for one in drivers]
    assert [code for code, _ in ends] == [0, 0], ends
    assert fired(spec) == 2
    assert "had been committed meanwhile; this attempt was discarded" in ends[0][1] + ends[1][1]
    assert "bytes differ" not in ends[0][1] + ends[1][1]
    check_whole(url, tmp_path / "copy", truth)


def test_a_zombie_that_wakes_when_all_is_done_is_refused_and_leaves_nothing(job, url, tmp_path, truth, driver):
    zombie = driver(job(), "stop", "shards/000001/_shard.json")
    assert zombie.stdout is not None
    assert any(line.strip() == "stop" for line in iter(zombie.stdout.readline, ""))
    os.waitid(os.P_PID, zombie.pid, os.WSTOPPED | os.WNOWAIT)
    run_here(job())
    assert len([key for key in keys_below(url) if "pairs.parquet" in key]) == 4
    zombie.send_signal(signal.SIGCONT)
    code, said = ended(zombie)
    assert code == 0, said
    assert "shard 1 had been committed meanwhile; this attempt was discarded" in said
    check_whole(url, tmp_path / "copy", truth)


def test_a_driver_killed_between_upload_and_commit_is_continued_and_swept_after(job, url, tmp_path, truth, driver):
    code, said = ended(driver(job(), "die", "shards/000001/_shard.json"))
    assert code == 9, said
    [stale] = {key.split("/")[1] for key in keys_below(url) if key.startswith("shards/000001-")}
    assert not ObjectStore(url).exists("shards/000001/_shard.json")
    assert run_here(job()).made == 3
    assert not any(stale in key for key in keys_below(url))
    check_whole(url, tmp_path / "copy", truth)


def test_a_driver_killed_while_making_a_shard_loses_that_shard_alone(job, url, tmp_path, truth, driver):
    spec = job()
    set_faults(spec, {"at": "generate", "do": "die", "pair": 5, "times": 1})
    assert ended(driver(spec))[0] == 9
    assert fired(spec) == 1
    assert list(committed(ObjectStore(url))) == [0, 1]
    assert run_here(spec).made == 2
    check_whole(url, tmp_path / "copy", truth)


@pytest.mark.parametrize("key", ["data/train-00000-of-00001.parquet", "manifest.json"])
def test_a_driver_killed_while_finalising_is_continued(job, url, tmp_path, truth, driver, key):
    assert ended(driver(job(), "die", key))[0] == 9
    assert not ObjectStore(url).exists("_SUCCESS")
    assert not ObjectStore(url).exists(key)
    assert run_here(job()).made == 0
    check_whole(url, tmp_path / "copy", truth)


def test_the_commands_work_on_a_bucket(job, url, tmp_path, monkeypatch, capsys):
    for module in ("generate.job", "audit.reproduce"):
        monkeypatch.setattr(import_module(f"medim_forge.generator.{module}"), "Parts", lambda: PARTS)
    path = tmp_path / "job.yaml"
    path.write_text(to_yaml(job()).replace(url, "out/elsewhere"), encoding="utf-8")

    def medim(*arguments: object) -> tuple[object, str]:
        monkeypatch.setattr(sys, "argv", ["medim", *map(str, arguments)])
        with pytest.raises(SystemExit) as leaving:
            cli.main()
        captured = capsys.readouterr()
        return leaving.value.code, captured.out + captured.err

    code, said = medim("run", path, "--local", "--out", url)
    assert code == 0, said
    assert f" {url}/README.md\n" in said
    code, said = medim("status", url)
    assert (code, "4 of 4" in said, "finished" in said) == (0, True, True), said
    code, said = medim("verify", url)
    assert (code, "all as recorded" in said, "14 DICOM objects" in said) == (0, True, True), said
    pair_id = open_dataset(url)[0].pair_id
    code, said = medim("reproduce", url, pair_id)
    assert (code, "and 2 DICOM objects" in said) == (0, True), said
    code, said = medim("status", f"{url}x")
    assert (code, "plan.json: cannot be read" in said) == (1, True), said


def test_verify_finds_what_is_damaged_missing_or_strange_in_a_bucket(job, url):
    run_here(job())
    store, client = ObjectStore(url), object_client.ObjectClient(url)
    assert inspect(url).problems == ()
    folders = {index: f"shards/{record.run['folder']}" for index, record in committed(store).items()}
    client.put(f"{folders[0]}/pairs.parquet", b"PAR1")
    client.remove([f"{folders[1]}/_rejected.parquet"])
    client.put(f"{folders[2]}/unknown", b"")
    client.put("shards/000009-nobody-1-1-abc/leftover", b"")
    said = "\n".join(inspect(url).problems)
    for words in (
        "shards/000000/pairs.parquet: is not the file that was written (4 bytes",
        "shards/000001/_rejected.parquet: is missing",
        "shards/000002/unknown: is not in the manifest",
    ):
        assert words in said
    assert "leftover" not in said


def test_trainers_read_a_bucket_through_the_same_door_and_by_datasets(job, url, tmp_path):
    from datasets import load_dataset
    from torch.utils.data import DataLoader

    run_here(job())
    dataset = open_dataset(url)
    local = open_dataset(copied(url, tmp_path / "copy"))
    assert [row.pair_id for row in dataset.rows()] == [row.pair_id for row in local.rows()]
    assert pickle.loads(pickle.dumps(dataset))[3] == local[3]  # noqa: S301 - our own
    assert [row.png for row in dataset.rows()] == [row.png for row in local.rows()]
    loader = DataLoader(dataset, batch_size=2, num_workers=2, collate_fn=list)
    assert [row.png for batch in loader for row in batch] == [row.png for row in local.rows()]
    theirs = load_dataset("parquet", data_files=f"{url}/data/*.parquet", split="train", cache_dir=str(tmp_path / "hf"))
    assert [row["pair_id"] for row in theirs] == [row.pair_id for row in local.rows()]


def test_replicas_on_ray_commit_into_a_bucket_through_an_outage(job, url, tmp_path, truth, relay, ray_address):
    del ray_address
    told: list[JobEvent] = []

    def fail() -> None:
        relay.fail_until(lambda: relay.refused, 2.0, kill=False)

    run_job(job(replicas=2, max_retries=0), local=False, on_event=once_committed(0, fail, told), parts=PARTS)
    assert relay.refused
    assert sorted(event.record.index for event in told if event.record) == [0, 1, 2, 3]
    check_whole(url, tmp_path / "copy", truth)
