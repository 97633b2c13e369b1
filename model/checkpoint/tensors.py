"""Weights on disk: one safetensors file, or several with an index; written and read a tensor at a time.

Names are those of the Hugging Face convention: `<stem>.safetensors`, or `<stem>-00001-of-00003.safetensors` and so on
with `<stem>.safetensors.index.json`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from medim_forge.model.quoting import shown
from medim_forge.model.strict_json import JsonError, read_mapping

FILE_BYTES = 1 << 30
DTYPES: Mapping[str, torch.dtype] = {
    "F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16,
    "I64": torch.int64, "I32": torch.int32, "I16": torch.int16, "I8": torch.int8, "U8": torch.uint8, "BOOL": torch.bool,
}  # fmt: skip


class WeightsError(ValueError):
    """A weight file that is missing, cut short, or not what its index says."""


@dataclass(frozen=True, kw_only=True)
class Stored:
    """A tensor on disk.

    Attributes:
        file: where.
        shape: its sizes.
        dtype: its type.
    """

    file: Path
    shape: tuple[int, ...]
    dtype: torch.dtype

    @property
    def numel(self) -> int:
        """How many values it has."""
        return int(torch.Size(self.shape).numel())


def index_name(stem: str) -> str:
    """The name of the index of several files."""
    return f"{stem}.safetensors.index.json"


def weight_files(folder: Path, stem: str) -> list[Path]:
    """The files that hold the weights of `stem`, the index apart.

    Raises:
        WeightsError: there are none, or the index is damaged.
    """
    index, single = folder / index_name(stem), folder / f"{stem}.safetensors"
    if index.is_file():
        return indexed_files(index)
    if not single.is_file():
        raise WeightsError(f"{single} is missing")
    return [single]


def indexed_files(index: Path) -> list[Path]:
    """The files that an index names, each once, sorted.

    Raises:
        WeightsError: the index is damaged, or one of them is missing.
    """
    files = sorted({index.parent / name for name in read_index(index).values()})
    if absent := [path.name for path in files if not path.is_file()]:
        raise WeightsError(f"{index} names {absent[0]}, which is missing; get all files of the checkpoint")
    return files


def read_index(index: Path) -> Mapping[str, str]:
    """File by tensor name, as an index says.

    Raises:
        WeightsError: it is damaged.
    """
    try:
        files = read_mapping(index).get("weight_map")
    except JsonError as error:
        raise WeightsError(f"{index} is no index of weight files ({error}); is the file whole?") from error
    names = files.values() if isinstance(files, dict) else ()
    if not names or not all(isinstance(name, str) and _in_folder(name) for name in names):
        raise WeightsError(f"{index} is no index of weight files: weight_map must name files of the same folder")
    assert isinstance(files, dict)
    return files


def _in_folder(name: str) -> bool:
    """Whether a name is that of a file beside the index, and of no hidden one."""
    return name.isprintable() and "/" not in name and not name.startswith(".") and 0 < len(name.encode()) < 256


def stored_tensors(path: Path) -> dict[str, Stored]:
    """What a safetensors file holds, by name; no value is read.

    Raises:
        WeightsError: it cannot be read.
    """
    with readable(path), opened(path) as file:
        slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
        unknown = {name: part.get_dtype() for name, part in slices.items() if part.get_dtype() not in DTYPES}
        if unknown:
            name, dtype = next(iter(unknown.items()))
            raise WeightsError(f"{path}: {name} is of type {dtype}, which no weight of this model has")
        return {
            name: Stored(file=path, shape=tuple(part.get_shape()), dtype=DTYPES[part.get_dtype()])
            for name, part in slices.items()
        }


def opened(path: Path, device: torch.device | str = "cpu") -> Any:
    """An open safetensors file, as a context.

    Raises:
        WeightsError: it cannot be read.
    """
    with readable(path):
        return safe_open(path, framework="pt", device=str(device))


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """What the library finds wrong with a file is an error that names it.

    Raises:
        WeightsError: it cannot be read.
    """
    try:
        yield
    except SafetensorError as error:
        said = shown(error).removeprefix("Error while deserializing header: ")
        raise WeightsError(f"{path} cannot be read ({said}); is the file whole?") from error
    except OSError as error:
        said = error.strerror or shown(error).partition(" (os error")[0]
        raise WeightsError(f"{path} cannot be read ({said}); is the file whole?") from error


def read_tensors(path: Path, device: torch.device | str = "cpu") -> Iterator[tuple[str, Tensor]]:
    """Name and value of every tensor of a safetensors file, one after the other.

    Raises:
        WeightsError: one cannot be read.
    """
    with readable(path), opened(path, device) as file:
        for name in file.keys():  # noqa: SIM118 - not a mapping
            yield name, file.get_tensor(name)


def misfits(wanted: Mapping[str, tuple[int, ...]], stored: Mapping[str, tuple[int, ...]]) -> list[str]:
    """What is missing, unexpected or of another shape among stored tensors."""
    problems = [f"{name} is missing" for name in wanted if name not in stored]
    problems += [f"{shown(name)} is not a tensor of this model" for name in stored if name not in wanted]
    problems += [
        f"{name} is {stored[name]}, config says {shape}"
        for name, shape in wanted.items()
        if name in stored and stored[name] != shape
    ]
    return problems


def listed(problems: Sequence[str]) -> str:
    """The first problems, and how many more there are."""
    more = f" (and {len(problems) - 5} more)" if len(problems) > 5 else ""
    return f"{'; '.join(problems[:5])}{more}"


def write_tensors(
    folder: Path,
    stem: str,
    sizes: Mapping[str, int],
    tensor: Callable[[str], Tensor],
    file_bytes: int = FILE_BYTES,
) -> list[Path]:
    """The tensors lie in the folder, in one file, or in several with an index; never more than one file's in memory.

    Args:
        folder: where.
        stem: how the files begin.
        sizes: bytes by tensor name, in the order in which they are written.
        tensor: the value of a name, asked for once.
        file_bytes: how large a file may grow; a larger tensor has a file of its own.

    Returns:
        The weight files.
    """
    groups = _groups(sizes, file_bytes)
    if len(groups) == 1:
        path = folder / f"{stem}.safetensors"
        _save(path, groups[0], tensor)
        return [path]
    files, where = [], {}
    for number, names in enumerate(groups, start=1):
        path = folder / f"{stem}-{number:05d}-of-{len(groups):05d}.safetensors"
        _save(path, names, tensor)
        where.update(dict.fromkeys(names, path.name))
        files.append(path)
    index = {"metadata": {"total_size": sum(sizes.values())}, "weight_map": where}
    (folder / index_name(stem)).write_text(json.dumps(index, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    return files


def _save(path: Path, names: Sequence[str], tensor: Callable[[str], Tensor]) -> None:
    save_file({name: tensor(name) for name in names}, path, metadata={"format": "pt"})
    # The library keeps what it writes to the owner; weights are read by whoever runs a replica.
    path.chmod(0o644)


def _groups(sizes: Mapping[str, int], limit: int) -> Sequence[Sequence[str]]:
    groups: list[list[str]] = [[]]
    filled = 0
    for name, size in sizes.items():
        if groups[-1] and filled + size > limit:
            groups.append([])
            filled = 0
        groups[-1].append(name)
        filled += size
    return groups
