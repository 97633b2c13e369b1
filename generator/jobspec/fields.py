"""What the keys of all job files are made of: strict, frozen sections, and the values that stand in several of them."""

from __future__ import annotations

import datetime
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field
from pydantic_core import PydanticKnownError

from medim_forge.generator.domains import DOMAINS, NAME
from medim_forge.generator.errors import suggestion
from medim_forge.generator.filters.observations import OBSERVATIONS
from medim_forge.generator.masking import holds_credentials
from medim_forge.generator.phantoms import DOMAINS as DRAWN

MAX_SEED = 2**63 - 1
MOST_PAIRS = 10_000_000
MOST_OF_TEXT = 20_000  # characters; reports are shorter
_MOST_OF_PATH, _MOST_OF_NAME = 4096, 255  # bytes that file systems take


def at_most(limit: float, because: str) -> AfterValidator:
    """A check that a number is not beyond a limit, which says why there is one."""

    def check(value: float) -> float:
        if value > limit:
            raise ValueError(f"give at most {limit:,}, {because}")
        return value

    return AfterValidator(check)


def _seven_digits(pairs: int) -> int:
    if pairs > MOST_PAIRS:
        raise ValueError(TOO_MANY_PAIRS)
    return pairs


TOO_MANY_PAIRS = (
    f"give at most {MOST_PAIRS:,}, because the number of a pair has seven digits; split the job, each part with a seed "
    "of its own"
)
Seed = Annotated[int, Field(ge=0, le=MAX_SEED)]
Count = Annotated[int, Field(ge=1, le=1_000_000_000)]
# Pairs of a job.
Pairs = Annotated[int, Field(ge=1), AfterValidator(_seven_digits)]
Threads = Annotated[int, Field(ge=1), at_most(1024, "for no machine runs more threads at a time")]
Share = Annotated[float, Field(ge=0, le=1)]
Text = Annotated[str, Field(min_length=1, max_length=1000)]


def _place(text: str) -> str:
    """The path or address, which holds no control character and nothing that a shell would have to expand."""
    if holds_credentials(text):
        raise ValueError(
            "holds credentials, and a job file is kept with its dataset; leave them out and set AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY, AWS_PROFILE, or a role of the machine"
        )
    try:
        content = text.encode()
    except UnicodeEncodeError as error:
        raise ValueError("holds what is no UTF-8 text; rename the folder or file") from error
    if len(content) > _MOST_OF_PATH:
        raise ValueError(f"is a path of {len(content):,} bytes, and systems take {_MOST_OF_PATH:,}; give a shorter one")
    if (longest := max(map(len, content.split(b"/")))) > _MOST_OF_NAME:
        raise ValueError(
            f"has a name of {longest:,} bytes between its slashes, and systems take {_MOST_OF_NAME}; give a shorter one"
        )
    if any(ord(character) < 32 or ord(character) == 127 for character in text):
        raise ValueError("holds a line end or another control character; leave it out")
    if text.startswith("~") or "$" in text:
        raise ValueError("nobody expands ~ and $ here, for a job may run on other machines; write the whole path")
    return text


# Where something lies: a path, or an address.
Place = Annotated[str, Field(min_length=1), AfterValidator(_place)]
# Words of a report: blanks, tabs and line ends between them are one blank, and there are none around them.
Words = Annotated[str, Field(max_length=MOST_OF_TEXT), AfterValidator(lambda text: " ".join(text.split()))]


class Section(BaseModel, extra="forbid", frozen=True, strict=True, allow_inf_nan=False):
    """A mapping of the job file: unknown keys and implicit conversions are errors."""


def _to_date(value: object) -> object:
    """The date that an ISO string writes; anything else is left to the type check."""
    if isinstance(value, str):
        try:
            return datetime.date.fromisoformat(value)
        except ValueError:
            raise ValueError("is no date; write year-month-day, e.g. 2026-11-23") from None
    return value


# YAML reads an unquoted 2026-11-23 as a date and a quoted one as text; both mean the same here.
IsoDate = Annotated[datetime.date, BeforeValidator(_to_date)]


def _word_of(known: Iterable[str]) -> BeforeValidator:
    """A check that a value is one of a closed list of words, which may grow; pydantic says of others what they are."""

    def check(value: object) -> object:
        words = tuple(known)
        if not isinstance(value, str) or value not in words:
            raise PydanticKnownError("literal_error", {"expected": ", ".join(words)})
        return value

    return BeforeValidator(check)


def _drawn_domain(name: str) -> str:
    if name not in DRAWN:
        raise ValueError(f"has no phantoms; they are drawn of {' and '.join(DRAWN)}")
    return name


def _domain_name(name: str) -> str:
    if not NAME.fullmatch(name):
        near = suggestion(name.lower(), DOMAINS)
        raise ValueError(
            f"is no name of a domain{near}; known are {', '.join(DOMAINS)}, and a checkpoint may have one of its own, "
            "a letter and then letters, digits and underscores, all small"
        )
    return name


# A row of the table of domains, or what a checkpoint calls its own; `medim plan` asks the checkpoint.
DomainName = Annotated[str, AfterValidator(_domain_name)]
# One that phantoms are drawn of.
DrawnDomain = Annotated[DomainName, AfterValidator(_drawn_domain)]
# A CheXpert observation.
Label = Annotated[str, _word_of(OBSERVATIONS)]


def named_twice(names: Sequence[str]) -> str:
    """The names that occur more than once, sorted and separated by commas; empty where all differ."""
    return ", ".join(sorted(name for name, count in Counter(names).items() if count > 1))
