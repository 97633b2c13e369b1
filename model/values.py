"""What goes into a model and what comes out of it, one row per pair.

Legend: H W pixels, T report slots, I image slots, D width.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True)
class Given:
    """What is known of a pair before sampling.

    Attributes:
        domain: which codebook.
        seed: 63 bits; all of the pair's randomness.
        opening: visible opening words; empty for none.
        report: whole report, or None.
        report_ids: int32 [T], all report slots of a report that was made before, or None; they go before `report`, for
            sampled pieces need not be those that the text is read back as.
        image: uint8 [H, W] or [H, W, 3] at the tokenizer's resolution, or None.
        size: width and height of the given image before it was brought to that resolution, for the conditioning; None
            states the domain's usual size.
    """

    domain: str
    seed: int
    opening: str = ""
    report: str | None = None
    report_ids: NDArray[np.int32] | None = None
    image: NDArray[np.uint8] | None = None
    size: tuple[int, int] | None = None


@dataclass(frozen=True, kw_only=True)
class Made:
    """A finished pair.

    Attributes:
        image: uint8 [H, W] (one-channel domains) or [H, W, 3]; the given image, where one was given.
        codes: int32 [I], codebook ids.
        report: text; the given one, where one was given.
        report_ids: int32 [T], the report slots as they were given or sampled.
        report_logprob, image_logprob: nats per generated token; NaN where nothing was generated.
        agreement: pointwise mutual information of the report given the image, nats per report token.
        image_agreement: of the image given the report, nats per image code.
        fluency, image_fluency: log-likelihood of either side without the other, nats per token.
        sentence_agreement: of each sentence behind the opening, nats per report token.
        embedding: float16 [D].
        image_novelty, report_novelty: how far either side is from what the checkpoint was trained on, as a share of the
            limit that such data keep to; NaN where the checkpoint has no ranges.
    """

    image: NDArray[np.uint8]
    codes: NDArray[np.int32]
    report: str
    report_ids: NDArray[np.int32]
    report_logprob: float
    image_logprob: float
    agreement: float
    image_agreement: float
    fluency: float
    image_fluency: float
    sentence_agreement: tuple[float, ...]
    embedding: NDArray[np.float16]
    image_novelty: float = math.nan
    report_novelty: float = math.nan
