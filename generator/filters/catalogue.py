"""Which filters there are, and what a job may say of them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from difflib import get_close_matches

# Filters that see what a task is given, and nothing that it makes.
GIVEN_SIDE: Mapping[str, tuple[str, ...]] = {
    "report_to_image": ("report_form", "nonwords", "references", "contradictions", "labels", "fluency"),
    "image_to_report": ("image_stats",),
}
OWN_FILTERS = (
    "image_stats",
    "report_form",
    "nonwords",
    "references",
    "contradictions",
    "labels",
    "fluency",
    "agreement",
    "duplicates",
    "near_duplicates",
)
UNIT_FILTERS = ("image_stats", "report_form", "nonwords", "duplicates", "near_duplicates")  # scores in [0, 1]
_OTHER_FILTER = re.compile(r"x_[a-z0-9_]{1,30}")  # plugins, see `medim_forge.generator.filters.plugins`


def known_filter(name: str) -> str:
    """The name, which is that of a filter or of an installed plugin.

    Raises:
        ValueError: it is neither.
    """
    if name in OWN_FILTERS or _OTHER_FILTER.fullmatch(name):
        return name
    close = get_close_matches(name, OWN_FILTERS, n=1)
    hint = f" (did you mean {close[0]}?)" if close else ""
    raise ValueError(f"is no filter{hint}. Known: {', '.join(OWN_FILTERS)}, and installed judges, which begin with x_")
