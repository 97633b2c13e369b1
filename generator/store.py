"""The output folder while a job runs: one shard, one temporary folder, one rename.

    <out>/spec.yaml plan.json                                what the dataset is; later runs must agree
    <out>/.tmp/000042-<host>-<pid>-<attempt>-<random>/       an attempt, seen by nobody
    <out>/shards/000042/                                     a committed shard, complete and on disk, with `_shard.json`

The first commit of a shard wins. A worker that outlives its driver may still commit: its bytes are the same.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import secrets
import shutil
import socket
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from generator.errors import SpecError, StoreError
from generator.records import FileRecord, ShardRecord
from generator.spec import GenerateSpec, parse_spec, to_yaml
from generator.spec_yaml import read_yaml

RECORD = "_shard.json"
SUCCESS = "_SUCCESS"
_TEMPORARY = ".tmp"
_SHARD_NAME = re.compile(r"\d{6,}")


def shard_folder(out: Path, index: int) -> Path:
    """Where a shard lies once it is committed."""
    return out / "shards" / f"{index:06d}"


def open_dataset(out: Path, spec: GenerateSpec, plan: Mapping[str, Any]) -> None:
    """The folder holds `spec.yaml` and `plan.json`, and they agree with this job.

    Args:
        out: the dataset.
        spec: the job; what its digest covers must agree.
        plan: what `plan.json` holds; all of it must agree.

    Raises:
        StoreError: the folder cannot be written, or was made from another spec, other weights or other inputs.
    """
    with _writing(out):
        (out / _TEMPORARY).mkdir(parents=True, exist_ok=True)
        strangers = [name for name in ("shards", "data") if (out / name).exists()]
        if strangers and not (out / "spec.yaml").exists():
            raise StoreError(
                f"{out}: holds {' and '.join(strangers)} but no spec.yaml, so nobody can tell what made them. "
                "Give another folder with --out, or put spec.yaml back."
            )
        write_once(out / "spec.yaml", to_yaml(spec))
        write_once(out / "plan.json", _json(plan))
    _refuse(out, "spec.yaml is of another spec", differences(read_spec(out).fixed(), spec.fixed()))
    check_plan(out, plan)


def check_plan(out: Path, plan: Mapping[str, Any]) -> None:
    """The folder's `plan.json` agrees with this plan.

    Raises:
        StoreError: it does not, naming what differs: weights first, for all else may follow from them.
    """
    found = differences(read_plan(out), plan)
    weights = [one for one in found if one.startswith("model_sha256:")]
    _refuse(out, "plan.json is of other weights", weights)
    _refuse(out, "plan.json is of other inputs or library versions", found)


def read_spec(out: Path) -> GenerateSpec:
    """The job that made the dataset.

    Raises:
        StoreError: `spec.yaml` is missing, unreadable, or of another kind of job.
    """
    path = out / "spec.yaml"
    try:
        spec = parse_spec(read_yaml(path), source=str(path))
    except SpecError as error:
        raise StoreError(f"{out}: is not a dataset of this version: {error}") from error
    if not isinstance(spec, GenerateSpec):
        raise StoreError(f"{path}: kind = {spec.kind}, not generate. Give the folder of a generate job.")
    return spec


def read_plan(out: Path) -> dict[str, Any]:
    """What `plan.json` holds.

    Raises:
        StoreError: it is missing or not a JSON mapping.
    """
    path = out / "plan.json"
    try:
        plan = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise StoreError(f"{path}: cannot be read ({error}). Is {out} the output folder of a generate job?") from error
    if not isinstance(plan, dict):
        raise StoreError(f"{path}: holds {type(plan).__name__}, not a mapping. Put the job's plan.json back.")
    return plan


def new_attempt(out: Path, index: int, attempt: int) -> Path:
    """An empty folder that nobody else writes to, on the file system of the dataset."""
    host = re.sub(r"[^A-Za-z0-9.]", "_", socket.gethostname())
    folder = out / _TEMPORARY / f"{index:06d}-{host}-{os.getpid()}-{attempt}-{secrets.token_hex(4)}"
    with _writing(out):
        folder.mkdir(parents=True)
    return folder


def commit(out: Path, folder: Path, record: ShardRecord) -> bool:
    """The shard is committed and on disk: by this attempt (True), or by one that came first (False, this one is gone).

    Raises:
        StoreError: the folder cannot be written.
    """
    target = shard_folder(out, record.index)
    with _writing(out):
        (folder / RECORD).write_text(_json(asdict(record)), encoding="utf-8")
        for parent, _, names in os.walk(folder, topdown=False):
            for name in names:
                _sync(Path(parent, name))
            _sync(Path(parent))
        target.parent.mkdir(exist_ok=True)
        try:
            folder.rename(target)
        except OSError as error:
            if error.errno not in {errno.ENOTEMPTY, errno.EEXIST}:
                raise
            shutil.rmtree(folder)
            return False
        _sync(target.parent)
    return True


def read_record(folder: Path) -> ShardRecord:
    """What a committed shard says about itself.

    Raises:
        StoreError: `_shard.json` is missing or broken.
    """
    path = folder / RECORD
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        files = tuple(FileRecord(**one) for one in values.pop("files"))
        return ShardRecord(**values, files=files)
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise StoreError(f"{path}: cannot be read ({error!r}). Delete {folder} and run again to remake it.") from error


def committed(out: Path) -> dict[int, ShardRecord]:
    """The committed shards by index, in order; see `committed_one_by_one`."""
    return {record.index: record for record in committed_one_by_one(out)}


def committed_one_by_one(out: Path) -> Iterator[ShardRecord]:
    """The records of the committed shards in order, one in memory at a time.

    The check is cheap, so that resuming a large job takes seconds: every record parses and the shard's tables have
    their size. `medim verify` hashes everything.

    Raises:
        StoreError: a committed shard is damaged.
    """
    folders = [one for one in (out / "shards").glob("*") if _SHARD_NAME.fullmatch(one.name)]
    for folder in sorted(folders, key=lambda one: int(one.name)):
        record = read_record(folder)
        _check(folder, record)
        yield record


def sweep(out: Path, deadline_s: float) -> list[str]:
    """Temporary folders that nobody can still be writing are gone.

    A worker may outlive its driver and still commit. So on this host a folder goes when its process is dead, and one of
    another host when it has not changed for two deadlines (one, and as much again for clocks that disagree).

    Returns:
        The names that were removed, sorted.
    """
    host = re.sub(r"[^A-Za-z0-9.]", "_", socket.gethostname())
    removed = []
    for folder in sorted((out / _TEMPORARY).glob("*-*-*-*-*")):
        owner, pid = folder.name.split("-")[1:3]
        if _alive(int(pid)) if owner == host else _age_s(folder) < 2 * deadline_s:
            continue
        shutil.rmtree(folder, ignore_errors=True)
        removed.append(folder.name)
    return removed


def tidy(out: Path) -> None:
    """The folder for attempts is gone, unless somebody is still writing there."""
    with contextlib.suppress(OSError):
        (out / _TEMPORARY).rmdir()


def write_once(path: Path, content: str) -> None:
    """The file exists and is complete: with `content`, or with what was there first."""
    if path.exists():
        return
    draft = path.parent / _TEMPORARY / f"{path.name}.{os.getpid()}.{secrets.token_hex(4)}"
    draft.write_text(content, encoding="utf-8")
    _sync(draft)
    try:
        # Unlike a rename, a link never replaces what another driver wrote meanwhile.
        path.hardlink_to(draft)
    except FileExistsError:
        pass
    except OSError as error:
        if error.errno not in {errno.EPERM, errno.EOPNOTSUPP}:
            raise
        draft.rename(path)  # a file system without hard links
    finally:
        draft.unlink(missing_ok=True)
    _sync(path.parent)


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


def _refuse(out: Path, what: str, found: list[str]) -> None:
    if found:
        raise StoreError(
            f"{out}: {what} than this job; different: {'; '.join(found)}. "
            "Give this job a folder of its own with --out, or put back what has changed."
        )


def _check(folder: Path, record: ShardRecord) -> None:
    problem = None if int(folder.name) == record.index else f"{RECORD} is of shard {record.index}"
    for one in record.files:
        if "/" in one.path:
            continue
        path = folder / one.path
        size = path.stat().st_size if path.is_file() else None
        if size != one.size:
            problem = f"{one.path} is missing" if size is None else f"{one.path} has {size} bytes, not {one.size}"
    if problem:
        raise StoreError(
            f"{folder}: damaged since it was committed: {problem}. Delete the folder and run again to remake it."
        )


def _json(value: Mapping[str, Any]) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except OSError as error:
        return not isinstance(error, ProcessLookupError)
    return True


def _age_s(folder: Path) -> float:
    """Seconds since anything directly in the folder changed; endless if it is gone already."""
    try:
        return time.time() - folder.stat().st_mtime
    except FileNotFoundError:
        return float("inf")


@contextlib.contextmanager
def _writing(out: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        where = error.filename or out
        raise StoreError(
            f"{out}: cannot be written ({error.strerror}: {where}). "
            "Give a folder with space and write permission, in output.dir or with --out."
        ) from error
