"""Which of the 14 CheXpert observations a chest report asserts, denies or doubts."""

from __future__ import annotations

import math

from medim_forge.generator.domains import facts_of
from medim_forge.generator.filters import observations
from medim_forge.generator.filters.kind import FilterKind, measured_by
from medim_forge.generator.filters.observations import OBSERVATIONS, mentions
from medim_forge.generator.records import Pair

NAME = "labels"


def labels(pair: Pair) -> dict[str, float]:
    """The values of all observations, and as the main score how many are asserted, `no_finding` not counted.

    Returns:
        `label_<observation>` is 1 where it is asserted, 0 where denied, -1 where in doubt, and NaN where not mentioned.
        All scores are NaN where the domain's reports are not labelled.
    """
    if not facts_of(pair.request.prompt.domain).chexpert:
        return dict.fromkeys(KIND.scores, math.nan)
    found = observations.labels(mentions(pair.report))
    asserted = sum(value == 1 for name, value in found.items() if name != "no_finding")
    values = {f"label_{name}": float(found.get(name, math.nan)) for name in OBSERVATIONS}
    return {NAME: float(asserted)} | values


KIND = FilterKind(
    name=NAME,
    scores={
        NAME: "observations that the report asserts, `no_finding` not counted",
        **{f"label_{name}": f"{name.replace('_', ' ')}: 1 asserted, 0 denied, -1 in doubt" for name in OBSERVATIONS},
    },
    build=measured_by(labels),
    sees="report",
)
