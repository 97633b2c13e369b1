"""What a dataset's folder holds, on a file system or in an object store, and who may write there.

A `Store` knows how files and commits work in one kind of place; the functions here know what they mean. Names of files
are POSIX paths relative to the dataset, the same in every kind of place: `shards/000042/pairs.parquet`.
"""

from __future__ import annotations

import os
import re
import secrets
import socket
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import asdict
from pathlib import Path
from typing import Protocol

from medim_forge.generator.files import Handle
from medim_forge.generator.records import Counts, FileRecord, ShardRecord
from medim_forge.generator.store.documents import explained, sealed_text, unsealed

RECORD = "_shard.json"
SUCCESS = "_SUCCESS"
# What a command on the whole dataset is about to do, for as long as it has not done it.
PENDING = "_pending.json"
# The folders of a dataset: what was made, what is chosen from it, later rounds, and DICOM of pairs that came back.
FOLDERS = ("shards", "data", "rounds", "restored")
_SPACE_OF_THE_MACHINE = 0xEFFFFFFC  # what Linux numbers the first process namespace


class Store(Protocol):
    """A place for one dataset. `str()` is what people call it; it can be sent to another process.

    Every method raises `StoreError` where the place cannot be used, and the reading ones `OSError` where a file is
    missing or cannot be read.
    """

    def read(self, name: str) -> bytes:
        """The content of a file."""

    def handle(self, name: str) -> Handle:
        """A path or an open file that the file is read from."""

    def handles(self, names: Iterable[str]) -> Iterator[Handle]:
        """What several files are read from, in order; the next ones may be on their way already."""

    def exists(self, name: str) -> bool:
        """Whether there is such a file."""

    def size(self, name: str) -> int:
        """Bytes of a file."""

    def files(self, place: str) -> list[str]:
        """The files below a folder, sorted; of shards, those that are committed."""

    def prepare(self) -> list[str]:
        """The place can take a dataset. Folders of one that are there already without a `spec.yaml` are named."""

    def create(self, name: str, content: str) -> None:
        """The file exists and is complete: with `content`, or with what was there first."""

    def draft(self, name: str) -> AbstractContextManager[Path]:
        """Inside, a file to write; afterwards it is there under its name at once and whole."""

    def mark(self, name: str) -> None:
        """The empty file is there."""

    def remove(self, name: str) -> None:
        """The file is gone."""

    def lock(self, command: str, *, wait: bool) -> AbstractContextManager[None]:
        """Inside, no other command is at work on the whole dataset.

        Args:
            command: what it is, for others.
            wait: whether to wait for one that is at work, instead of refusing.

        Raises:
            StoreError: another one is at work; says which, where.
        """

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


def shard_name(index: int) -> str:
    """The folder of a shard, as files are named."""
    return f"shards/{index:06d}"


def shard_folder(out: Path, index: int) -> Path:
    """Where a shard lies on a file system once it is committed."""
    return out / shard_name(index)


def host_name() -> str:
    """This machine, in letters that attempt names can hold.

    Containers may share a name and not their processes, so one with process numbers of its own has a name of its own.
    """
    name, space = re.sub(r"[^A-Za-z0-9.]", "_", socket.gethostname()), process_space()
    return name if space in (None, _SPACE_OF_THE_MACHINE) else f"{name}.{space:x}"


def process_space() -> int | None:
    """The number of the namespace that this process's number is of; None where the system has none."""
    try:
        return Path("/proc/self/ns/pid").stat().st_ino
    except OSError:
        return None


def attempt_name(index: int, attempt: int) -> str:
    """A name that no other attempt has: `<shard>-<host>-<process>-<attempt>-<random>`."""
    return f"{index:06d}-{host_name()}-{process_name()}-{attempt}-{secrets.token_hex(4)}"


def process_name() -> str:
    """This process, in letters that attempt names can hold: its number, and when it started on which boot.

    The number alone is given to another process later. Where the system does not tell the rest, it stands alone.
    """
    number = os.getpid()
    return ".".join([str(number), *process_start(number)])


def process_start(number: int) -> tuple[str, ...]:
    """When a process of this host started, and the boot; empty where there is none, or nobody tells."""
    try:
        fields = Path(f"/proc/{number}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").replace("-", "")[:8]
        return fields[19], boot
    except (OSError, IndexError):
        return ()


def process_lives(name: str) -> bool:
    """Whether a process of this host that called itself so by `process_name` is still there."""
    number, *start = name.split(".")
    try:
        os.kill(int(number), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # another user's
    now = process_start(int(number))
    return not start or not now or tuple(start) == now


def record_text(record: ShardRecord) -> str:
    """What `_shard.json` holds."""
    values = asdict(record)
    counts = {name: count for name, count in values.pop("counts").items() if name != "shards"}
    files, run = values.pop("files"), values.pop("run")
    return sealed_text({**values, **counts, "files": files, "run": run})


def parse_record(read: Callable[[], bytes], where: str) -> ShardRecord:
    """What a committed shard says about itself.

    Args:
        read: gives the content of `_shard.json`.
        where: the shard's folder, for errors.

    Raises:
        StoreError: `_shard.json` is missing or broken.
    """
    with explained(f"{where}/{RECORD}", f"Delete {where} and run again to remake it."):
        values = unsealed(read())
        files = tuple(FileRecord(**file) for file in values.pop("files"))
        names = ("pairs", "kept", "dropped", "quarantined", "rejects")
        counts = Counts(shards=1, **{name: values.pop(name) for name in names})
        return ShardRecord(**values, counts=counts, files=files)
