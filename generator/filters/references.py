"""What a report refers to that one image cannot show: earlier examinations, other views, other methods."""

from __future__ import annotations

import re

from medim_forge.generator.filters.kind import FilterKind, measured_by
from medim_forge.generator.filters.text import sentences
from medim_forge.generator.records import Pair

NAME = "references"
PRIOR = re.compile(
    r"\b(?:compar(?:ed|ison) (?:to|with|is made)|in comparison|previous(?:ly)?"
    r"|prior (?:study|exam\w*|radiograph|film|chest|ct|imaging)"
    r"|since (?:the )?(?:prior|previous|last)"
    r"|interval (?:change|increase|decrease|development|placement|removal|improvement)"
    r"|(?:has|have) (?:\w+ )?(?:been removed|resolved|improved|worsened|progressed|changed|increased|decreased)"
    r"|(?:un|not )changed|(?:has|have) not changed|again (?:seen|noted|demonstrated)|new(?:ly)? (?:since|from|compared)"
    r"|(?:remains?|stable|persistent|persists) (?:in (?:position|appearance)|unchanged|appearance|compared|since))\b"
)
OTHER_VIEW = re.compile(
    r"\b(?:(?:on|in|from) (?:the )?lateral (?:view|projection|radiograph|film|image)"
    r"|lateral (?:view|projection|radiograph|film)s?"
    r"|two views|(?:pa|frontal) and lateral|lateral and (?:pa|frontal)"
    r"|(?:recent|concurrent|same[- ]day|chest|abdominal) ct\b"
    r"|on (?:the )?(?:ct|mri|ultrasound)|immunohistochemi\w+|special stains?|other (?:sections?|slides?|levels?))\b"
)


def references(pair: Pair) -> dict[str, float]:
    """How many sentences refer to what one image cannot show, and how many of these to each kind of it."""
    found = sentences(pair.report)
    prior = {place for place, sentence in enumerate(found) if PRIOR.search(sentence)}
    view = {place for place, sentence in enumerate(found) if OTHER_VIEW.search(sentence)}
    counts = (len(prior | view), len(prior), len(view))
    return dict(zip(KIND.scores, map(float, counts), strict=True))


KIND = FilterKind(
    name=NAME,
    scores={
        NAME: "sentences that refer to what one image cannot show",
        "references_prior": "of these, to earlier examinations",
        "references_view": "of these, to other views or methods",
    },
    build=measured_by(references),
    sees="report",
)
