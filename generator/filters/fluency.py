"""Does the report read like one: the replica's own likelihood of it without the image."""

from __future__ import annotations

from medim_forge.generator.filters.kind import FilterKind, measured_by
from medim_forge.generator.records import Pair

NAME = "fluency"


def fluency(pair: Pair) -> dict[str, float]:
    """The masked pseudo-log-likelihood of the report, nats per token, as the replica measured it for `agreement`."""
    return {NAME: float(pair.fluency)}


KIND = FilterKind(
    name=NAME,
    scores={NAME: "log-likelihood of the report without the image, nats per report token"},
    build=measured_by(fluency),
    sees="report",
)
