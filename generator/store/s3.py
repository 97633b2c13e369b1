"""A dataset in an object store, which knows no rename: one shard, one prefix per attempt, one conditional put.

    <prefix>/shards/000042-<host>-<pid>-<attempt>-<random>/   the files of an attempt; no reader looks here by itself
    <prefix>/shards/000042/_shard.json                        the commit: it names the attempt whose files are the shard

`_shard.json` comes last and is put only where there is none (`If-None-Match: *`), so the first commit wins. What lost
is removed by its own process, or, when that died, by a sweep after the shard is committed: never before, so no attempt
can commit files that somebody took for stale. No clock and no process table is asked.
"""

from __future__ import annotations

import contextlib
import re
import shutil
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from medim_forge.generator.errors import OutageError, StoreError
from medim_forge.generator.records import ShardRecord
from medim_forge.generator.store.lease import Lease
from medim_forge.generator.store.protocol import FOLDERS, RECORD, attempt_name, parse_record, record_text, shard_name
from medim_forge.generator.store.s3_client import ObjectClient
from medim_forge.generator.store.s3_file import ObjectFile
from medim_forge.generator.store.scratch import scratch_folder

# The key of `run` in `_shard.json` that names the attempt; an attempt of a local dataset has no name after its commit.
FOLDER = "folder"
_SHARD = re.compile(r"\d{6,}")
_ATTEMPT = re.compile(r"(\d{6,})-.+")
_IN_SHARD = re.compile(r"shards/(\d{6,})/(.+)")
_IN_SHARDS = re.compile(r"(shards/[^/]+)/(.+)")


class ObjectStore:
    """A dataset below a prefix of a bucket; see `medim_forge.generator.store.protocol.Store`.

    Args:
        url: `s3://bucket/prefix`.
    """

    def __init__(self, url: str) -> None:
        self._client = ObjectClient(url)
        self._attempts: dict[int, str] = {}
        self._lease: Lease | None = None

    def __str__(self) -> str:
        return self._client.url

    def read(self, name: str) -> bytes:
        """The content of a file."""
        return self._client.get(self._key(name))

    def handle(self, name: str) -> ObjectFile:
        """An object opened for reading; a small one is here already."""
        key = self._key(name)
        return ObjectFile(self._client, key, self._client.size(key)).load()

    def handles(self, names: Iterable[str]) -> Iterator[ObjectFile]:
        """Several objects opened for reading, in order; the next ones are on their way already."""
        return self._client.ahead(self.handle, names)

    def exists(self, name: str) -> bool:
        """Whether there is such a file."""
        try:
            self._client.size(self._key(name))
        except FileNotFoundError:
            return False
        return True

    def size(self, name: str) -> int:
        """Bytes of a file."""
        return self._client.size(self._key(name))

    def files(self, place: str) -> list[str]:
        """The files below a folder, sorted; of shards, those of the attempt that was committed."""
        if place == "shards":
            owners = {
                f"shards/{self._attempts[index]}": shard_name(index)
                for index in [record.index for record in self.committed()]
            }
            owners |= {name: name for name in owners.values()}
            matches = (_IN_SHARDS.fullmatch(key) for key in self._client.walk(place))
            return sorted(f"{owners[match[1]]}/{match[2]}" for match in matches if match and match[1] in owners)
        top = self._key(place)
        return [place + key.removeprefix(top) for key in self._client.walk(top)]

    def prepare(self) -> list[str]:
        """The prefix can take a dataset. Folders of one that are there already without a `spec.yaml` are named."""
        if self.exists("spec.yaml"):
            return []
        unclaimed = [name for name in FOLDERS if self._client.names(name)]
        # Asked again: another driver that has just begun writes its spec before its shards.
        return [] if self.exists("spec.yaml") else unclaimed

    def create(self, name: str, content: str) -> None:
        """The file exists and is complete: with `content`, or with what was there first.

        Raises:
            StoreError: the store puts an object twice where it may be put once, so it cannot keep commits apart.
        """
        if self._client.create(name, content.encode()) and self._client.create(name, content.encode()):
            raise StoreError(
                f"{self}: the store ignores conditional writes (If-None-Match: * on PutObject), so two drivers could "
                "overwrite each other's shards. Use a store that knows them, or a folder that all nodes see."
            )

    @contextlib.contextmanager
    def draft(self, name: str) -> Iterator[Path]:
        """Inside, a local file to write; afterwards it is there under its name at once and whole."""
        path = self.new_attempt(0, 0) / name
        try:
            yield path
            self._still_mine()
            self._client.put_file(name, path)
        finally:
            shutil.rmtree(path.parent, ignore_errors=True)

    def mark(self, name: str) -> None:
        """The empty file is there."""
        self._still_mine()
        self._client.put(name, b"")

    def remove(self, name: str) -> None:
        """The file is gone."""
        self._still_mine()
        self._client.remove([self._key(name)])

    @contextlib.contextmanager
    def lock(self, command: str, *, wait: bool) -> Iterator[None]:
        """Inside, no other command is at work on the whole dataset; see `lease`."""
        lease = Lease(self._client, command)
        with lease.held(wait=wait):
            self._lease = lease
            try:
                yield
            finally:
                self._lease = None

    def replace_folder(self, name: str, made: Path) -> None:
        """The folder holds the files that were made, and nothing is left of an earlier one."""
        self._still_mine()
        new = self._upload(made, name)
        self._client.remove(set(self._client.walk(name)) - new)

    def new_attempt(self, index: int, attempt: int) -> Path:
        """An empty local folder that nobody else writes to; its name is that of the attempt."""
        folder = scratch_folder() / attempt_name(index, attempt)
        folder.mkdir()
        return folder

    def commit(self, folder: Path, record: ShardRecord) -> bool:
        """The shard is committed: by this attempt, or by one that came first (False, nothing is left of this one)."""
        mine = self._upload(folder, f"shards/{folder.name}")
        record = replace(record, run={**record.run, FOLDER: folder.name})
        key = f"{shard_name(record.index)}/{RECORD}"
        if self._client.create(key, record_text(record).encode()):
            return True
        # The answer to a put that succeeded may have been lost, and its repetition refused.
        if self.record(record.index).run[FOLDER] == folder.name:
            return True
        with contextlib.suppress(OutageError):  # the shard is there; a sweep will find what is left
            self._client.remove(mine)
        return False

    def record(self, index: int) -> ShardRecord:
        """What a committed shard says about itself."""
        where = f"{self}/{shard_name(index)}"
        try:
            content = self._client.get(f"{shard_name(index)}/{RECORD}")
        except FileNotFoundError as error:
            raise StoreError(f"{where}: shard {index} is not committed; `medim run` makes what is missing") from error
        record = parse_record(lambda: content, where)
        if record.index != index or not _ATTEMPT.fullmatch(str(record.run.get(FOLDER))):
            raise StoreError(
                f"{where}/{RECORD}: is of shard {record.index} and attempt {record.run.get(FOLDER)}, so it was not "
                "written here. Delete it and run again to remake the shard."
            )
        self._attempts[index] = str(record.run[FOLDER])
        return record

    def records(self, indices: Iterable[int]) -> Iterator[ShardRecord]:
        """What committed shards say about themselves; the next ones are on their way already."""
        return self._client.ahead(self.record, indices)

    def committed(self) -> Iterator[ShardRecord]:
        """The records of the committed shards in order, a few in memory at a time.

        The check is cheap: every record parses and there are files of its attempt. `medim verify` hashes everything.
        """
        names = self._client.names("shards")
        there = set(names)
        for record in self.records(sorted(int(name) for name in names if _SHARD.fullmatch(name))):
            attempt = self._attempts[record.index]
            # It may have been committed while the names were listed.
            if attempt not in there and not self._client.names(f"shards/{attempt}"):
                raise StoreError(
                    f"{self}/{shard_name(record.index)}: damaged since it was committed: the files in shards/{attempt} "
                    "are missing. Delete the record and run again to remake the shard."
                )
            yield record

    def sweep(self, deadline_s: float) -> list[str]:  # noqa: ARG002 - the `Store` protocol; no clock is asked here
        """What lost attempts of committed shards left behind is gone; names of attempts, sorted."""
        names = self._client.names("shards")
        attempts: dict[int, set[str]] = defaultdict(set)
        for match in filter(None, map(_ATTEMPT.fullmatch, names)):
            attempts[int(match[1])].add(match[0])
        done = sorted(int(name) for name in names if _SHARD.fullmatch(name))
        stale: list[str] = []
        for record in self.records(index for index in done if len(attempts[index]) > 1):
            stale += attempts[record.index] - {str(record.run[FOLDER])}
        self._client.remove(key for name in stale for key in self._client.walk(f"shards/{name}"))
        return sorted(stale)

    def tidy(self) -> None:
        """Nothing is left that only running jobs need: the sweep took it."""

    def __getstate__(self) -> dict[str, object]:
        """Without the lease, which is of this process."""
        return {**self.__dict__, "_lease": None}

    def _still_mine(self) -> None:
        """Nobody has taken over what this process works on."""
        if self._lease is not None:
            self._lease.check()

    def _key(self, name: str) -> str:
        """Where a file lies: those of a shard in the attempt that its record names."""
        match = _IN_SHARD.fullmatch(name)
        if match is None or match[2] == RECORD:
            return name
        index = int(match[1])
        if index not in self._attempts:
            self.record(index)
        return f"shards/{self._attempts[index]}/{match[2]}"

    def _upload(self, folder: Path, target: str) -> set[str]:
        """Every file of a local folder is below the target; their keys."""
        paths = {
            f"{target}/{path.relative_to(folder).as_posix()}": path for path in folder.rglob("*") if path.is_file()
        }
        for _ in self._client.ahead(lambda key: self._client.put_file(key, paths[key]), paths):
            pass
        return set(paths)
