"""`ray job submit` against a real local head with token authentication: submit, find the dataset, submit again."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
import yaml

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


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


def test_a_submitted_job_makes_its_dataset_and_a_second_one_finds_nothing_to_do(head, tmp_path, repository):
    address, environment = head
    work = tmp_path / "work"
    for name in ("generator", "model", "jobs"):
        shutil.copytree(repository / name, work / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(repository / ".rayignore", work)
    job = yaml.safe_load((repository / "jobs" / "quickstart.yaml").read_text(encoding="utf-8"))
    job["prompts"] = [{**one, "pairs": 8} for one in job["prompts"]]
    (work / "jobs" / "quickstart.yaml").write_text(yaml.safe_dump(job), encoding="utf-8")
    out = tmp_path / "dataset"

    def submit(*more):
        entry = ["python", "-m", "generator", "run", "jobs/quickstart.yaml", *more]
        command = [
            str(Path(sys.executable).parent / "ray"),
            "job",
            "submit",
            "--address",
            address,
            "--working-dir",
            ".",
        ]
        done = subprocess.run(
            [*command, "--", *entry],
            cwd=work,
            env=environment,
            capture_output=True,
            text=True,
            timeout=400,
            check=False,
        )
        return done.returncode, done.stdout + done.stderr

    code, said = submit("--out", str(out))
    assert code == 0, said
    assert (out / "_SUCCESS").exists(), said
    assert len(list((out / "shards").iterdir())) == 2
    stamps = {path: path.stat().st_mtime_ns for path in (out / "shards").rglob("*")}

    code, said = submit("--out", str(out))
    assert code == 0, said
    assert "nothing was left to do" in said
    assert {path: path.stat().st_mtime_ns for path in (out / "shards").rglob("*")} == stamps

    code, said = submit()
    assert code != 0
    assert "would be lost with the working copy" in " ".join(said.split())
