"""`cluster.yaml`: what Ray's own validation does not see, and that validation."""

from __future__ import annotations

import copy
import re

import pytest
import yaml


@pytest.fixture(scope="session")
def cluster(repository):
    return yaml.safe_load((repository / "cluster.yaml").read_text())


def test_ray_of_the_image_is_the_pinned_one(cluster, repository):
    (pinned,) = re.findall(r"^ray==(\S+)", (repository / "constraints.txt").read_text(), re.MULTILINE)
    assert f":{pinned}-" in cluster["docker"]["image"]


def test_head_runs_no_work(cluster):
    head = cluster["available_node_types"][cluster["head_node_type"]]
    assert head["resources"] == {"CPU": 0}
    assert any("--num-cpus=0" in command for command in cluster["head_start_ray_commands"])


def test_there_are_gpu_groups_and_one_node_is_always_there(cluster):
    workers = {
        name: kind for name, kind in cluster["available_node_types"].items() if name != cluster["head_node_type"]
    }
    assert set(workers) == {"gpu_ondemand", "gpu_spot"}
    assert workers["gpu_ondemand"]["min_workers"] >= 1
    assert workers["gpu_spot"]["min_workers"] == 0
    assert sum(kind["max_workers"] for kind in workers.values()) <= cluster["max_workers"]


def test_dashboard_listens_on_loopback_and_wants_a_token(cluster):
    (start,) = (command for command in cluster["head_start_ray_commands"] if "ray start" in command)
    assert "--dashboard-host=127.0.0.1" in start
    assert "RAY_AUTH_MODE=token" in start
    assert "0.0.0.0" not in str(cluster)  # noqa: S104 - the address must not be there


def test_shared_memory_is_set(cluster):
    assert any(option.startswith("--shm-size=") for option in cluster["docker"]["run_options"])


@pytest.mark.slow
def test_ray_accepts_the_file_and_refuses_a_typo(cluster):
    from ray.autoscaler._private.util import validate_config

    # Ray itself adds these two before it validates.
    whole = {**cluster, "cluster_synced_files": [], "file_mounts_sync_continuously": False}
    validate_config(whole)
    broken = copy.deepcopy(whole)
    broken["available_node_types"]["gpu_spot"]["min_wrkers"] = 0
    with pytest.raises(Exception, match="min_wrkers"):
        validate_config(broken)
