"""The error tree of the factory. Every message says what is wrong, where, and how to fix it.

MedimError
|-- SpecError          the job file, or something it names, is wrong: nothing was started
|-- InputError         a given image or report cannot be read
|-- RowError           one row cannot be generated, judged or written; it is quarantined, the rest go on
|-- ShardError         a shard failed as a whole; it is retried
|   `-- DeviceMemoryError  memory ran out; when retries do not help the job stops, for no row is to blame
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
from collections.abc import Iterable

from medim_forge.generator.masking import masked

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


class DeviceMemoryError(ShardError):
    """Memory ran out while a shard was made; when retries do not help the job stops, for no row is to blame."""


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
