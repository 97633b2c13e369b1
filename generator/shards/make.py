"""What happens to one shard: its inputs are read, its pairs made, judged and written. No Ray, no torch, no commit."""

from __future__ import annotations

import errno
import os
import shutil
import socket
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path

from medim_forge.generator.errors import DeviceMemoryError, MedimError, RowError, ShardError, StoreError
from medim_forge.generator.inputs import load_inputs
from medim_forge.generator.jobspec import GenerateSpec
from medim_forge.generator.records import (
    FileRecord,
    Judged,
    Pair,
    PairRequest,
    Quarantined,
    Replica,
    Shard,
    ShardRecord,
    Verdict,
    Writer,
)
from medim_forge.generator.shards.compare import related, signature_of
from medim_forge.generator.shards.schedule import Order
from medim_forge.generator.similarity import Signature
from medim_forge.generator.tracing import one_line, portable, portable_traceback

Judge = Callable[[Pair], Verdict]

# The output cannot take more, whatever is tried next: the job has to stop.
_NO_ROOM = {
    errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM, errno.ENAMETOOLONG,
}  # fmt: skip


def run_shard(
    shard: Shard,
    spec: GenerateSpec,
    replica: Replica,
    judge: Judge,
    writers: Sequence[Writer],
    folder: Path,
    order: Order | None = None,
) -> ShardRecord:
    """The shard's files lie in `folder`; every request is a kept, dropped or quarantined row of them.

    Args:
        shard: as planned, inputs not loaded.
        spec: the job.
        replica: makes the pairs.
        judge: the job's filters.
        writers: write all of the shard's files, one after the other.
        folder: an empty one.
        order: which attempt this is, and which rows are left out because they kill whoever makes them.

    Raises:
        ShardError: the shard failed as a whole; `DeviceMemoryError` where memory ran out.
        StoreError: the folder cannot take the files.
    """
    order = order or Order(shard=shard.index)
    started = time.monotonic()
    bad = [_killer(request, order) for request in shard.requests if request.pair_id in order.killers]
    healthy = replace(shard, requests=tuple(one for one in shard.requests if one.pair_id not in order.killers))
    loaded, unreadable = load_inputs(spec, healthy)
    bad += [replace(row, error=portable(row.error), traceback=portable(row.traceback)) for row in unreadable]
    with _turn(replica):
        pairs = _generate(replica, loaded, bad, spec.sampling.batch_size)
        judged, signatures = _judge(judge, pairs, bad)
        judged = _related(judged, signatures, spec, replica)
    files = _write(writers, folder, shard, judged, bad)
    kept = sum(one.verdict.kept for one in judged)
    rejects = Counter(reason for one in judged if not one.verdict.kept for reason in one.verdict.reasons)
    return ShardRecord(
        index=shard.index,
        spec_sha256=spec.sha256,
        model_sha256=replica.facts.model_sha256,
        pairs=len(shard.requests),
        kept=kept,
        dropped=len(judged) - kept,
        quarantined=len(bad),
        rejects=dict(sorted(rejects.items())),
        files=tuple(files),
        run=_circumstances(replica, order, started),
    )


def _circumstances(replica: Replica, order: Order, started: float) -> dict[str, str | float | int]:
    """What differs between attempts, of this one."""
    return {
        "seconds": round(time.monotonic() - started, 3),
        "device": replica.facts.device,
        "gpu": os.environ.get("CUDA_VISIBLE_DEVICES", ""),
        "host": socket.gethostname(),
        "attempt": order.attempt,
        "failures": "; ".join(one.error for one in order.past),
    }


def _turn(replica: Replica) -> AbstractContextManager[object]:
    """A replica that several shards share is this shard's alone inside; see `medim_forge.generator.shards.worker`."""
    turn: AbstractContextManager[object] = getattr(replica, "turn", None) or nullcontext()
    return turn


def _killer(request: PairRequest, order: Order) -> Quarantined:
    failure = order.killers[request.pair_id]
    return Quarantined(request=request, error=failure.error, traceback=failure.traceback, stage="generate")


def _generate(replica: Replica, shard: Shard, bad: list[Quarantined], batch_size: int) -> list[Pair]:
    """The pairs that can be made, in order; the others are appended to `bad`.

    Raises:
        ShardError: the replica is to blame, not a row: it can make none, or lost its memory or its health on the way.
    """
    rows: list[Quarantined] = []
    try:
        pairs = _isolate(replica, shard, rows)
        suspects = [row for row in rows if not row.error.startswith(RowError.__name__)]
        if suspects and pairs:
            # A replica that broke half-way would blame innocent rows: it must still make what it could make.
            replica.generate(replace(shard, requests=(pairs[0].request,)))
    except Exception as error:
        if isinstance(error, MedimError):
            raise
        if not _out_of_memory(error):
            raise ShardError(f"shard {shard.index}: the replica broke on the way: {one_line(error)}") from error
        raise DeviceMemoryError(
            f"shard {shard.index}: memory ran out on {replica.facts.device} with sampling.batch_size = {batch_size}: "
            f"{one_line(error)}. `medim preview` finds the batch size that fits; set it in the job file "
            "(it changes the pairs, so it needs an output folder of its own)."
        ) from error
    if suspects and not pairs:
        failure = ShardError(f"shard {shard.index}: not one pair could be made: {suspects[-1].error}")
        failure.add_note(suspects[-1].traceback)
        raise failure
    bad += rows
    return pairs


def _isolate(replica: Replica, shard: Shard, bad: list[Quarantined]) -> list[Pair]:
    """The pairs of the rows that can be made; halves a failing group until the rows that fail alone are known."""
    requests = shard.requests
    while requests:
        outcome = _tried(replica, replace(shard, requests=requests))
        if not isinstance(outcome, Exception):
            return outcome
        if isinstance(outcome, RowError):
            row = next((one for one in requests if one.pair_id == outcome.pair_id), None)
            if row is None:
                raise ShardError(
                    f"shard {shard.index}: the replica blames a row it was not given: {outcome}"
                ) from outcome
            bad.append(_quarantined(row, outcome, "generate"))
            requests = tuple(one for one in requests if one is not row)
            continue
        if len(requests) == 1:
            bad.append(_quarantined(requests[0], outcome, "generate"))
            break
        middle = len(requests) // 2
        halves = (requests[:middle], requests[middle:])
        return [pair for half in halves for pair in _isolate(replica, replace(shard, requests=half), bad)]
    return []


def _tried(replica: Replica, shard: Shard) -> list[Pair] | Exception:
    """The pairs, or the exception that a row may be to blame for.

    It is returned so that what is tried next happens outside its handler: tracebacks must not hold how it was searched.
    """
    try:
        return _exact(replica.generate(shard), shard)
    except RowError as error:
        return error
    except Exception as error:
        if isinstance(error, MedimError) or _out_of_memory(error):
            raise
        return error


def _exact(pairs: list[Pair], shard: Shard) -> list[Pair]:
    made, asked = [pair.pair_id for pair in pairs], [request.pair_id for request in shard.requests]
    if made != asked:
        raise ShardError(
            f"shard {shard.index}: asked for {asked}, the replica made {made}; it must make one pair per request."
        )
    return pairs


def _judge(judge: Judge, pairs: Sequence[Pair], bad: list[Quarantined]) -> tuple[list[Judged], dict[str, Signature]]:
    judged, signatures = [], {}
    for pair in pairs:
        try:
            signatures[pair.pair_id] = signature_of(pair)
            judged.append(Judged(pair=pair, verdict=judge(pair)))
        except Exception as error:  # noqa: BLE001 - kept with the row, traceback included
            bad.append(_quarantined(pair.request, error, "judge"))
    return judged, signatures


def _related(
    judged: list[Judged], signatures: dict[str, Signature], spec: GenerateSpec, replica: Replica
) -> list[Judged]:
    """The pairs with what they are to each other.

    Raises:
        ShardError: the replica broke over it; `DeviceMemoryError` where memory ran out.
    """
    try:
        return related(judged, signatures, spec, replica)
    except Exception as error:
        if isinstance(error, MedimError):
            raise
        kind = DeviceMemoryError if _out_of_memory(error) else ShardError
        raise kind(f"comparing the pairs of a shard failed: {one_line(error)}") from error


def _write(
    writers: Sequence[Writer], folder: Path, shard: Shard, judged: list[Judged], bad: list[Quarantined]
) -> list[FileRecord]:
    """All files, sorted by path; a row that cannot be written moves from `judged` to `bad`, and all starts again."""
    while True:
        rows = sorted(bad, key=lambda one: one.request.pair_index)
        try:
            files = [record for writer in writers for record in writer.write(folder, shard, judged, rows)]
            return sorted(files, key=lambda one: one.path)
        except RowError as error:
            row = next((one for one in judged if one.pair.pair_id == error.pair_id), None)
            if row is None:
                raise ShardError(f"shard {shard.index}: a writer blames a row it was not given: {error}") from error
            bad.append(_quarantined(row.pair.request, error, "write"))
            judged.remove(row)
            shutil.rmtree(folder)
            folder.mkdir()
        except OSError as error:
            if error.errno not in _NO_ROOM:
                raise
            raise StoreError(
                f"shard {shard.index}: {folder} cannot be written ({error.strerror}). "
                "Make room or mend the permissions, then run the same command: what is committed stays."
            ) from error


def _quarantined(request: PairRequest, error: Exception, stage: str) -> Quarantined:
    return Quarantined(request=request, error=one_line(error), traceback=portable_traceback(error), stage=stage)


def _out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out; torch's own class is known by name, for torch is not imported here."""
    return isinstance(error, MemoryError) or any(one.__name__ == "OutOfMemoryError" for one in type(error).__mro__)
