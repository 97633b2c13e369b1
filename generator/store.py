"""What a dataset's folder holds, on a file system or in an object store, and who may write there.

A `Store` knows how files and commits work in one kind of place; the functions here know what they mean. Names of files
are POSIX paths relative to the dataset, the same in every kind of place: `shards/000042/pairs.parquet`.
"""

from __future__ import annotations

import io
import json
import os
import re
import secrets
import socket
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

from generator.errors import SpecError, StoreError
from generator.records import FileRecord, ShardRecord
from generator.spec import GenerateSpec, parse_spec, to_yaml
from generator.spec_sections import is_url
from generator.spec_yaml import parse_yaml

RECORD = "_shard.json"
SUCCESS = "_SUCCESS"

# What Parquet and DICOM are read from: a path, or a file that is open already.
Source = Path | io.IOBase


class Store(Protocol):
    """A place for one dataset. `str()` is what people call it; it can be sent to another process.

    Every method raises `StoreError` where the place cannot be used, and the reading ones `OSError` where a file is
    missing or cannot be read.
    """

    def read(self, name: str) -> bytes:
        """The content of a file."""

    def source(self, name: str) -> Source:
        """What a file is read from."""

    def sources(self, names: Iterable[str]) -> Iterator[Source]:
        """What files are read from, one after the other; the next ones may be on their way already."""

    def exists(self, name: str) -> bool:
        """Whether there is such a file."""

    def files(self, place: str) -> list[str]:
        """The files below a folder, sorted; of shards, those that are committed."""

    def prepare(self) -> list[str]:
        """The place can take a dataset; what of one is there already, though it has no `spec.yaml`."""

    def create(self, name: str, content: str) -> None:
        """The file exists and is complete: with `content`, or with what was there first."""

    def draft(self, name: str) -> AbstractContextManager[Path]:
        """Inside, a file to write; afterwards it is there under its name at once and whole."""

    def mark(self, name: str) -> None:
        """The empty file is there."""

    def remove(self, name: str) -> None:
        """The file is gone."""

    def replace_folder(self, name: str, made: Path) -> None:
        """The folder is the one that was made in an attempt, and nothing is left of an earlier one."""

    def new_attempt(self, index: int, attempt: int) -> Path:
        """An empty local folder that nobody else writes to."""

    def commit(self, folder: Path, record: ShardRecord) -> bool:
        """The shard is committed: by this attempt, or by one that came first (False, nothing is left of this one)."""

    def record(self, index: int) -> ShardRecord:
        """What a committed shard says about itself; `StoreError` if it is missing or broken."""

    def records(self, indices: Iterable[int]) -> Iterator[ShardRecord]:
        """What committed shards say about themselves, in order; the next ones may be on their way already."""

    def committed(self) -> Iterator[ShardRecord]:
        """The records of the committed shards in order, never all of them in memory.

        `StoreError` if one is found to be damaged at a quick look.
        """

    def sweep(self, deadline_s: float) -> list[str]:
        """What attempts left behind that nobody can still use is gone; names of attempts, sorted.

        Args:
            deadline_s: after which an attempt counts as hung.
        """

    def tidy(self) -> None:
        """Nothing is left that only running jobs need."""


def store_at(place: Path | str | Store) -> Store:
    """The store of a folder, or of `s3://bucket/prefix`.

    Raises:
        StoreError: another kind of URL.
    """
    if not isinstance(place, Path | str):
        return place
    if isinstance(place, str) and is_url(place):
        if not place.startswith("s3://"):
            raise StoreError(f"{place}: is neither a folder nor s3://bucket/prefix; S3 is the one protocol.")
        from generator.store_object import ObjectStore

        return ObjectStore(place)
    from generator.store_local import LocalStore

    return LocalStore(Path(place))


def committed(place: Path | str | Store) -> dict[int, ShardRecord]:
    """The committed shards of a dataset by index, in order.

    Raises:
        StoreError: a committed shard is damaged.
    """
    return {record.index: record for record in store_at(place).committed()}


def shard_name(index: int) -> str:
    """The folder of a shard, as files are named."""
    return f"shards/{index:06d}"


def shard_folder(out: Path, index: int) -> Path:
    """Where a shard lies on a file system once it is committed."""
    return out / shard_name(index)


def host_name() -> str:
    """This machine, in letters that attempt names can hold."""
    return re.sub(r"[^A-Za-z0-9.]", "_", socket.gethostname())


def attempt_name(index: int, attempt: int) -> str:
    """A name that no other attempt has: `<shard>-<host>-<pid>-<attempt>-<random>`."""
    return f"{index:06d}-{host_name()}-{os.getpid()}-{attempt}-{secrets.token_hex(4)}"


def open_dataset(store: Store, spec: GenerateSpec, plan: Mapping[str, Any]) -> None:
    """The place holds `spec.yaml` and `plan.json`, and they agree with this job.

    Args:
        store: of the dataset.
        spec: the job; what its digest covers must agree.
        plan: what `plan.json` holds; all of it must agree.

    Raises:
        StoreError: the place cannot be written, or was made from another spec, other weights or other inputs.
    """
    strangers = store.prepare()
    if strangers:
        raise StoreError(
            f"{store}: holds {' and '.join(strangers)} but no spec.yaml, so nobody can tell what made them. "
            "Give another folder with --out, or put spec.yaml back."
        )
    store.create("spec.yaml", to_yaml(spec))
    store.create("plan.json", _json(plan))
    _refuse(store, "spec.yaml is of another spec", differences(read_spec(store).fixed(), spec.fixed()))
    check_plan(store, plan)


def check_plan(store: Store, plan: Mapping[str, Any]) -> None:
    """The dataset's `plan.json` agrees with this plan.

    Raises:
        StoreError: it does not, naming what differs: weights first, for all else may follow from them.
    """
    found = differences(read_plan(store), plan)
    weights = [one for one in found if one.startswith("model_sha256:")]
    _refuse(store, "plan.json is of other weights", weights)
    _refuse(store, "plan.json is of other inputs or library versions", found)


def read_spec(store: Store) -> GenerateSpec:
    """The job that made the dataset.

    Raises:
        StoreError: `spec.yaml` is missing, unreadable, or of another kind of job.
    """
    source = f"{store}/spec.yaml"
    try:
        spec = parse_spec(parse_yaml(store.read("spec.yaml"), source), source=source)
    except (OSError, SpecError) as error:
        raise StoreError(f"{store}: is not a dataset of this version: {error}") from error
    if not isinstance(spec, GenerateSpec):
        raise StoreError(f"{source}: kind = {spec.kind}, not generate. Give the folder of a generate job.")
    return spec


def read_plan(store: Store) -> dict[str, Any]:
    """What `plan.json` holds.

    Raises:
        StoreError: it is missing or not a JSON mapping.
    """
    path = f"{store}/plan.json"
    try:
        plan = json.loads(store.read("plan.json"))
    except (OSError, ValueError) as error:
        raise StoreError(
            f"{path}: cannot be read ({error}). Is {store} the output folder of a generate job?"
        ) from error
    if not isinstance(plan, dict):
        raise StoreError(f"{path}: holds {type(plan).__name__}, not a mapping. Put the job's plan.json back.")
    return plan


def record_text(record: ShardRecord) -> str:
    """What `_shard.json` holds."""
    return _json(asdict(record))


def parse_record(read: Callable[[], bytes], where: str) -> ShardRecord:
    """What a committed shard says about itself.

    Args:
        read: gives the content of `_shard.json`.
        where: the shard's folder, for errors.

    Raises:
        StoreError: `_shard.json` is missing or broken.
    """
    try:
        values = json.loads(read())
        files = tuple(FileRecord(**one) for one in values.pop("files"))
        return ShardRecord(**values, files=files)
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise StoreError(
            f"{where}/{RECORD}: cannot be read ({error!r}). Delete {where} and run again to remake it."
        ) from error


def differences(old: Mapping[str, Any], new: Mapping[str, Any], prefix: str = "") -> list[str]:
    """`dotted.key: old -> new` for every leaf that differs, sorted by key."""
    found = []
    for key in sorted({*old, *new}):
        before, after = old.get(key), new.get(key)
        if isinstance(before, Mapping) and isinstance(after, Mapping):
            found += differences(before, after, f"{prefix}{key}.")
        elif before != after:
            found.append(f"{prefix}{key}: {before!r} -> {after!r}")
    return found


def _refuse(store: Store, what: str, found: list[str]) -> None:
    if found:
        policy = all(one.startswith(("filters:", "balance")) for one in found)
        hint = " `medim refilter` puts other filters and quotas in force without making pairs." if policy else ""
        raise StoreError(
            f"{store}: {what} than this job; different: {'; '.join(found)}. "
            f"Give this job a folder of its own with --out, or put back what has changed.{hint}"
        )


def _json(value: Mapping[str, Any]) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
