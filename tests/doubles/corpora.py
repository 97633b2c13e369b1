"""Corpora of tests: what sources in a few words give, row by row."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from medim_forge.generator.corpus import Corpus, CorpusRow, LeftOut, open_corpus
from medim_forge.generator.jobspec.data import DataSection

REAL = {"domain": "chest_xray", "terms": ["CC0"], "deidentified": True}


def section(*sources: Mapping[str, Any], **rules: Any) -> DataSection:
    return DataSection.model_validate({"sources": [dict(source) for source in sources], **rules})


def corpus_of(*sources: Mapping[str, Any], **rules: Any) -> Corpus:
    """The corpus of sources, each with the terms of real data."""
    return open_corpus(section(*({**REAL, **source} for source in sources), **rules), "own.yaml")


def rows_of(*sources: Mapping[str, Any], **rules: Any) -> tuple[list[CorpusRow], list[LeftOut]]:
    """What is kept and what is left out, each in order."""
    rows = list(corpus_of(*sources, **rules).rows())
    return [row for row in rows if isinstance(row, CorpusRow)], [row for row in rows if isinstance(row, LeftOut)]


def reasons(left_out: list[LeftOut]) -> dict[str, int]:
    return dict(Counter(row.reason for row in left_out))
