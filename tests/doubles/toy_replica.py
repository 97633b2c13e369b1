"""A replica of numpy alone, which does what a fault file tells it: the tests of executors need no network.

Its checkpoint is a folder: `weights` (any bytes, hashed into `model_sha256`) and, optionally, `faults.json`: a list of
`{"at": "load" | "generate" | "write", "do": ..., "pair": index, "times": count}`. Without `pair` it concerns every
pair, without `times` it always fires. Every firing leaves a file `fired-*` there, so that a test can prove it.
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import json
import os
import resource
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from medim_forge.generator.contracts import Writer
from medim_forge.generator.domains import facts_of
from medim_forge.generator.errors import RowError
from medim_forge.generator.jobspec.generate import GenerateSpec
from medim_forge.generator.jobspec.load import parse_spec
from medim_forge.generator.phantoms import DOMAINS as DRAWN
from medim_forge.generator.phantoms import draw
from medim_forge.generator.records import (
    Domain,
    FileRecord,
    Judged,
    Pair,
    PairRequest,
    Quarantined,
    ReplicaFacts,
    Shard,
)
from medim_forge.generator.shards.worker import Parts
from medim_forge.generator.writers import build_writers

PARTS = Parts(
    facts="tests.doubles.toy_replica:toy_facts",
    replica="tests.doubles.toy_replica:load_toy",
    writers="tests.doubles.toy_replica:toy_writers",
)

SHUFFLING = replace(PARTS, replica="tests.doubles.toy_replica:load_shuffling")


def toy_job(folder: Path, checkpoint: Path | None = None, **changes: Any) -> GenerateSpec:
    """A job of 8 pairs in shards of 2 below `folder`; `changes` replace keys, those of `compute` one by one."""
    checkpoint = checkpoint or folder / "checkpoint"
    checkpoint.mkdir(parents=True, exist_ok=True)
    if not (checkpoint / "weights").exists():
        (checkpoint / "weights").write_text("toy")
    compute = {"pairs_per_shard": 2, "max_retries": 1, **changes.pop("compute", {})}
    values = {
        "kind": "generate",
        "name": "toy",
        "seed": 11,
        "date": "2026-11-23",
        "task": "joint",
        "model": {"checkpoint": str(checkpoint)},
        "prompts": [{"domain": "chest_xray", "pairs": 5}, {"domain": "pathology", "pairs": 3}],
        "filters": [{"name": "image_stats"}, {"name": "agreement", "drop_below": -0.75}],
        "compute": compute,
        "output": {"dir": str(folder / "out"), "dicom": None},
        **changes,
    }
    spec = parse_spec(values, source="toy.yaml")
    assert isinstance(spec, GenerateSpec)
    return spec


def set_faults(spec: GenerateSpec, *faults: dict[str, Any]) -> None:
    """From now on these faults happen, and no others; what fired before is forgotten."""
    folder = Path(spec.model.checkpoint)
    for one in folder.glob("fired-*"):
        one.unlink()
    (folder / "faults.json").write_text(json.dumps(faults))


def fired(spec: GenerateSpec) -> int:
    """How often faults fired."""
    return len(list(Path(spec.model.checkpoint).glob("fired-*")))


def content_of(out: Path) -> dict[str, str]:
    """sha256 of everything in a dataset that promise 1 covers, by path; `run` parts left out."""
    found = {}
    for path in sorted(one for one in out.rglob("*") if one.is_file() and ".tmp" not in one.parts):
        name, content = path.relative_to(out).as_posix(), path.read_bytes()
        if path.name in ("_shard.json", "manifest.json"):
            values = json.loads(content)
            del values["run"], values["sha256"]
            # Files may differ in `run` only, which the manifest does not hash; spec.yaml holds the output folder.
            values["files"] = [one for one in values["files"] if one["path"] != "spec.yaml"]
            content = json.dumps(values).encode()
        if name != "spec.yaml":
            found[name] = hashlib.sha256(content).hexdigest()
    return found


def toy_facts(spec: GenerateSpec) -> ReplicaFacts:
    """What the toy is: its weights, and no versions."""
    weights = (Path(spec.model.checkpoint) / "weights").read_bytes()
    return ReplicaFacts(model_sha256=hashlib.sha256(weights).hexdigest(), device="toy", versions={"toy": "1"})


@functools.cache
def phantom_report(domain: Domain, seed: int) -> str:
    """The report of a phantom, which is drawn once however often a test runs the same job."""
    return draw(domain, seed).report


class ToyReplica:
    """Makes noise images and phantom reports, each from the seed of its pair."""

    def __init__(self, spec: GenerateSpec) -> None:
        self.facts = toy_facts(spec)
        self._spec = spec
        self._weights = int(self.facts.model_sha256[:8], 16)

    def generate(self, shard: Shard) -> list[Pair]:
        for request in shard.requests:
            misbehave(self._spec, "generate", request)
        return [self.make(request) for request in shard.requests]

    def make(self, request: PairRequest) -> Pair:
        random = np.random.default_rng([request.seed, self._weights])
        domain = request.prompt.domain
        shape = (16, 16, 3) if facts_of(domain).colour else (16, 16)
        return Pair(
            request=request,
            image=random.integers(0, 256, shape, dtype=np.uint8),
            image_codes=random.integers(0, 64, 4, dtype=np.int32),
            report=request.given_report or _words(request),
            prompt_chars=len(request.prompt.text),
            report_logprob=-1.0,
            image_logprob=-2.0,
            agreement=float(random.uniform(-1, 1)),
            embedding=np.zeros(4, dtype=np.float16),
        )


def _words(request: PairRequest) -> str:
    """A report: a phantom's, or the prompt and words of no meaning where no phantoms are drawn of the domain."""
    domain, prompt = request.prompt.domain, request.prompt.text
    if domain in DRAWN:
        return phantom_report(domain, request.seed)
    return f"{prompt} Image number {request.pair_index} is unremarkable. Impression: Nothing to report.".strip()


class ShufflingToy(ToyReplica):
    """The toy, which also says what pairs would agree if they were mismatched."""

    def shuffled(self, pairs: Sequence[Pair], others: Sequence[Pair]) -> list[float]:
        return [
            float(np.random.default_rng([pair.request.seed, other.request.seed]).uniform(-1, 1))
            for pair, other in zip(pairs, others, strict=True)
        ]


class FaultyWriter:
    """Comes after the real writers, when all files lie in the folder and nothing is committed."""

    def __init__(self, spec: GenerateSpec) -> None:
        self._spec = spec

    def write(
        self, folder: Path, shard: Shard, judged: Sequence[Judged], quarantined: Sequence[Quarantined]
    ) -> list[FileRecord]:
        for one in judged:
            misbehave(self._spec, "write", one.pair.request)
        return []


def load_toy(spec: GenerateSpec) -> ToyReplica:
    misbehave(spec, "load", None)
    return ToyReplica(spec)


def load_shuffling(spec: GenerateSpec) -> ShufflingToy:
    return ShufflingToy(spec)


def toy_writers(spec: GenerateSpec, facts: ReplicaFacts) -> list[Writer]:
    return [*build_writers(spec, facts), FaultyWriter(spec)]


def misbehave(spec: GenerateSpec, at: str, request: PairRequest | None) -> None:
    """The faults of this place and pair happen."""
    folder = Path(spec.model.checkpoint)
    path = folder / "faults.json"
    faults = json.loads(path.read_text()) if path.exists() else []
    for number, fault in enumerate(faults):
        if fault["at"] != at or (request and fault.get("pair", request.pair_index) != request.pair_index):
            continue
        count = len(list(folder.glob(f"fired-{number}-*")))
        if count >= fault.get("times", 10**9):
            continue
        (folder / f"fired-{number}-{count}-{os.getpid()}").touch()
        _act(fault, request, folder)


def _act(fault: dict[str, Any], request: PairRequest | None, folder: Path) -> None:
    match fault["do"]:
        case "raise":
            raise ValueError(f"the toy cannot digest this: {object()}")
        case "row":
            assert request is not None
            raise RowError(request.pair_id, "logits are NaN")
        case "memory":
            raise MemoryError("no room for 3 GiB")
        case "die":
            os._exit(9)
        case "crash":
            ctypes.string_at(0)
        case "limit":
            resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
        case _:
            _linger(fault, folder)


def _linger(fault: dict[str, Any], folder: Path) -> None:
    match fault["do"]:
        case "hang":
            time.sleep(3600)
        case "sleep":
            time.sleep(fault["seconds"])
        case "wait":
            _until((folder / "go").exists, 600)
        case "meet":
            _until(lambda: len(list(Path(fault["folder"]).glob("fired-*"))) >= fault["count"], 60)


def _until(happened: Callable[[], bool], seconds: float) -> None:
    end = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < end, "what was waited for did not come"
        time.sleep(0.02)
