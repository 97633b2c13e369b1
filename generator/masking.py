"""Texts without the secrets that may stand in them: credentials in addresses, and values of the environment.

A message may quote what a library said, an address that was given, or a variable. Whatever is shown, logged or kept
passes here: every error of ours, and every traceback that a dataset keeps.
"""

from __future__ import annotations

import os
import re
from urllib.parse import quote

MASK = "***"
# user:password@ or token@ of an address, and a bare user:password@host.
_USER = re.compile(r"(?P<scheme>[a-zA-Z][a-zA-Z0-9+.-]*://)[^\s/@'\"?#]+@")
_BARE = re.compile(r"(?<![\w/@.+-])[\w.+-]+:[^\s/@'\",;()]+@(?=[\w.-]+)")
# Signed addresses carry their secret behind the question mark.
_QUERY = re.compile(r"(?P<address>[a-zA-Z][a-zA-Z0-9+.-]*://[^\s?'\"]+\?)[^\s'\"=]+=[^\s'\"]*")
_SECRET_NAME = re.compile(r"TOKEN|SECRET|PASSWORD|PASSWD|ACCESS_KEY|API_KEY|CREDENTIAL", re.IGNORECASE)
_LEAST = 8  # characters: shorter values are words that stand anywhere


def masked(text: str) -> str:
    """The text with `***` in the place of credentials."""
    for value in _secrets():
        text = text.replace(value, MASK)
    if "@" in text:
        text = _BARE.sub(f"{MASK}@", _USER.sub(rf"\g<scheme>{MASK}@", text))
    return _QUERY.sub(rf"\g<address>{MASK}", text) if "?" in text else text


def holds_credentials(address: str) -> bool:
    """Whether an address carries a user, a password, a token or a signature."""
    return bool(_USER.search(address) or _QUERY.search(address))


def _secrets() -> list[str]:
    """Values of secret variables as they may be written, the longest first."""
    values = {value for name, value in os.environ.items() if _SECRET_NAME.search(name) and len(value) >= _LEAST}
    # A path or a mode is no secret, though its variable is called after one.
    values = {value for value in values if not value.startswith("/")}
    return sorted({*values, *(quote(value, safe="") for value in values)}, key=len, reverse=True)
