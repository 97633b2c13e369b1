"""`ray job submit` against a real local head with token authentication: submit, look, stop, resume, nothing left."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from medim_forge.generator.audit.verify import verify

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def processes_naming(text):
    """Pids whose command line or environment names our temporary folder: this head's, and nobody else's."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            with contextlib.suppress(OSError):
                if text.encode() in (entry / "cmdline").read_bytes() + (entry / "environ").read_bytes():
                    found.append(int(entry.name))
    return found


@pytest.fixture
def head():
    folder = tempfile.mkdtemp(prefix="mt-", dir="/tmp")
    ports = {"gcs": free_port(), "dashboard": free_port(), "client": free_port(), "agent": free_port()}
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": "f" * 64,
        "RAY_USAGE_STATS_ENABLED": "0",
        "MEDIM_TEST_HEAD": folder,
    }
    command = [
        *(str(Path(sys.executable).parent / "ray"), "start", "--head", "--disable-usage-stats", "--num-cpus=2"),
        *("--node-ip-address=127.0.0.1", f"--port={ports['gcs']}", f"--dashboard-port={ports['dashboard']}"),
        *(f"--ray-client-server-port={ports['client']}", f"--dashboard-agent-listen-port={ports['agent']}"),
        *("--dashboard-host=127.0.0.1", "--include-dashboard=true", f"--temp-dir={folder}"),
        f"--object-store-memory={100 * 2**20}",
    ]
    try:
        subprocess.run(command, env=environment, check=True, capture_output=True, text=True, timeout=180)
        yield f"http://127.0.0.1:{ports['dashboard']}", environment
    finally:
        for signalled in (signal.SIGTERM, signal.SIGKILL):
            for pid in processes_naming(folder):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signalled)
            time.sleep(1)
        shutil.rmtree(folder, ignore_errors=True)


class Submissions:
    """The command line of a user who submits from a working copy."""

    def __init__(self, head: tuple[str, dict[str, str]], work: Path) -> None:
        self.address, self.environment = head
        self.work = work

    def ray(self, *words: str) -> tuple[int, str]:
        """Exit code and output of `ray job ...`."""
        command = [str(Path(sys.executable).parent / "ray"), "job", *words]
        done = subprocess.run(
            command, cwd=self.work, env=self.environment, capture_output=True, text=True, timeout=500, check=False
        )
        return done.returncode, done.stdout + done.stderr

    def submit(self, *more: str, options: Sequence[str] = ()) -> tuple[int, str]:
        """Submits the job as docs/running.md says, and waits unless told otherwise."""
        grace = json.dumps({"env_vars": {"RAY_JOB_STOP_WAIT_TIME_S": "100"}})
        entry = ["python", "-m", "generator", "run", "jobs/quickstart.yaml", *more]
        return self.ray(
            *("submit", "--address", self.address, "--working-dir", ".", "--runtime-env-json", grace, *options),
            *("--", *entry),
        )

    def details(self, submission: str) -> dict[str, Any]:
        """What the head says about a job, asked for with the token."""
        request = urllib.request.Request(  # noqa: S310 - loopback
            f"{self.address}/api/jobs/{submission}",
            headers={"Authorization": f"Bearer {self.environment['RAY_AUTH_TOKEN']}"},
        )
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310 - loopback
            found: dict[str, Any] = json.load(answer)
        return found


@pytest.fixture
def work(tmp_path, repository):
    """A working copy with the parts that a job needs, and a quickstart of four shards."""
    folder = tmp_path / "work"
    for name in ("generator", "jobs", "medim_forge", "model"):
        shutil.copytree(repository / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(repository / ".rayignore", folder)
    job = yaml.safe_load((repository / "jobs" / "quickstart.yaml").read_text(encoding="utf-8"))
    job["prompts"] = [{**prompt, "pairs": 16} for prompt in job["prompts"]]
    job["compute"]["replicas"] = 1
    (folder / "jobs" / "quickstart.yaml").write_text(yaml.safe_dump(job), encoding="utf-8")
    return folder


def test_a_submitted_job_is_followed_stopped_resumed_and_then_has_nothing_to_do(head, work, tmp_path, repository):
    user, out = Submissions(head, work), tmp_path / "dataset"
    planned = subprocess.run(
        [sys.executable, "-m", "generator", "plan", "jobs/quickstart.yaml", "--metadata", "--out", str(out)],
        cwd=work, capture_output=True, text=True, check=True,
    )  # fmt: skip
    name = "medim-first"
    options = ["--no-wait", "--submission-id", name, "--metadata-json", planned.stdout.strip()]
    code, said = user.submit("--out", str(out), options=options)
    assert code == 0, said
    for _ in range(600):
        if list(out.glob("shards/*/_shard.json")):
            break
        time.sleep(0.5)
    address = ("--address", user.address)
    code, said = user.ray("status", *address, name)
    assert "RUNNING" in said, said
    code, said = user.ray("stop", *address, name)
    assert code == 0, said
    status = user.details(name)
    assert status["status"] == "STOPPED", status
    spec_sha256 = json.loads((out / "plan.json").read_text(encoding="utf-8"))["spec_sha256"]
    assert status["metadata"] == {"job": "quickstart", "spec_sha256": spec_sha256, "output_dir": str(out)}
    code, said = user.ray("logs", *address, name)
    assert "stopped on SIGTERM" in said, said
    there = len(list(out.glob("shards/*/_shard.json")))
    assert 1 <= there < 4, "the stop must come mid-run"
    assert not (out / "_SUCCESS").exists()
    assert {path.name for path in (out / "shards").iterdir()} == {f"{index:06d}" for index in range(there)}

    code, said = user.submit("--out", str(out))
    assert code == 0, said
    assert f"{4 - there} made now" in said
    assert (out / "_SUCCESS").exists(), said
    assert verify(out).problems == ()
    stamps = {path: path.stat().st_mtime_ns for path in (out / "shards").rglob("*")}

    code, said = user.submit("--out", str(out))
    assert code == 0, said
    assert "nothing was left to do" in said
    assert {path: path.stat().st_mtime_ns for path in (out / "shards").rglob("*")} == stamps


def test_the_upload_is_small_and_holds_what_the_job_needs(repository, tmp_path, monkeypatch):
    from ray._private.runtime_env.packaging import create_package

    package = tmp_path / "package.zip"
    create_package(str(repository), package, include_gitignore=True, excludes=[])
    names = set(zipfile.ZipFile(package).namelist())
    assert {"generator/__main__.py", "model/weights/phantom/backbone.safetensors", "jobs/quickstart.yaml"} <= names
    left_out = ("tests/", "docs/", "out/", ".venv/", ".git/", "benchmarks/", "locks/")
    assert not [name for name in names if name.startswith(left_out)]
    assert package.stat().st_size < 20e6
