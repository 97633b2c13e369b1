"""Is what was given like anything that the checkpoint was trained on; see `medim_forge.model.familiarity`."""

from __future__ import annotations

import math

from medim_forge.generator.filters.kind import FilterKind, measured_by
from medim_forge.generator.records import Pair

NAME = "novelty"
IMAGE, REPORT = f"{NAME}_image", f"{NAME}_report"
LIMIT = 1.0  # beyond it nothing in training was like it


def novelty(pair: Pair) -> dict[str, float]:
    """How far each given side is from those of training, as a share of the limit that these keep to.

    What the model made itself says nothing of this: a generated side is not measured.
    """
    image = pair.image_novelty if pair.request.given_image is not None else math.nan
    report = pair.report_novelty if pair.request.given_report is not None else math.nan
    return {NAME: report if math.isnan(image) else image, IMAGE: image, REPORT: report}


KIND = FilterKind(
    name=NAME,
    scores={
        NAME: "that of the given side, which is either score_novelty_image or score_novelty_report",
        IMAGE: "how far the given image is from those of training, 1 at the limit that these keep to",
        REPORT: "the same of the given report",
    },
    build=measured_by(novelty),
    sees="pair",
    low_is="familiar",
)
