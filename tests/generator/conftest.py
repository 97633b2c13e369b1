"""Job files for the tests of the factory, and the Ray that they share."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from medim_forge.generator.jobspec.generate import GenerateSpec
from medim_forge.generator.jobspec.load import parse_spec
from tests.doubles.object_server import BUCKET, KEYS, NO_OTHERS, Relay, s3_server

# A process keeps the first token that Ray reads, so every Ray started in this one has to have the same.
RAY_TOKEN = "1" * 64


@pytest.fixture(scope="module")
def ray_address(repository: Path) -> Iterator[str]:
    """A Ray in this process whose workers find the tests; drivers in other processes can join it with its token."""
    import ray

    folder = tempfile.mkdtemp(prefix="mt-", dir="/tmp")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(repository))
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("RAY_AUTH_TOKEN", RAY_TOKEN)
        options = {"include_dashboard": False, "log_to_driver": False, "_temp_dir": folder}
        ray.init(address="local", num_cpus=4, object_store_memory=100 * 2**20, **options)
        yield ray.get_runtime_context().gcs_address
        ray.shutdown()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def job() -> Callable[..., dict[str, Any]]:
    """The values of a small joint job; keyword arguments replace its keys."""

    def make(**changes: Any) -> dict[str, Any]:
        values = {
            "kind": "generate",
            "name": "small",
            "seed": 7,
            "date": "2026-11-23",
            "task": "joint",
            "prompts": [{"domain": "chest_xray", "pairs": 5}, {"domain": "pathology", "pairs": 3}],
            "compute": {"pairs_per_shard": 3},
            "output": {"dir": "out/small"},
        }
        return {key: value for key, value in {**values, **changes}.items() if value is not None}

    return make


@pytest.fixture
def spec(job) -> Callable[..., GenerateSpec]:
    """A small joint job; keyword arguments replace its keys."""

    def make(**changes: Any) -> GenerateSpec:
        made = parse_spec(job(**changes), source="jobs/small.yaml")
        assert isinstance(made, GenerateSpec)
        return made

    return make


@pytest.fixture(scope="module")
def relay() -> Iterator[Relay]:
    """A relay before an S3 server with one empty bucket; this process and those it starts go there for `s3://`."""
    with s3_server() as port, pytest.MonkeyPatch.context() as patch:
        made = Relay(port)
        for key, value in {**KEYS, **NO_OTHERS, "AWS_ENDPOINT_URL": f"http://127.0.0.1:{made.port}"}.items():
            patch.setenv(key, value)
        import fsspec

        fsspec.filesystem("s3", skip_instance_cache=True).mkdir(BUCKET)
        yield made
        made.kill()


@pytest.fixture
def url(relay: Relay, request: pytest.FixtureRequest) -> str:
    """A prefix of the bucket that no other test uses."""
    del relay
    return f"s3://{BUCKET}/{hashlib.sha256(request.node.nodeid.encode()).hexdigest()[:12]}/out"
