"""How reports are cut into sentences and words."""

from __future__ import annotations

import re

_SENTENCE_END = re.compile(r"(?<=[.:;!?])\s+|\n+")
_WORD = re.compile(r"[a-z]+(?:'[a-z]+)?")
_TOKEN = re.compile(r"[a-z0-9]+(?:['/-][a-z0-9]+)*")
# Unlike a sentence, a statement may hold a semicolon.
_STATEMENT_END = re.compile(r"[.!?:]\s+|\n+")


def sentences(report: str) -> list[str]:
    """The sentences of a report in lower case, each with its punctuation."""
    return _SENTENCE_END.split(report.lower())


def words(text: str) -> list[str]:
    """The words of a text in lower case: letters, with an apostrophe at most."""
    return _WORD.findall(text.lower())


def tokens(text: str) -> list[str]:
    """The words of a text in lower case, numbers and compounds such as `left-sided` and `3/4` among them."""
    return _TOKEN.findall(text.lower())


def statements(report: str) -> list[str]:
    """The statements of a report as tokens that are joined by spaces; those without tokens are left out."""
    parts = (tokens(part) for part in _STATEMENT_END.split(report.lower()))
    return [" ".join(part) for part in parts if part]
