"""Which frontal view of a chest a report says that its image has."""

from __future__ import annotations

import re
from typing import Literal

View = Literal["PA", "AP"]

# The abbreviations alone may mean the pulmonary artery or the aortopulmonary window.
_ABBREVIATED = re.compile(
    r"\b(?:upright|erect|supine|portable|semi-upright|single|frontal)\s+(PA|AP)\b"
    r"|\b(PA|AP)\s+(?:chest|film|image|portable|projection|radiograph|supine|upright|view)\b"
)
_SPELLED = re.compile(r"\b(?:(postero-?anterior)|(antero-?posterior))\b(?!\s+(?:diameter|dimension))", re.IGNORECASE)
_SECOND_VIEW = re.compile(
    r"\blateral(?:ly)?\s+(?:chest|film|image|projection|radiograph|view)|\b(?:and|two|2|&)\s+(?:lateral|views)\b",
    re.IGNORECASE,
)
_OTHER_IMAGE = re.compile(r"\b(?:compar\w+|prior|previous\w*|earlier)\b", re.IGNORECASE)
_SENTENCE = re.compile(r"[^.!?\n]+")


def stated_view(report: str) -> View | None:
    """The one frontal view that a report says its image has; None when it names none, both, or a lateral one.

    Sentences about other images (a prior, a comparison) do not count.
    """
    if _SECOND_VIEW.search(report):
        return None
    found: set[View] = set()
    for sentence in _SENTENCE.findall(report):
        if _OTHER_IMAGE.search(sentence):
            continue
        for match in _ABBREVIATED.finditer(sentence):
            found.add("PA" if "PA" in match.groups() else "AP")
        for match in _SPELLED.finditer(sentence):
            found.add("PA" if match.group(1) else "AP")
    return found.pop() if len(found) == 1 else None
