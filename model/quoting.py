"""Values in messages: as they are written, on one line, and cut where they are long."""

from __future__ import annotations


def shown(value: object, most: int = 200) -> str:
    """A name as messages repeat it: what cannot be printed is spelled out, and what is too long is cut."""
    text = str(value)
    kept = text[:most]
    plain = "".join(character if character.isprintable() else repr(character)[1:-1] for character in kept)
    return plain if len(text) <= most else f"{plain} ... ({len(text):,} characters)"


def quoted(value: object, most: int = 80) -> str:
    """A value as messages repeat it: as Python writes it, cut where it is too long."""
    if isinstance(value, str):
        return repr(value) if len(value) <= most else f"{value[:most]!r} ... ({len(value):,} characters)"
    text = repr(value)
    return text if len(text) <= most else f"{text[:most]} ..."
