"""The error tree of the factory. Every message says what is wrong, where, and how to fix it.

MedimError
|-- SpecError          the job file, or something it names, is wrong: nothing was started
|-- InputError         a given image or report cannot be read
|-- RowError           one row cannot be generated, judged or written; it is quarantined, the rest go on
|-- ShardError         a shard failed as a whole; it is retried
|   `-- BlamelessError     for which no row is to blame: when retries do not help the job stops
|       |-- DeviceMemoryError  memory ran out while pairs were made
|       `-- EnvironmentFault   what stands around the rows failed: a share, a permission, open files, memory
|-- ReplicaError       a replica cannot start (weights, device): the job stops early
|-- ConvertError       published weights cannot become a checkpoint: nothing was left behind
|-- ResourceError      fewer resources than one replica needs
|-- StoreError         the output folder cannot be used: not writable, made from another spec or other weights
|   `-- OutageError    an object store did not answer for long; a shard's attempt counts as failed and is repeated
|-- VerifyError        a finished dataset does not hold what its records say
|-- TrainingError      a loss or gradient is not finite: the last restart point is kept
|-- DrainedError       the job was told to stop and did so cleanly (exit 143)
`-- QuarantineError    more rows were quarantined than the job allows (exit 3)
"""

import difflib
import errno
import os
from collections.abc import Iterable

from medim_forge.generator.masking import masked

# What the system says of places, permissions and means. What is wrong with content has no number, or another one.
_AROUND = frozenset(
    getattr(errno, name)
    for name in (
        "EACCES", "EPERM", "EROFS", "ENOENT", "ENOTDIR", "EISDIR", "ESTALE", "EIO", "EREMOTEIO", "ENODEV", "ENXIO",
        "ETIMEDOUT", "EHOSTDOWN", "EHOSTUNREACH", "ENETDOWN", "ENETUNREACH", "ENOTCONN", "ESHUTDOWN", "ECONNREFUSED",
        "ECONNRESET", "ECONNABORTED", "EPIPE", "EAGAIN", "EBUSY", "EINTR", "ENOLCK", "ENOMEM", "EMFILE", "ENFILE",
        "ENOSPC", "EDQUOT", "EFBIG", "ENOBUFS", "ENOMEDIUM",
    )
    if hasattr(errno, name)
)  # fmt: skip
_LONGEST_WORD = 100  # characters; nothing known is near a longer one


class MedimError(Exception):
    """Something went wrong that the user can act on; `str(error)` is the whole message, without credentials."""

    def __str__(self) -> str:
        """The message."""
        return masked(super().__str__())


class SpecError(MedimError):
    """The job file, or something it names, is wrong; nothing was started."""


class InputError(MedimError):
    """A given image or report cannot be read."""


class RowError(MedimError):
    """One row cannot be generated, judged or written; it is quarantined and the rest go on.

    Args:
        pair_id: the row.
        message: what, where, how to fix.
    """

    def __init__(self, pair_id: str, message: str) -> None:
        super().__init__(pair_id, message)
        self.pair_id = pair_id
        self.message = message

    def __str__(self) -> str:
        """The message, led by the pair it concerns."""
        return masked(f"pair {self.pair_id}: {self.message}")


class ShardError(MedimError):
    """A shard failed as a whole; it is retried up to `compute.max_retries` times."""


class BlamelessError(ShardError):
    """A shard failed for something that no row is to blame for; when retries do not help the job stops."""


class DeviceMemoryError(BlamelessError):
    """Memory ran out while a shard was made."""


class EnvironmentFault(BlamelessError):  # noqa: N818 - a fault is what it is called everywhere
    """What stands around the rows failed: a share that is away, a permission, too many open files, memory."""


class ReplicaError(MedimError):
    """A replica cannot start (weights, device); the job stops early with the cause."""


class ConvertError(MedimError):
    """Published weights cannot become a checkpoint; nothing was left behind."""


class ResourceError(MedimError):
    """Fewer resources than one replica needs; the message holds asked and available."""


class StoreError(MedimError):
    """The output folder cannot be used: not writable, or made from another spec or other weights."""


class OutageError(StoreError):
    """An object store did not answer for as long as was tried; a shard's attempt counts as failed and is repeated."""


class VerifyError(MedimError):
    """A finished dataset does not hold what its records say."""


class TrainingError(MedimError):
    """A training cannot take its next step: a loss or a gradient is not finite; the last restart point is kept."""


class DrainedError(MedimError):
    """The job was told to stop and did so cleanly; running it again continues."""


class QuarantineError(MedimError):
    """More rows were quarantined than the job's section `compute` allows; no `_SUCCESS` was written."""


def is_environment(error: BaseException) -> bool:
    """Whether what stands around the rows is the cause of an error, or of one that it was raised from.

    Rows are quarantined for their content alone, so whoever is about to quarantine one asks here.
    """
    return _around(error) is not None


def environment_fault(error: BaseException, what: str) -> EnvironmentFault:
    """The error that says of such a fault what to mend; it names no file, for files are named by patients.

    Args:
        error: of which `is_environment` holds.
        what: was not done, e.g. `shard 3: its inputs cannot be read`.
    """
    cause = _around(error) or error
    number = getattr(cause, "errno", None)  # the words beside it may repeat a path
    said = os.strerror(number) if number else "memory ran out" if memory_ran_out(cause) else ""
    said = said or (str(cause) if isinstance(cause, MedimError) else "")
    told = f"{what} ({said or type(cause).__name__}). Mend that and run"
    if isinstance(error, InputError | SpecError):  # it says which row or table it met, by number, and how to mend it
        told = f"{what}: {sentence(error)} Then run"
    return EnvironmentFault(f"{told} the same command: no row is blamed for it, and what is committed stays.")


def _around(error: BaseException) -> BaseException | None:
    """The first error of the chain of causes that says nothing of content."""
    seen: list[BaseException] = []
    cause: BaseException | None = error
    while cause is not None and cause not in seen:
        if isinstance(cause, BlamelessError | OutageError | TimeoutError | ConnectionError) or memory_ran_out(cause):
            return cause
        if isinstance(cause, OSError) and cause.errno in _AROUND:
            return cause
        seen.append(cause)
        cause = cause.__cause__
    return None


def memory_ran_out(error: BaseException) -> bool:
    """Whether memory ran out; torch's own class is known by name, for torch is not imported here."""
    return isinstance(error, MemoryError) or any(kind.__name__ == "OutOfMemoryError" for kind in type(error).__mro__)


def sentence(error: object) -> str:
    """What an error says, with its full stop."""
    text = str(error).rstrip()
    return text if text.endswith((".", "!", "?")) else f"{text}."


def suggestion(word: str, known: Iterable[str]) -> str:
    """` (did you mean steps?)` when a known word is near, else nothing."""
    if len(word) > _LONGEST_WORD:
        return ""
    close = difflib.get_close_matches(word, list(known), n=1)
    return f" (did you mean {close[0]}?)" if close else ""
