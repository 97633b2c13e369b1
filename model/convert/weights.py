"""Weights as others save them: one file or several, safetensors or pickle, read a tensor at a time.

Every tensor is read from a file that is opened for it and closed after it, so that the pages of a file that was mapped
into memory never add up. Pickles are loaded as plain tensors only (`weights_only`), never as code.
"""

from __future__ import annotations

import hashlib
import pickle
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from medim_forge.model.checkpoint import CheckpointError
from medim_forge.model.checkpoint.tensors import Stored, WeightsError, indexed_files, opened, read_index, stored_tensors

PICKLES = (".bin", ".pt", ".pth", ".ckpt")
INDEXES = ("model.safetensors.index.json", "pytorch_model.bin.index.json")
# A pickle is parsed anew for every tensor, so that its pages are given back; a small one is kept instead.
SMALL_PICKLE = 1 << 30
FLOATS = (torch.float32, torch.float16, torch.bfloat16)


@dataclass(frozen=True, kw_only=True)
class Weights:
    """The tensors of one or more weight files.

    Attributes:
        files: sorted.
        tensors: by stored name.
    """

    files: tuple[Path, ...]
    tensors: Mapping[str, Stored]
    _kept: dict[Path, dict[str, Tensor]] = field(default_factory=dict, repr=False, compare=False)

    def read(self, name: str) -> Tensor:
        """The value of a stored name, on the CPU.

        Raises:
            CheckpointError: it cannot be read any more.
        """
        path = self.tensors[name].file
        if path.suffix in PICKLES:
            loaded = self._kept.get(path) or load_pickle(path)
            if path.stat().st_size <= SMALL_PICKLE:
                self._kept[path] = loaded
            return loaded[name].contiguous()
        try:
            with opened(path) as file:
                value: Tensor = file.get_tensor(name)
                return value
        except WeightsError as error:
            raise CheckpointError(str(error)) from error

    def digests(self) -> list[dict[str, object]]:
        """Name, size and sha256 of every file."""
        return [digest(path) for path in self.files]


def digest(path: Path) -> dict[str, object]:
    """Name, size and sha256 of a file."""
    with path.open("rb") as stream:
        found = hashlib.file_digest(stream, "sha256").hexdigest()
    return {"file": path.name, "bytes": path.stat().st_size, "sha256": found}


def open_weights(path: Path, what: str) -> Weights:
    """What the weight files of a path hold; no value is read yet.

    Args:
        path: a weight file, an index of some, or a folder of the official code.
        what: what to call it in errors.

    Raises:
        CheckpointError: there are no weight files, one is damaged, or two of them hold the same tensor.
    """
    tensors: dict[str, Stored] = {}
    try:
        files, index = _files(path, what)
        for file in files:
            for name, stored in _tensors(file).items():
                if name in tensors:
                    raise CheckpointError(f"{what}: {name} is in {tensors[name].file.name} and in {file.name}")
                tensors[name] = stored
        if index is not None and (absent := sorted(set(read_index(index)) ^ set(tensors))):
            raise CheckpointError(f"{what}: {index} and its files disagree about {', '.join(absent[:5])}")
    except WeightsError as error:
        raise CheckpointError(f"{what}: {error}") from error
    odd = [f"{name} ({stored.dtype})" for name, stored in tensors.items() if stored.dtype not in FLOATS]
    if odd:
        raise CheckpointError(f"{what}: {', '.join(odd[:5])}: weights must be float32, float16 or bfloat16")
    return Weights(files=tuple(files), tensors=tensors)


def _files(path: Path, what: str) -> tuple[list[Path], Path | None]:
    """The weight files of a path, and their index if they have one."""
    if path.is_file():
        if path.name.endswith(".index.json"):
            return indexed_files(path), path
        if path.suffix not in (".safetensors", *PICKLES):
            raise CheckpointError(f"{what}: {path} is no weight file; give .safetensors, {', '.join(PICKLES)}")
        return [path], None
    if not path.is_dir():
        raise CheckpointError(f"{what}: {path} does not exist")
    if (path / "config.json").is_file() and any(path.glob("backbone*.safetensors")):
        raise CheckpointError(f"{what}: {path} is a checkpoint of this project already; use it as model.checkpoint")
    for single, index in (("model*.safetensors", INDEXES[0]), ("pytorch_model*.bin", INDEXES[1])):
        if (path / index).is_file():
            return indexed_files(path / index), path / index
        if found := sorted(path.glob(single)):
            return found, None
    inner = sorted(entry.name for entry in path.iterdir() if entry.is_dir() and entry.name.startswith("checkpoint"))
    hint = f"; it has the folders {', '.join(inner)}: give one of them" if inner else ""
    there = ", ".join(sorted(entry.name for entry in path.iterdir())[:8]) or "nothing"
    raise CheckpointError(
        f"{what}: {path} holds neither model.safetensors nor pytorch_model*.bin (nor an index of several){hint}. "
        f"There is: {there}"
    )


def _tensors(path: Path) -> dict[str, Stored]:
    if path.suffix not in PICKLES:
        return stored_tensors(path)
    return {
        name: Stored(file=path, shape=tuple(value.shape), dtype=value.dtype)
        for name, value in load_pickle(path).items()
    }


def load_pickle(path: Path) -> dict[str, Tensor]:
    """The tensors of a pickled state dict, mapped from the file where its format allows it.

    A mapping may hold them under `state_dict`; what stands beside it is ignored.

    Raises:
        CheckpointError: it is damaged, or holds anything but plain values and tensors.
    """
    try:
        # torch before 1.6 wrote another format, which cannot be mapped: it is loaded whole.
        loaded: Any = torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except (pickle.UnpicklingError, EOFError, RuntimeError, ValueError, KeyError, OSError) as error:
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise CheckpointError(
            f"{path} cannot be read as plain tensors ({first}); if the file is whole, it holds more than tensors: save "
            "its state dict as safetensors where you trust it"
        ) from error
    if isinstance(loaded, Mapping) and isinstance(loaded.get("state_dict"), Mapping):
        loaded = loaded["state_dict"]
    if not isinstance(loaded, Mapping) or not loaded:
        raise CheckpointError(f"{path} holds no state dict but {type(loaded).__name__}")
    return dict(_only_tensors(loaded, path))


def _only_tensors(loaded: Mapping[Any, Any], path: Path) -> Iterable[tuple[str, Tensor]]:
    for name, value in loaded.items():
        if not isinstance(name, str) or not isinstance(value, Tensor):
            raise CheckpointError(f"{path}: {name!r} is {type(value).__name__}, not a tensor; is it a state dict?")
        yield name, value
