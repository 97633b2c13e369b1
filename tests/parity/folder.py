"""What a folder of golden files holds: one case per recorded answer, and an error for anything that nobody checks.

The kinds of files are listed in tests/parity/README.md.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

NOTES = ("README.md", "SHA256SUMS")


class GoldenError(ValueError):
    """A folder of golden files that cannot be checked as a whole."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """One recorded answer.

    Attributes:
        kind: which check it needs.
        name: which one it is.
        files: by role; every file of the folder is in some case.
        facts: what meta.json says about it.
    """

    kind: str
    name: str
    files: dict[str, Path]
    facts: dict[str, Any] = field(default_factory=dict)


def find_cases(folder: Path) -> list[Case]:
    """Every case of a folder.

    Raises:
        GoldenError: the folder is missing or empty, a file is of no known kind, or one lacks what belongs to it.
    """
    if not folder.is_dir():
        raise GoldenError(f"{folder} is not a folder of golden files")
    names = {path.name for path in folder.iterdir()}
    _check_sums(folder, names)
    meta = json.loads((folder / "meta.json").read_text()) if "meta.json" in names else {}
    kinds = (_networks, _trajectories, _losses, _trainings, _tables, _images)
    cases = [case for find in kinds for case in find(folder, names, meta)]
    if not cases:
        raise GoldenError(f"{folder} holds no golden file of a known kind; there is: {sorted(names)[:8]}")
    known = {path.name for case in cases for path in case.files.values()} | {"meta.json", *NOTES}
    if unknown := sorted(names - known):
        raise GoldenError(f"{folder}: nothing checks {', '.join(unknown)}; a known kind needs all its files")
    return cases


def _check_sums(folder: Path, names: set[str]) -> None:
    if "SHA256SUMS" not in names:
        return
    sums = dict(line.split("  ")[::-1] for line in (folder / "SHA256SUMS").read_text().splitlines())
    found = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in names - {"SHA256SUMS"}}
    if wrong := sorted(name for name in sums.keys() | found.keys() if sums.get(name) != found.get(name)):
        raise GoldenError(f"{folder}: not what SHA256SUMS says: {', '.join(wrong)}")


def _need(folder: Path, names: set[str], what: str, **files: str) -> dict[str, Path]:
    if absent := sorted(set(files.values()) - names):
        raise GoldenError(f"{folder}: {what} needs {', '.join(absent)}")
    return {role: folder / name for role, name in files.items()}


def _model_files(folder: Path, names: set[str], model: str, what: str) -> dict[str, Path]:
    meta = {} if model == "full" else {"meta": "meta.json"}
    return _need(folder, names, what, config=f"{model}_config.json", model=f"{model}_model.safetensors", **meta)


def _matching(names: set[str], pattern: str) -> list[str]:
    return sorted(found[1] for name in names if (found := re.fullmatch(pattern, name)))


def _networks(folder: Path, names: set[str], _meta: dict[str, Any]) -> list[Case]:
    cases = []
    for model in _matching(names, r"((?:tiny_\w+?|full))_io\.safetensors"):
        files = _model_files(folder, names, model, f"{model}_io")
        kind = "full" if model == "full" else "network"
        cases.append(Case(kind=kind, name=model, files={**files, "io": folder / f"{model}_io.safetensors"}))
    return cases


def _trajectories(folder: Path, names: set[str], meta: dict[str, Any]) -> list[Case]:
    known = {entry["name"]: entry for entry in meta.get("trajectories", [])}
    cases = []
    for name in _matching(names, r"traj_(\w+)\.safetensors"):
        if name not in known:
            raise GoldenError(f"{folder}: meta.json says nothing about traj_{name}.safetensors")
        files = _model_files(folder, names, known[name]["model"], f"traj_{name}")
        stored = folder / f"traj_{name}.safetensors"
        cases.append(Case(kind="trajectory", name=name, files={**files, "stored": stored}, facts=known[name]))
    return cases


def _losses(folder: Path, names: set[str], _meta: dict[str, Any]) -> list[Case]:
    return [_of_any_model(folder, names, "loss", name) for name in _matching(names, r"loss_(\w+)\.safetensors")]


def _trainings(folder: Path, names: set[str], _meta: dict[str, Any]) -> list[Case]:
    """The batch of a recorded gradient is that of a recorded loss: of its own name, or of any in the folder."""
    cases, losses = [], _matching(names, r"loss_(\w+)\.safetensors")
    for name in _matching(names, r"train_(\w+)\.safetensors"):
        case = _of_any_model(folder, names, "train", name)
        batches = sorted(losses, key=lambda loss, own=name: (loss != own, loss))  # type: ignore[misc]
        case.files.update({f"batch {loss}": folder / f"loss_{loss}.safetensors" for loss in batches})
        cases.append(case)
    return cases


def _of_any_model(folder: Path, names: set[str], kind: str, name: str) -> Case:
    """A recording that does not say which model it is of: any of the folder's tiny ones."""
    models = _matching(names, r"(tiny_\w+)_model\.safetensors")
    if not models:
        raise GoldenError(f"{folder}: {kind}_{name} needs a tiny_*_model.safetensors")
    files = {"stored": folder / f"{kind}_{name}.safetensors"}
    for model in models:
        own = _model_files(folder, names, model, f"{kind}_{name}")
        files |= {f"{role} {model}": path for role, path in own.items()} | {"meta": own["meta"]}
    return Case(kind=kind, name=name, files=files, facts={"models": models})


def _tables(folder: Path, names: set[str], _meta: dict[str, Any]) -> list[Case]:
    single = {
        "schedules.json": "schedules",
        "noise.safetensors": "noise",
        "official_rate.json": "rate",
        "medim_full_shapes.json": "backbone_shapes",
        "vqgan_full_shapes.json": "vqgan_shapes",
    }
    return [
        Case(kind=kind, name=kind, files={"stored": folder / name}) for name, kind in single.items() if name in names
    ]


def _images(folder: Path, names: set[str], _meta: dict[str, Any]) -> list[Case]:
    cases = []
    for weights in ("vqgan_tiny.safetensors", "vqgan_tiny.ckpt"):
        if weights in names:
            files = _need(folder, names, weights, io="vqgan_tiny_io.safetensors", yaml="vqgan_tiny.yaml")
            cases.append(Case(kind="vqgan", name=weights, files={**files, "weights": folder / weights}))
    for name in _matching(names, r"pre_(\w+?)(?<!_out512)\.png"):
        files = _need(folder, names, f"pre_{name}", out=f"pre_{name}_out512.png", sums="preprocess.safetensors")
        cases.append(Case(kind="preprocess", name=name, files={**files, "image": folder / f"pre_{name}.png"}))
    return cases
