"""Is the pair new: similarity of image and report to earlier pairs; every score depends on other pairs.

Similarities are computed in `medim_forge.generator.similarity`, for the pairs of a shard by
`medim_forge.generator.shards.compare` and over the whole dataset by `medim_forge.generator.selection.policy`.
"""

from __future__ import annotations

from typing import Literal, get_args

from medim_forge.generator.errors import SpecError
from medim_forge.generator.filters.kind import FilterKind
from medim_forge.generator.filters.threshold import FilterRule
from medim_forge.generator.records import Judged

NAME = "near_duplicates"

By = Literal["both", "image", "report"]


def compared_by(rule: FilterRule) -> By:
    """Which similarity is the main score.

    Raises:
        SpecError: the job names another.
    """
    match rule.options.get("by", "both"):
        case "both" | "image" | "report" as by:
            return by
        case other:
            raise SpecError(f"filters: {NAME}: options.by is {other!r}; give one of {', '.join(get_args(By))}.")


def _checked(rule: FilterRule) -> None:
    """The options of the rule are sound; nothing is judged of a pair that is alone."""
    compared_by(rule)


def as_near(judged: Judged, scores: tuple[float, float, float]) -> Judged:
    """The pair with its similarities, in the order of the kind's scores: the main one, of images, of reports."""
    return judged.with_scores(dict(zip(KIND.scores, scores, strict=True)))


KIND = FilterKind(
    name=NAME,
    scores={
        NAME: (
            "similarity to the nearest earlier pair of the shard, in [0, 1], by image and report both unless the "
            "job says otherwise"
        ),
        "near_image": (
            "the same of images: 1 less the share of differing hash bits (chest), or the cosine of embeddings "
            "(pathology)"
        ),
        "near_report": "the same of reports: Jaccard index of five-character shingles, by MinHash",
    },
    build=_checked,
    sees="pair",
    options=("by",),
    unit=True,
    relative={NAME: 0.0, "near_image": 0.0, "near_report": 0.0},
    whole_dataset=True,
    low_is="new",
)
