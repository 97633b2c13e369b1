"""Filters that drop one kind of pairs more than others: a bound that is meant for quality may act as one on content."""

from __future__ import annotations

import math
from collections.abc import Mapping

from medim_forge.generator.plan.strata import Stratum, of_domain

Losses = Mapping[tuple[str, Stratum], int]
LEAST = 5  # pairs; fewer say nothing
TIMES = 2.0  # the share of the other pairs of the domain
ERRORS = 4.0  # standard errors of the difference: of a thousand comparisons none exceeds them by chance
NAMED = 3  # kinds of pairs per filter, the most uneven first


def uneven_losses(judged: Mapping[Stratum, int], dropped: Losses) -> list[str]:
    """A line for every filter and domain of which a kind of pairs loses significantly more than its share.

    A finding, label or prompt is named where the filter drops at least five of its pairs, at least twice the share that
    it drops of all other pairs of the domain, and the difference of the two shares is above four standard errors.

    Args:
        judged: pairs by stratum.
        dropped: of these, by filter and stratum; a pair may be dropped by several filters.
    """
    found: dict[tuple[str, str], list[tuple[float, str]]] = {}
    for (name, stratum), lost in dropped.items():
        whole = of_domain(stratum.domain)
        pairs, all_lost = judged[stratum], dropped[name, whole]
        others, others_lost = judged[whole] - pairs, all_lost - lost
        errors = _errors(lost, pairs, others_lost, others)
        if stratum.kind == "domain" or lost < LEAST or errors <= ERRORS or lost / pairs < TIMES * others_lost / others:
            continue
        words = f"{stratum.kind} {stratum.name} {lost} of {pairs} pairs (of the others {others_lost} of {others})"
        found.setdefault((name, stratum.domain), []).append((-errors, words))
    return [
        f"{name} drops more than its share of some {domain} pairs: "
        + ", ".join(words for _, words in sorted(kinds)[:NAMED])
        for (name, domain), kinds in sorted(found.items())
    ]


def _errors(lost: int, pairs: int, others_lost: int, others: int) -> float:
    """By how many standard errors the first share exceeds the second; 0 where there are no others."""
    if not pairs or not others:
        return 0.0
    share = (lost + others_lost) / (pairs + others)
    error = math.sqrt(share * (1 - share) * (1 / pairs + 1 / others))
    return (lost / pairs - others_lost / others) / error if error else 0.0
