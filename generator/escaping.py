"""Text from jobs, data and libraries as it may be shown: nothing in it commands a terminal or a page.

Escape sequences move a cursor, rename a window or paint over what was said; bidirectional overrides show other words
than are there; markup in a card runs where the card is shown.
"""

from __future__ import annotations

import re
import unicodedata

_KEPT = "\n\t"
# Overrides and isolates of the writing direction, and separators that end a line unseen.
_UNSEEN = {*range(0x202A, 0x202F), *range(0x2066, 0x206A), 0x200E, 0x200F, 0x061C, 0x2028, 0x2029, 0xFEFF}
_TAG = re.compile(r"<(?=[A-Za-z/!?])")
_LINK = re.compile(r"(?<!\\)\](?=[(\[])")


def visible(text: str) -> str:
    r"""The text with controls written out (`\x1b`, `\u202e`); line ends and tabs stay."""
    if text.isascii() and text.replace("\n", "").replace("\t", "").isprintable():
        return text
    return "".join(_written(letter) for letter in text)


def markdown(text: str) -> str:
    """The text as Markdown that is neither HTML nor a link or an image; controls are written out."""
    return _LINK.sub(r"\\]", _TAG.sub("&lt;", visible(text)))


def _written(letter: str) -> str:
    number = ord(letter)
    if letter in _KEPT or (number not in _UNSEEN and unicodedata.category(letter) not in ("Cc", "Cs")):
        return letter
    return f"\\x{number:02x}" if number < 0x100 else f"\\u{number:04x}"
