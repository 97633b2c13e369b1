"""What an unquoted word of a job file is: nothing, true or false, a number, a date, or text."""

from __future__ import annotations

import datetime
import re

MOST_DIGITS = 100  # of a whole number
NUMBER_STARTS = "-+.0123456789"
WHOLE = re.compile(r"[-+]?[0-9][0-9_]*$")
# Without a point, 1e5 stays text: the hint says how to write it.
FRACTION = re.compile(r"([-+]?([0-9][0-9_]*\.[0-9_]*|\.[0-9]+)([eE][-+][0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN))$")
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}$")
_NOTHING = frozenset({"", "~", "null", "Null", "NULL"})
_TRUTH = {
    spelled: value
    for value, words in ((True, ("yes", "true", "on")), (False, ("no", "false", "off")))
    for word in words
    for spelled in (word, word.capitalize(), word.upper())
}

Scalar = str | int | float | bool | datetime.date | None


def scalar(text: str) -> Scalar:
    """The value of an unquoted word.

    Raises:
        ValueError: it is a number or a date that would be read as another one; says how to write it.
    """
    if text in _NOTHING:
        return None
    if text in _TRUTH:
        return _TRUTH[text]
    if text[0] not in NUMBER_STARTS:
        return text
    if _DAY.match(text):
        return _day(text)
    if WHOLE.match(text):
        return _whole(text)
    return _fraction(text) if FRACTION.match(text) else text


def _whole(text: str) -> int:
    plain = text.replace("_", "")
    digits = plain.lstrip("+-")
    if len(digits) > MOST_DIGITS:
        raise ValueError(f"a number of {len(digits)} digits is beyond every range")
    if len(digits) > 1 and digits.startswith("0"):
        raise ValueError(f"{text} begins with 0; write {int(plain)}")
    return int(plain)


def _fraction(text: str) -> float:
    return float(text.replace("_", "").lower().replace(".inf", "inf").replace(".nan", "nan"))


def _day(text: str) -> datetime.date:
    try:
        return datetime.date.fromisoformat(text)
    except ValueError as error:
        raise ValueError(f"{text} is no date ({error}); write year-month-day, e.g. 2026-11-23") from error
