"""The faults. Each function makes a fault, and says what it left behind and which rows may be missing because of it.

The first line of a docstring is the scenario's row in the table of docs/running.md.
"""

from __future__ import annotations

import signal
import subprocess
import threading
from pathlib import Path

import pytest

from medim_forge.generator.errors import QuarantineError, StoreError
from medim_forge.generator.events import JobEvent
from medim_forge.generator.jobspec.generate import GenerateSpec
from medim_forge.generator.store.protocol import SUCCESS
from tests.chaos.lab import Ending, Lab, Scenarios, killed
from tests.doubles.pairs import committed
from tests.doubles.ray_driver import said_until_a_commit
from tests.doubles.toy_replica import set_faults


def actor_dies_while_generating(lab: Lab) -> tuple[GenerateSpec, Ending]:
    """a replica's process dies while it generates"""
    spec = lab.job("generate", {"at": "generate", "do": "die", "pair": 5, "times": 1})
    lab.run(spec)
    assert int(committed(lab.folder / "generate")[2].run["attempt"]) >= 2
    return spec, Ending(trace=lab.heard("ReplicaDied"))


def actor_dies_before_its_commit(lab: Lab) -> tuple[GenerateSpec, Ending]:
    """a replica's process dies when all files are written, before the commit"""
    spec = lab.job("commit", {"at": "write", "do": "die", "pair": 3, "times": 1})
    lab.run(spec)
    assert int(committed(lab.folder / "commit")[1].run["attempt"]) >= 2
    return spec, Ending(trace=lab.heard("ReplicaDied"))


def actor_dies_with_two_shards(lab: Lab) -> tuple[GenerateSpec, Ending]:
    """a replica that has two shards in flight dies"""
    spec = lab.job(
        "pair", {"at": "write", "do": "die", "pair": 2, "times": 1}, replicas=1, gpus_per_replica=1.0, max_retries=0
    )
    with lab.gpu_node(gpus=1):
        lab.run(spec)
    deaths = [message for message in lab.said if "ReplicaDied" in message]
    assert len(deaths) == 2, "both shards in flight go down with their replica"
    return spec, Ending(trace=f"{len(deaths)} shards: {deaths[0]}")


def node_is_lost(lab: Lab) -> tuple[GenerateSpec, Ending]:
    """a node is taken away while its replica generates"""
    spec = lab.job("node", {"at": "generate", "do": "hang", "pair": 2, "times": 1})
    thief = threading.Thread(target=lambda: lab.lose_node_of(lab.first_fire()))
    thief.start()
    lab.run(spec)
    thief.join()
    nodes = len(lab.nodes)
    lab.have_nodes(2)
    assert nodes == 1
    return spec, Ending(trace=lab.heard("ReplicaDied"))


def node_joins(lab: Lab) -> tuple[GenerateSpec, Ending]:
    """a node joins mid-job, and gets the replica that had no place"""
    lab.have_nodes(1)
    spec = lab.job("join", *({"at": "generate", "do": "wait", "pair": pair} for pair in range(2, 12)))
    alive: list[int] = []

    def on_event(event: JobEvent) -> None:
        alive.append(event.replicas)
        if event.kind == "committed" and len(lab.nodes) == 1:
            lab.have_nodes(2)

    watcher = lab.go_when(workers=2)
    lab.run(spec, on_event)
    watcher.join()
    return spec, Ending(trace=f"replicas alive at each event: {', '.join(map(str, alive))}" if 2 in alive else "")


def driver_is_killed(lab: Lab) -> tuple[GenerateSpec, Ending]:
    """the driver gets SIGKILL mid-run, and the command is run again"""
    spec = lab.job("driver", {"at": "generate", "do": "hang", "pair": 9})
    process = lab.driver(spec)
    said_until_a_commit(process)
    code = killed(process)
    there = len(committed(lab.folder / "driver"))
    assert code == -signal.SIGKILL
    assert 1 <= there <= 5
    assert not (lab.folder / "driver" / SUCCESS).exists()
    set_faults(spec)
    lab.run(spec)
    return spec, Ending(trace=f"driver ended with {code}, {there} of 6 shards committed")


def two_drivers(lab: Lab) -> tuple[GenerateSpec, Ending]:
    """two drivers make the same dataset in the same folder at the same time"""
    spec = lab.job("two", {"at": "write", "do": "sleep", "seconds": 0.5}, replicas=1)
    rival = lab.driver(spec)
    lab.run(spec)
    said, _ = rival.communicate(timeout=60)
    assert rival.returncode == 0, said
    notes = [line for line in [*lab.said, *said.splitlines()] if "had been committed meanwhile" in line]
    assert not any("bytes differ" in note for note in notes)
    return spec, Ending(trace=notes[0] if notes else "")


def shard_hangs(lab: Lab) -> tuple[GenerateSpec, Ending]:
    """a shard hangs, and meets its deadline"""
    spec = lab.job("hang", {"at": "generate", "do": "hang", "pair": 2, "times": 1}, shard_deadline_s=4.0)
    lab.run(spec)
    return spec, Ending(trace=lab.heard("ShardHung"))


def failing_row(lab: Lab) -> tuple[GenerateSpec, Ending]:
    """a row raises whenever it is made"""
    spec = lab.job("failing", {"at": "generate", "do": "raise", "pair": 4}, max_retries=0)
    with pytest.raises(QuarantineError) as caught:
        lab.run(spec)
    return spec, Ending(
        trace=str(caught.value).partition(": ")[2], missing={4: "ValueError: the toy cannot digest this"}, success=False
    )


def deadly_row(lab: Lab) -> tuple[GenerateSpec, Ending]:
    """a row crashes its process (segmentation fault) whenever it is made"""
    spec = lab.job("deadly", {"at": "generate", "do": "crash", "pair": 7}, max_retries=0, max_quarantined=1)
    lab.run(spec)
    deaths = sum("ReplicaDied" in message for message in lab.said)
    # Whole once, alone twice.
    assert deaths == len(lab.fires()) == 3
    return spec, Ending(trace=f"{deaths} times {lab.heard('ReplicaDied')}", missing={7: "ReplicaDied"})


def disk_is_full(lab: Lab) -> tuple[GenerateSpec, Ending]:
    """the disk fills up; it gets room, and the command is run again"""
    spec = lab.job("full", replicas=1)
    out = lab.folder / "full"
    out.mkdir()
    small = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={room_for(lab, shards=2.5)}k", "tmpfs", str(out)],
        check=False,
        capture_output=True,
    )
    if small.returncode:
        # No right to mount: a limit on file sizes is the next best full disk.
        set_faults(spec, {"at": "generate", "do": "limit", "pair": 6})
    with pytest.raises(StoreError) as caught:
        lab.run(spec)
    there = len(committed(out))
    assert 0 < there < 6
    if small.returncode:
        set_faults(spec)
        lab.run(spec)
    else:
        lab.heard("shard 0")
        subprocess.run(["mount", "-o", "remount,size=64m", str(out)], check=True)
        lab.run(spec)
        unmounted(out)
    return spec, Ending(trace=f"{there} of 6 shards committed, then: {str(caught.value).replace(f'{lab.folder}/', '')}")


def room_for(lab: Lab, shards: float) -> int:
    """KiB that so many shards take on a file system of 4 KiB pages, and what lies beside them."""
    pages = sum(-(-path.stat().st_size // 4096) + 1 for path in (lab.folder / "truth/shards/000000").rglob("*"))
    return int(4 * pages * shards) + 64


def unmounted(folder: Path) -> None:
    """What lay on the small disk lies in the folder itself."""
    copy = folder.with_name("copy")
    subprocess.run(["cp", "-a", str(folder), str(copy)], check=True)
    subprocess.run(["umount", str(folder)], check=True)
    folder.rmdir()
    copy.rename(folder)


def disk_is_slow(lab: Lab) -> tuple[GenerateSpec, Ending]:
    """every file takes long to write"""
    spec = lab.job("slow", {"at": "write", "do": "sleep", "seconds": 0.6})
    lab.run(spec)
    seconds = [float(record.run["seconds"]) for record in committed(lab.folder / "slow").values()]
    assert min(seconds) >= 1.2
    return spec, Ending(trace=f"{len(lab.fires())} writes held up, fastest shard {min(seconds):.1f} s")


SCENARIOS: Scenarios = (
    actor_dies_while_generating,
    actor_dies_before_its_commit,
    actor_dies_with_two_shards,
    node_is_lost,
    node_joins,
    driver_is_killed,
    two_drivers,
    shard_hangs,
    failing_row,
    deadly_row,
    disk_is_full,
    disk_is_slow,
)
