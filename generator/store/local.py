"""A dataset in a folder that all machines see: one shard, one temporary folder, one rename.

    <out>/spec.yaml plan.json                                what the dataset is; later runs must agree
    <out>/.tmp/000042-<host>-<pid>-<attempt>-<random>/       an attempt, seen by nobody
    <out>/shards/000042/                                     a committed shard, complete and on disk, with `_shard.json`

The first commit of a shard wins. A worker that outlives its driver may still commit: its bytes are the same.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
import shutil
import stat
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from medim_forge.generator.errors import StoreError
from medim_forge.generator.records import ShardRecord
from medim_forge.generator.store.disk import NO_ROOM, sync, write_once, writing
from medim_forge.generator.store.protocol import (
    FOLDERS,
    RECORD,
    attempt_name,
    host_name,
    parse_record,
    process_lives,
    record_text,
    shard_folder,
)

_TEMPORARY = ".tmp"
_HOLDER = "holder"
_WAIT = "Wait until it has ended, then run this again."
_SHARD_NAME = re.compile(r"\d{6,}")


@dataclass(frozen=True)
class LocalStore:
    """A dataset on a file system; see `medim_forge.generator.store.protocol.Store`.

    Args:
        out: its folder.
    """

    out: Path

    def __str__(self) -> str:
        return str(self.out)

    def read(self, name: str) -> bytes:
        """The content of a file."""
        return (self.out / name).read_bytes()

    def handle(self, name: str) -> Path:
        """The path of a file."""
        return self.out / name

    def handles(self, names: Iterable[str]) -> Iterator[Path]:
        """The paths of several files, in order."""
        return (self.out / name for name in names)

    def exists(self, name: str) -> bool:
        """Whether there is such a file."""
        return (self.out / name).is_file()

    def size(self, name: str) -> int:
        """Bytes of a file; `IsADirectoryError` where a folder stands in its place."""
        status = (self.out / name).stat()
        if stat.S_ISDIR(status.st_mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), name)
        return status.st_size

    def files(self, place: str) -> list[str]:
        """The files below a folder, sorted."""
        paths = (path for path in (self.out / place).rglob("*") if path.is_file())
        return sorted(path.relative_to(self.out).as_posix() for path in paths)

    def prepare(self) -> list[str]:
        """The folder can take a dataset. Folders of one that are there already without a `spec.yaml` are named."""
        with writing(self.out):
            (self.out / _TEMPORARY).mkdir(parents=True, exist_ok=True)
            unclaimed = [name for name in FOLDERS if (self.out / name).exists()]
            return [] if (self.out / "spec.yaml").exists() else unclaimed

    def create(self, name: str, content: str) -> None:
        """The file exists and is complete: with `content`, or with what was there first."""
        drafts = self.new_attempt(0, 0)
        try:
            with writing(self.out):
                (self.out / name).parent.mkdir(exist_ok=True)
                write_once(self.out / name, content, drafts)
                sync(self.out)
        finally:
            shutil.rmtree(drafts, ignore_errors=True)

    @contextlib.contextmanager
    def draft(self, name: str) -> Iterator[Path]:
        """Inside, a file to write; afterwards it is there under its name at once and whole, and on disk."""
        folder = self.new_attempt(0, 0)
        try:
            draft = folder / Path(name).name
            with writing(self.out, only=NO_ROOM):
                yield draft
            with writing(self.out):
                sync(draft)
                draft.replace(self.out / name)
                sync((self.out / name).parent)
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def mark(self, name: str) -> None:
        """The empty file is there, and on disk."""
        with writing(self.out):
            (self.out / name).touch()
            sync(self.out)

    def remove(self, name: str) -> None:
        """The file is gone, on disk too."""
        with writing(self.out):
            (self.out / name).unlink(missing_ok=True)
            sync(self.out)

    @contextlib.contextmanager
    def lock(self, command: str, *, wait: bool) -> Iterator[None]:
        """Inside, no other command is at work on the whole dataset; the system frees it when this process dies.

        `spec.yaml` is locked, which every dataset has and nobody rewrites. Another file says who holds the lock, and is
        read for the error of others alone.
        """
        holder = self.out / _TEMPORARY / _HOLDER
        with writing(self.out):
            locked = (self.out / "spec.yaml").open("r+b")
        with locked:
            with writing(self.out):
                try:
                    fcntl.flock(locked, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
                except BlockingIOError as error:
                    raise _held(self.out, holder) from error
                holder.parent.mkdir(exist_ok=True)
                holder.write_text(f"`medim {command}` on {host_name()}, process {os.getpid()},", encoding="utf-8")
            try:
                yield
            finally:
                holder.unlink(missing_ok=True)
                self.tidy()

    def replace_folder(self, name: str, made: Path) -> None:
        """The folder is the one that was made, and nothing is left of an earlier one; an empty one is not there."""
        target = self.out / name
        with writing(self.out):
            if target.exists():
                target.rename(made.with_name("replaced"))
            if any(made.iterdir()):
                made.rename(target)
            sync(self.out)

    def new_attempt(self, index: int, attempt: int) -> Path:
        """An empty folder that nobody else writes to, on the file system of the dataset."""
        folder = self.out / _TEMPORARY / attempt_name(index, attempt)
        with writing(self.out):
            folder.mkdir(parents=True)
        return folder

    def commit(self, folder: Path, record: ShardRecord) -> bool:
        """The shard is committed and on disk: by this attempt, or by an earlier one (False, this one is gone)."""
        target = shard_folder(self.out, record.index)
        with writing(self.out):
            (folder / RECORD).write_text(record_text(record), encoding="utf-8")
            for parent, _, names in os.walk(folder, topdown=False):
                for name in names:
                    sync(Path(parent, name))
                sync(Path(parent))
            target.parent.mkdir(exist_ok=True)
            try:
                folder.rename(target)
            except OSError as error:
                if error.errno not in {errno.ENOTEMPTY, errno.EEXIST}:
                    raise
                shutil.rmtree(folder)
                return False
            sync(target.parent)
        return True

    def record(self, index: int) -> ShardRecord:
        """What a committed shard says about itself."""
        folder = shard_folder(self.out, index)
        if not (folder / RECORD).is_file():
            raise StoreError(f"{folder}: shard {index} is not committed; `medim run` makes what is missing")
        return parse_record((folder / RECORD).read_bytes, where=str(folder))

    def records(self, indices: Iterable[int]) -> Iterator[ShardRecord]:
        """What committed shards say about themselves, one at a time."""
        return (self.record(index) for index in indices)

    def committed(self) -> Iterator[ShardRecord]:
        """The records of the committed shards in order, one in memory at a time.

        The check is cheap, so that resuming a large job takes seconds: every record parses and the shard's tables have
        their size. `medim verify` hashes everything.
        """
        folders = [path for path in (self.out / "shards").glob("*") if _SHARD_NAME.fullmatch(path.name)]
        for folder in sorted(folders, key=lambda path: int(path.name)):
            record = parse_record((folder / RECORD).read_bytes, where=str(folder))
            _check(folder, record)
            yield record

    def sweep(self, deadline_s: float) -> list[str]:
        """Temporary folders that nobody can still be writing are gone; their names, sorted.

        A worker may outlive its driver and still commit. So on this host a folder goes when its process is dead, which
        a later process of the same number does not hide, and one of another host when nothing in it has changed for two
        deadlines (one, and as much again for clocks that disagree).
        """
        removed = []
        for folder in sorted((self.out / _TEMPORARY).glob("*-*-*-*-*")):
            owner, process = folder.name.split("-")[1:3]
            if process_lives(process) if owner == host_name() else _age_s(folder) < 2 * deadline_s:
                continue
            shutil.rmtree(folder, ignore_errors=True)
            removed.append(folder.name)
        return removed

    def tidy(self) -> None:
        """The folder for attempts is gone, unless somebody is still writing there."""
        with contextlib.suppress(OSError):
            (self.out / _TEMPORARY).rmdir()


def _check(folder: Path, record: ShardRecord) -> None:
    """A committed shard looks whole: its number is that of its folder, and its tables have their sizes.

    Raises:
        StoreError: it does not.
    """
    problem = None if int(folder.name) == record.index else f"{RECORD} is of shard {record.index}"
    for file in record.files:
        if "/" in file.path:
            continue
        path = folder / file.path
        size = path.stat().st_size if path.is_file() else None
        if size != file.size:
            problem = f"{file.path} is missing" if size is None else f"{file.path} has {size} bytes, not {file.size}"
    if problem:
        raise StoreError(
            f"{folder}: damaged since it was committed: {problem}. Delete the folder and run again to remake it."
        )


def _age_s(folder: Path) -> float:
    """Seconds since anything in the folder or below it changed; endless if it is gone already."""
    newest = float("-inf")
    for path in (folder, *folder.rglob("*")):
        with contextlib.suppress(FileNotFoundError):
            newest = max(newest, path.stat().st_mtime)
    return time.time() - newest


def _held(out: Path, holder: Path) -> StoreError:
    """The error that says who works on the dataset, and since when."""
    try:
        who = holder.read_text(encoding="utf-8")
        since = datetime.fromtimestamp(holder.stat().st_mtime, UTC)
    except OSError:
        return StoreError(f"{out}: another command is at work on the whole dataset. {_WAIT}")
    return StoreError(f"{out}: {who} is at work on the whole dataset since {since:%Y-%m-%d %H:%M} UTC. {_WAIT}")
