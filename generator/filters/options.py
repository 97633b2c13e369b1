"""Settings of a filter, read from the job file or refused with the key that is wrong."""

from __future__ import annotations

import math
from collections.abc import Mapping

from medim_forge.generator.errors import SpecError, suggestion
from medim_forge.generator.filters.lexicon import words_of


def known_options(name: str, given: Mapping[str, object], known: tuple[str, ...]) -> None:
    """Every given key is one the filter knows.

    Raises:
        SpecError: a key is not known.
    """
    for key in given:
        if key not in known:
            listed = ", ".join(known) or "none"
            raise SpecError(
                f"filters: {name}: options.{key} is not a known key{suggestion(key, known)}. Known: {listed}."
            )


def number_option(name: str, key: str, value: object) -> float:
    """The option as a finite number >= 0.

    Raises:
        SpecError: it is something else.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
        raise SpecError(f"filters: {name}: options.{key} is {value!r}; give a finite number that is not negative.")
    return float(value)


def flag_option(name: str, key: str, value: object) -> bool:
    """The option as true or false.

    Raises:
        SpecError: it is something else.
    """
    if not isinstance(value, bool):
        raise SpecError(f"filters: {name}: options.{key} is {value!r}; give true or false.")
    return value


def words_option(name: str, key: str, value: object) -> frozenset[str]:
    """The words of the listed words and terms, as the lexicon looks them up.

    Raises:
        SpecError: it is no list of text.
    """
    if not isinstance(value, list) or not all(isinstance(word, str) and word.strip() for word in value):
        raise SpecError(f"filters: {name}: options.{key} is {value!r:.80}; give a list of words.")
    return words_of("\n".join(value))
