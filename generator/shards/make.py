"""What happens to one shard: its inputs are read, its pairs made, judged and written. Nothing is committed here."""

from __future__ import annotations

import errno
import os
import shutil
import socket
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path

from medim_forge.generator.contracts import Replica, Writer
from medim_forge.generator.errors import (
    BlamelessError,
    DeviceMemoryError,
    MedimError,
    RowError,
    ShardError,
    StoreError,
    is_environment,
    memory_ran_out,
)
from medim_forge.generator.inputs import load_inputs
from medim_forge.generator.inputs.planned import PlannedInputs
from medim_forge.generator.jobspec import GenerateSpec
from medim_forge.generator.records import (
    Counts,
    FileRecord,
    Judged,
    Pair,
    PairRequest,
    Quarantined,
    Shard,
    ShardRecord,
    Verdict,
)
from medim_forge.generator.shards.blame import blameless
from medim_forge.generator.shards.compare import related
from medim_forge.generator.shards.schedule import Order
from medim_forge.generator.similarity import sign
from medim_forge.generator.tracing import one_line, portable, portable_traceback

Judge = Callable[[Pair], Verdict]

# Errors of an output that cannot take more, whatever is tried next: the job has to stop.
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
    turn: AbstractContextManager[object] | None = None,
    planned: PlannedInputs | None = None,
) -> ShardRecord:
    """The shard's files lie in the folder, and every request is a kept, dropped or quarantined row of them.

    Args:
        shard: as planned, inputs not loaded.
        spec: the job.
        replica: that makes the pairs.
        judge: the job's filters.
        writers: that write all of the shard's files, one after the other.
        folder: an empty one.
        order: which attempt this is, and which poisoned rows are quarantined unmade; None for a first attempt.
        turn: held from the first use of the replica to the last, where several shards share it; a shard therefore never
            waits in the middle for another shard's pairs. None where the replica is this shard's alone.
        planned: the inputs that the job was planned with; None compares nothing.

    Raises:
        ShardError: the shard failed as a whole; `BlamelessError` where no row can be the cause.
        StoreError: the folder cannot take the files.
    """
    order = order or Order(shard=shard.index)
    started = time.monotonic()
    bad = [_poisoned(request, order) for request in shard.requests if request.pair_id in order.poisoned]
    healthy = tuple(request for request in shard.requests if request.pair_id not in order.poisoned)
    with blameless(f"shard {shard.index}: its inputs cannot be read"):
        loaded, unreadable = load_inputs(spec, replace(shard, requests=healthy), planned)
    bad += [replace(row, error=portable(row.error), traceback=portable(row.traceback)) for row in unreadable]
    with turn or nullcontext(), blameless(f"shard {shard.index}: its pairs cannot be made and judged"):
        pairs = _generate(replica, loaded, bad, spec.sampling.batch_size)
        judged = _related(_judge(judge, pairs, bad), spec, replica)
    with blameless(f"shard {shard.index}: its files cannot be written"):
        files = _write(writers, folder, shard, judged, bad)
    kept = sum(item.verdict.kept for item in judged)
    rejects = Counter(reason for item in judged if not item.verdict.kept for reason in item.verdict.reasons)
    return ShardRecord(
        index=shard.index,
        spec_sha256=spec.sha256,
        model_sha256=replica.facts.model_sha256,
        counts=Counts(
            shards=1,
            pairs=len(shard.requests),
            kept=kept,
            dropped=len(judged) - kept,
            quarantined=len(bad),
            rejects=dict(sorted(rejects.items())),
        ),
        files=tuple(files),
        run=_circumstances(replica, order, started),
    )


def _circumstances(replica: Replica, order: Order, started: float) -> dict[str, str | float | int]:
    """What the record says of this attempt alone."""
    return {
        "seconds": round(time.monotonic() - started, 3),
        "device": replica.facts.device,
        "gpu": os.environ.get("CUDA_VISIBLE_DEVICES", ""),
        "host": socket.gethostname(),
        "attempt": order.attempt,
        "failures": "; ".join(failure.error for failure in order.past),
    }


def _poisoned(request: PairRequest, order: Order) -> Quarantined:
    failure = order.poisoned[request.pair_id]
    return Quarantined(request=request, error=failure.error, traceback=failure.traceback, stage="generate")


@dataclass(frozen=True)
class _Unmade:
    """Rows that the replica did not make.

    Attributes:
        refused: it said so itself, by `RowError`.
        broken: it raised something else when it made the row alone; the row or the replica may be the cause.
    """

    refused: list[Quarantined] = field(default_factory=list)
    broken: list[Quarantined] = field(default_factory=list)


def _generate(replica: Replica, shard: Shard, bad: list[Quarantined], batch_size: int) -> list[Pair]:
    """The pairs that can be made, in order; the other rows are appended to `bad`.

    Raises:
        ShardError: the replica is the cause, not a row: it can make no row, or broke on the way; `DeviceMemoryError`
            where memory ran out.
    """
    unmade = _Unmade()
    try:
        pairs = _isolate(replica, shard, unmade)
        if unmade.broken and pairs:
            # If the replica broke on the way, rows look broken that are not. It must still make what it could make.
            replica.generate(replace(shard, requests=(pairs[0].request,)))
    except Exception as error:
        if isinstance(error, MedimError) or (is_environment(error) and not memory_ran_out(error)):
            raise
        if not memory_ran_out(error):
            raise ShardError(f"shard {shard.index}: the replica broke on the way: {one_line(error)}") from error
        raise DeviceMemoryError(
            f"shard {shard.index}: memory ran out on {replica.facts.device} with sampling.batch_size = {batch_size}: "
            f"{one_line(error)}. `medim preview` finds the batch size that fits; set it in the job file "
            "(it changes the pairs, so it needs an output folder of its own)."
        ) from error
    if unmade.broken and not pairs:
        last = unmade.broken[-1]
        failure = ShardError(f"shard {shard.index}: not one pair could be made: {last.error}")
        failure.add_note(last.traceback)
        raise failure
    bad += unmade.refused + unmade.broken
    return pairs


def _isolate(replica: Replica, shard: Shard, unmade: _Unmade) -> list[Pair]:
    """The pairs of the rows that can be made; the others are appended to `unmade`.

    A group of rows that fails is halved until the rows that fail alone are known.
    """
    requests = shard.requests
    while requests:
        outcome = _tried(replica, replace(shard, requests=requests))
        if not isinstance(outcome, Exception):
            return outcome
        if isinstance(outcome, RowError):
            refused = next((request for request in requests if request.pair_id == outcome.pair_id), None)
            if refused is None:
                raise ShardError(
                    f"shard {shard.index}: the replica blames a row it was not given: {outcome}"
                ) from outcome
            unmade.refused.append(_quarantined(refused, outcome, "generate"))
            requests = tuple(request for request in requests if request is not refused)
            continue
        if len(requests) == 1:
            unmade.broken.append(_quarantined(requests[0], outcome, "generate"))
            break
        middle = len(requests) // 2
        halves = (requests[:middle], requests[middle:])
        return [pair for half in halves for pair in _isolate(replica, replace(shard, requests=half), unmade)]
    return []


def _tried(replica: Replica, shard: Shard) -> list[Pair] | Exception:
    """The pairs, or the exception of which a row may be the cause.

    The exception is returned so that what is tried next happens outside its handler: a traceback must not depend on how
    its row was found.
    """
    try:
        return _exact(replica.generate(shard), shard)
    except Exception as error:
        if is_environment(error) or (isinstance(error, MedimError) and not isinstance(error, RowError)):
            raise
        return error


def _exact(pairs: list[Pair], shard: Shard) -> list[Pair]:
    """The same pairs, which are those that the shard asks for.

    Raises:
        ShardError: they are not.
    """
    made, asked = [pair.pair_id for pair in pairs], [request.pair_id for request in shard.requests]
    if made != asked:
        raise ShardError(
            f"shard {shard.index}: asked for {asked}, the replica made {made}; it must make one pair per request."
        )
    return pairs


def _judge(judge: Judge, pairs: Sequence[Pair], bad: list[Quarantined]) -> list[Judged]:
    """The pairs with verdict and signature; rows that cannot be judged are appended to `bad`."""
    judged = []
    for pair in pairs:
        try:
            signature = sign(pair)
            judged.append(Judged(pair=pair, verdict=judge(pair), signature=signature))
        except Exception as error:
            if is_environment(error):
                raise
            bad.append(_quarantined(pair.request, error, "judge"))
    return judged


def _related(judged: list[Judged], spec: GenerateSpec, replica: Replica) -> list[Judged]:
    """The pairs with their scores in relation to each other.

    Raises:
        BlamelessError: that failed; a comparison has no row of its own. `DeviceMemoryError` where memory ran out.
    """
    try:
        return related(judged, spec, replica)
    except Exception as error:
        if isinstance(error, ShardError | StoreError):
            raise
        if is_environment(error) and not memory_ran_out(error):
            raise  # told by what surrounds this
        kind = DeviceMemoryError if memory_ran_out(error) else BlamelessError
        raise kind(
            f"comparing the pairs of a shard failed: {one_line(error)}. No row is blamed; mend the cause and run the "
            "same command."
        ) from error


def _write(
    writers: Sequence[Writer], folder: Path, shard: Shard, judged: list[Judged], bad: list[Quarantined]
) -> list[FileRecord]:
    """All files, sorted by path; a row that cannot be written moves from `judged` to `bad`, and all starts again."""
    while True:
        rows = sorted(bad, key=lambda row: row.request.pair_index)
        try:
            files = [file for writer in writers for file in writer.write(folder, shard, judged, rows)]
            return sorted(files, key=lambda file: file.path)
        except RowError as error:
            if is_environment(error):
                raise
            unwritable = next((item for item in judged if item.pair.pair_id == error.pair_id), None)
            if unwritable is None:
                raise ShardError(f"shard {shard.index}: a writer blames a row it was not given: {error}") from error
            bad.append(_quarantined(unwritable.pair.request, error, "write"))
            judged[:] = [item for item in judged if item is not unwritable]
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
