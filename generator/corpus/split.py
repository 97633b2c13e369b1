"""Who is learned from, and who is kept for validation and test."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal, get_args

from medim_forge.generator.jobspec.data import SplitSection

Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = get_args(Split)
# What tables call them.
_CALLED: Mapping[str, Split] = MappingProxyType(
    {
        **dict.fromkeys(("train", "training", "trn", "tr"), "train"),
        **dict.fromkeys(("validation", "validate", "valid", "val", "dev", "development"), "validation"),
        **dict.fromkeys(("test", "testing", "tst", "eval", "evaluation", "holdout"), "test"),
    }
)
_WHOLE = 2**64


def patient_digest(salt: str, patient: str) -> bytes:
    """The digest that stands for a patient, 16 bytes: the same for the same salt and patient, and nothing to read.

    Whoever knows the salt and has a list of patients can find them in it; it is no anonymisation.
    """
    key = hashlib.blake2b(salt.encode(), digest_size=32).digest()
    return hashlib.blake2b(patient.encode("utf-8", "surrogateescape"), digest_size=16, key=key).digest()


def drawn_split(section: SplitSection, patient: bytes) -> Split:
    """Where a patient stands: decided by the digest alone, so that others who come or go move nobody.

    Args:
        section: of the job; more for validation or test takes further patients and gives none of them back.
        patient: digest, see `patient_digest`.
    """
    share = int.from_bytes(patient[:8], "big") / _WHOLE
    if share < section.test:
        return "test"
    # Validation is counted from the other end: neither share moves the other's patients.
    return "validation" if share >= 1 - section.validation else "train"


def named_split(said: str) -> Split | None:
    """The split that a table means; None for a word that is not known."""
    return _CALLED.get(said.strip().lower())
