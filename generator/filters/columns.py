"""What each score column says, in the words of files, cards and docs."""

from __future__ import annotations

from medim_forge.generator.filters.catalogue import FILTERS
from medim_forge.generator.filters.plugins import meaning

SCORE_PREFIX = "score_"


def described(score: str) -> str:
    """What a score says, by its name without prefix; of a plugin's score only whose it is."""
    found = next((kind.scores[score] for kind in FILTERS.values() if score in kind.scores), meaning(score))
    return f"{found[0].upper()}{found[1:]}; null when it is not defined."
