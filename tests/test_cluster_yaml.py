"""`cluster.yaml` and `docs/rayjob.yaml`: Ray's own validation, what it does not see, and mutants to be refused."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable
from typing import Any

import pytest
import yaml

# Reading the official weights from shared storage takes minutes; a node must not be given back meanwhile.
LOAD_MINUTES = 10


@pytest.fixture(scope="session")
def pinned(repository) -> str:
    (found,) = re.findall(r"^ray==(\S+)", (repository / "constraints.txt").read_text(), re.MULTILINE)
    return found


@pytest.fixture(scope="session")
def cluster(repository) -> dict[str, Any]:
    return yaml.safe_load((repository / "cluster.yaml").read_text())


def faults(cluster: dict[str, Any], pinned: str) -> list[str]:
    """What is wrong with a cluster file that Ray's schema would accept."""
    found = []
    types, head = cluster["available_node_types"], cluster["head_node_type"]
    workers = {name: kind for name, kind in types.items() if name != head}
    start = " ".join(command for command in cluster["head_start_ray_commands"] if "ray start" in command)
    checks = {
        "the image has another Ray than constraints.txt": f":{pinned}-" in cluster["docker"]["image"],
        "the head takes work": types[head]["resources"] == {"CPU": 0} and "--num-cpus=0" in start,
        "the groups are not gpu_ondemand and gpu_spot": set(workers) == {"gpu_ondemand", "gpu_spot"},
        "no on-demand node is always there": workers.get("gpu_ondemand", {}).get("min_workers", 0) >= 1,
        "spot nodes are always there": workers.get("gpu_spot", {}).get("min_workers", 1) == 0,
        "the spot group is not on the spot market": "spot" in str(workers.get("gpu_spot", {}).get("node_config")),
        "the groups may grow past max_workers": sum(kind["max_workers"] for kind in workers.values())
        <= cluster["max_workers"],
        "shared memory has no size": any(one.startswith("--shm-size=") for one in cluster["docker"]["run_options"]),
        "nodes are given back while weights are loaded": cluster["idle_timeout_minutes"] > LOAD_MINUTES,
        "the dashboard listens to the network": "--dashboard-host=127.0.0.1" in start and "0.0.0.0" not in str(cluster),  # noqa: S104 - it must not be there
        "packages are installed without their hashes": cluster["file_mounts"].get("/home/ray/medim/locks") == "./locks"
        and [one.rpartition("=1 ")[2] for one in cluster["setup_commands"] if "install" in one]
        == ["bash /home/ray/medim/locks/install python run"],
        "there is no token on one side": all(
            "RAY_AUTH_MODE=token" in command
            for side in ("head", "worker")
            for command in cluster[f"{side}_start_ray_commands"]
            if "ray start" in command
        ),
    }
    found += [fault for fault, fine in checks.items() if not fine]
    return found


def test_the_cluster_file_has_no_fault(cluster, pinned):
    assert faults(cluster, pinned) == []


def change(cluster: dict[str, Any], path: str, value: Any) -> None:
    *parents, last = path.split("/")
    for key in parents:
        cluster = cluster[key]
    cluster[last] = value


MUTANTS: list[tuple[str, Any, str]] = [
    ("docker/image", "rayproject/ray:2.59.0-py312-gpu", "another Ray"),
    ("available_node_types/head/resources", {}, "the head takes work"),
    ("available_node_types/gpu_ondemand/min_workers", 0, "no on-demand node"),
    ("available_node_types/gpu_spot/min_workers", 1, "spot nodes are always there"),
    ("available_node_types/gpu_spot/node_config", {"InstanceType": "g6e.4xlarge"}, "not on the spot market"),
    ("available_node_types/gpu_spot/max_workers", 99, "grow past max_workers"),
    ("docker/run_options", [], "shared memory"),
    ("idle_timeout_minutes", 5, "given back while weights"),
    ("head_start_ray_commands", ["ray start --head --num-cpus=0 --dashboard-host=0.0.0.0"], "listens to the network"),
    ("setup_commands", ["pip install -r /home/ray/medim/constraints.txt"], "without their hashes"),
    ("worker_start_ray_commands", ["ray start --address=$RAY_HEAD_IP:6379"], "no token on one side"),
]


@pytest.mark.parametrize(("path", "value", "fault"), MUTANTS, ids=[fault for _, _, fault in MUTANTS])
def test_each_of_our_checks_notices_its_fault(cluster, pinned, path, value, fault):
    mutant = copy.deepcopy(cluster)
    change(mutant, path, value)
    assert any(fault in one for one in faults(mutant, pinned))


def whole(cluster: dict[str, Any]) -> dict[str, Any]:
    """With the two keys that Ray itself adds before it validates."""
    return {**copy.deepcopy(cluster), "cluster_synced_files": [], "file_mounts_sync_continuously": False}


def typo_at_the_top(one: dict[str, Any]) -> None:
    one["max_wrkers"] = 3


def typo_in_a_node_type(one: dict[str, Any]) -> None:
    one["available_node_types"]["gpu_spot"]["min_wrkers"] = 0


def resource_as_text(one: dict[str, Any]) -> None:
    one["available_node_types"]["gpu_spot"]["resources"] = {"GPU": "one"}


def no_provider(one: dict[str, Any]) -> None:
    del one["provider"]


def unknown_head(one: dict[str, Any]) -> None:
    one["head_node_type"] = "haed"


def more_nodes_than_allowed(one: dict[str, Any]) -> None:
    one["available_node_types"]["gpu_ondemand"]["min_workers"] = one["max_workers"] + 1


BROKEN: list[Callable[[dict[str, Any]], None]] = [
    typo_at_the_top,
    typo_in_a_node_type,
    resource_as_text,
    no_provider,
    unknown_head,
    more_nodes_than_allowed,
]


@pytest.mark.slow
def test_rays_own_validation_accepts_the_file(cluster):
    from ray.autoscaler._private.util import validate_config

    validate_config(whole(cluster))


@pytest.mark.slow
@pytest.mark.parametrize("mutate", BROKEN, ids=lambda one: one.__name__)
def test_rays_own_validation_refuses_a_broken_copy(cluster, mutate):
    from ray.autoscaler._private.util import validate_config

    mutant = whole(cluster)
    mutate(mutant)
    with pytest.raises(Exception, match=r"."):
        validate_config(mutant)


def test_the_kubernetes_job_agrees_with_the_cluster_file(repository, cluster, pinned):
    manifest = yaml.safe_load((repository / "docs" / "rayjob.yaml").read_text())
    spec = manifest["spec"]
    ray = spec["rayClusterSpec"]
    assert (manifest["apiVersion"], manifest["kind"]) == ("ray.io/v1", "RayJob")
    assert ray["rayVersion"] == pinned
    assert ray["authOptions"] == {"mode": "token"}
    assert ray["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"
    assert "RAY_JOB_STOP_WAIT_TIME_S" in yaml.safe_load(spec["runtimeEnvYAML"])["env_vars"]
    assert ray["autoscalerOptions"]["idleTimeoutSeconds"] == cluster["idle_timeout_minutes"] * 60
    limits = {group["groupName"]: (group["minReplicas"], group["maxReplicas"]) for group in ray["workerGroupSpecs"]}
    types = cluster["available_node_types"]
    assert limits == {
        name.replace("_", "-"): (types[name]["min_workers"], types[name]["max_workers"])
        for name in ("gpu_ondemand", "gpu_spot")
    }
    containers = [
        container
        for group in (ray["headGroupSpec"], *ray["workerGroupSpecs"])
        for container in group["template"]["spec"]["containers"]
    ]
    for container in containers:
        assert {one["name"] for one in container["env"]} == {"RAY_AUTH_MODE", "RAY_AUTH_TOKEN"}
        assert f":{pinned}" in container["image"]
    out = re.search(r"--out (\S+)", spec["entrypoint"])
    assert out
    assert any(out[1].startswith(mount["mountPath"]) for mount in containers[0]["volumeMounts"])
    job = re.search(r"run (\S+)", spec["entrypoint"])
    assert job
    assert (repository / job[1]).exists()
