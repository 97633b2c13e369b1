"""Hostile checkpoint folders: the embedded one with a file changed, and `medim plan`, then the loading of a replica."""

from __future__ import annotations

import json
import os
import random
import shutil
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from benchmarks.fuzz_jobs import VALUES, WORD, Case, by_bytes, chosen, entries
from medim_forge.generator.cli.text import plan_text
from medim_forge.generator.jobspec import GenerateSpec, load_spec
from medim_forge.generator.replica.load import load_replica
from medim_forge.model.folders import EMBEDDED

_JOB = """\
kind: generate
name: hostile
date: 2026-11-23
task: joint
model: {checkpoint: checkpoint}
prompts: [{domain: chest_xray, pairs: 2}]
output: {dir: out}
"""
_WEIGHTS = ("backbone.safetensors", "image_tokenizer_0.safetensors", "image_tokenizer_1.safetensors")
_NAMES = (*_WEIGHTS, "config.json", "tokenizer.json", "card.json", "familiarity.json")
_JSON = tuple(value for value in VALUES if type(value) in (type(None), bool, int, float, str, list))


def cases(folder: Path, seed: int, count: int, only: str) -> Iterator[Case]:
    """`count` checkpoints of each kind of change; arguments as of `fuzz_jobs.cases`."""
    job, checkpoint = folder / "job.yaml", folder / "checkpoint"
    job.write_text(_JOB, encoding="utf-8")
    checkpoint.symlink_to(EMBEDDED["phantom"])
    loaded(job)  # what is imported first is no part of any case
    checkpoint.unlink()
    for kind, change in CHANGES.items():
        for number in chosen(kind, count, only):
            if checkpoint.is_dir():
                shutil.rmtree(checkpoint)
            checkpoint.unlink(missing_ok=True)
            checkpoint.mkdir()
            for name in _NAMES:
                (checkpoint / name).symlink_to(EMBEDDED["phantom"] / name)
            change(random.Random(f"{seed}/{kind}/{number}"), checkpoint)  # noqa: S311 - reproducible, not secret
            yield Case(kind=kind, number=number, run=lambda: loaded(job), names=("checkpoint",))


def loaded(job: Path) -> object:
    """What a worker holds once it has planned the job and loaded its weights."""
    spec = load_spec(job)
    assert isinstance(spec, GenerateSpec)
    plan_text(spec)
    return load_replica(spec)


def put(path: Path, content: bytes) -> None:
    """The file of a checkpoint holds something else."""
    path.unlink(missing_ok=True)
    path.write_bytes(content)


def texts(name: str) -> Callable[[random.Random, Path], None]:
    """How a file of JSON is changed: by bytes or by values."""

    def change(rng: random.Random, checkpoint: Path) -> None:
        content = (EMBEDDED["phantom"] / name).read_text(encoding="utf-8")
        if rng.random() < 0.3:
            put(checkpoint / name, by_bytes(rng, content, [content]))
            return
        values = json.loads(content)
        if rng.random() < 0.05:
            values = rng.choice(_JSON)
        for _ in range(rng.choice((1, 1, 1, 2)) if isinstance(values, dict) else 0):
            _exchange(rng, values)
        text = json.dumps(values, ensure_ascii=rng.random() < 0.5)
        if rng.random() < 0.1:
            deep = rng.choice(('{"a":', "[")) * 100_000
            text = rng.choice((deep, deep, "9" * 10_000, "{}", text + text, f"{text[:-2]},{text[1:]}"))
        put(checkpoint / name, text.encode(errors="surrogatepass"))

    return change


def _exchange(rng: random.Random, values: Any) -> None:
    """One value of a tree is another, or its key is gone or misspelt."""
    # Few of the many entries of long lists: what stands above them is met as often.
    holder, key = rng.choice([entry for entry in entries(values) if not isinstance(entry[1], int) or entry[1] < 2])
    alike = [value for value in _JSON if isinstance(value, type(holder[key]))]
    match rng.randrange(6):
        case 0 | 1 | 2 | 3:
            holder[key] = rng.choice(alike if alike and rng.random() < 0.7 else _JSON)
        case 4 if isinstance(holder, dict):
            holder[rng.choice((f"{key}s", WORD, "\x1b[2J", ""))] = holder.pop(key)
        case _:
            del holder[key]


def weights(rng: random.Random, checkpoint: Path) -> None:
    """A file of weights has another header, is cut short, or holds tensors that do not belong there."""
    path = checkpoint / rng.choice(_WEIGHTS)
    content = bytearray(path.read_bytes())
    (size,) = struct.unpack("<Q", content[:8])
    choice = rng.randrange(9)
    if choice < 4:
        put(path, _with_header(rng, content, size, choice))
        return
    tensors = load_file(path)
    name = rng.choice(sorted(tensors))
    tensor = tensors[name]
    match choice:
        case 4:
            tensors[name] = torch.full_like(tensor, rng.choice((np.nan, np.inf, -np.inf)))
        case 5:
            tensors[name] = tensor.to(rng.choice((torch.int64, torch.bool, torch.float64, torch.complex64)))
        case 6:
            tensors[name] = tensor.flatten()[: rng.randrange(1, 3)].clone()
        case 7:
            tensors[rng.choice(("new", "\x1b[2J", WORD))] = tensors.pop(name)
        case 8:
            tensors = {} if rng.random() < 0.3 else {name: tensor}
    path.unlink()
    save_file(tensors, path)


def _with_header(rng: random.Random, content: bytearray, size: int, choice: int) -> bytes:
    """The bytes of a file of weights, whose header is damaged or whose end is missing."""
    if choice == 0:
        content[:8] = struct.pack("<Q", rng.choice((0, 1, size - 1, size + 1, 2**32, 2**63, 2**64 - 1)))
    elif choice == 1:
        header = json.loads(content[8 : 8 + size])
        _exchange(rng, header)
        text = json.dumps(header).encode()
        return struct.pack("<Q", len(text)) + text + bytes(content[8 + size :])
    elif choice == 2:
        content[8 + rng.randrange(size)] = rng.randrange(256)
    else:
        del content[rng.choice((0, 4, 8, 8 + size // 2, 8 + size, len(content) - 1)) :]
    return bytes(content)


def files(rng: random.Random, checkpoint: Path) -> None:
    """A file is missing, of another kind, another file, or joined by what does not belong there."""
    path = checkpoint / rng.choice(_NAMES)
    match rng.randrange(9):
        case 0:
            path.unlink()
        case 1:
            path.unlink()
            path.mkdir()
        case 2:
            path.unlink()
            os.mkfifo(path)
        case 3:
            path.unlink()
            path.symlink_to(rng.choice((path.name, "nowhere", "/dev/zero", "/dev/null", "/proc/self/mem")))
        case 4:
            put(path, rng.choice((b"", b"\0" * 100, b"null", bytes(range(256)) * 8)))
        case 5:
            put(path, (EMBEDDED["phantom"] / rng.choice(_NAMES)).read_bytes())
        case 6:
            name = rng.choice(("../x", 1, "x\0", WORD, "gone", None, _WEIGHTS[1]))
            index = {"weight_map": rng.choice(({}, [], None, {"a": name}, {"a": name}, {"a": name}))}
            put(checkpoint / "backbone.safetensors.index.json", json.dumps(index).encode())
        case 7:
            put(checkpoint / "backbone.safetensors.index.json", rng.choice((b"", b"{", b"[]", b"[" * 50_000, b"\xff")))
        case _:
            shutil.rmtree(checkpoint)
            rng.choice((checkpoint.mkdir, checkpoint.touch, lambda: os.mkfifo(checkpoint)))()


CHANGES = {
    "config": texts("config.json"),
    "card": texts("card.json"),
    "tokenizer": texts("tokenizer.json"),
    "familiarity": texts("familiarity.json"),
    "weights": weights,
    "files": files,
}
