"""Does the picture look like a picture at all: sharpness, entropy, saturation, contrast, padding, colour, tissue."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medim_forge.generator.domains import DomainFacts, facts_of
from medim_forge.generator.filters.kind import FilterKind
from medim_forge.generator.filters.options import number_option
from medim_forge.generator.filters.threshold import FilterRule, Threshold, stored
from medim_forge.generator.records import Pair, Verdict

NAME = "image_stats"
STATISTICS = {
    "sharpness": "variance of the 4-neighbour Laplacian, grey levels squared",
    "entropy": "entropy of the 256-bin histogram, bits",
    "saturation": "share of pixels at level 2 or below, or 253 or above",
    "std": "standard deviation, grey levels",
    "bars": "largest share of a side taken by flat rows or columns at the border",
    "chroma": "mean spread between colour channels, levels",
    "tissue": "share of pixels that are not empty glass",
}
OPTIONS = ("min_sharpness", "min_entropy", "min_std", "min_tissue", "max_saturation", "max_bars", "max_chroma")
DEFAULT_BOUNDS = {"min_std": 2.0}  # levels: below this nothing can be seen, whatever the domain
LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)  # ITU-R BT.601
FLAT_STD = 6.0  # levels within one row or column of a padding bar
DARK, BRIGHT = 2, 253  # levels at or beyond which a pixel holds no information
GLASS_LEVEL, GLASS_SPREAD = 225.0, 15.0  # empty glass of a slide is bright and without colour


@dataclass(frozen=True, kw_only=True)
class ImageStats:
    """Statistics of the image; the main score says how far the worst one is inside its bounds.

    Main score: 1 when every statistic is within its bound, falling to 0 as the worst of them leaves it (a value at half
    its lower, or twice its upper bound scores .5). By default only blank images (standard deviation under 2 levels)
    score under 1; a job that does not name the filter drops them.

    Attributes:
        threshold: kept range of the main score.
        bounds: `min_<statistic>` or `max_<statistic>` to value.
    """

    threshold: Threshold
    bounds: Mapping[str, float]
    name: str = NAME

    @classmethod
    def of(cls, rule: FilterRule) -> ImageStats:
        """The filter a job file asks for.

        Raises:
            SpecError: an option is no number.
        """
        given = {key: number_option(NAME, key, value) for key, value in rule.options.items()}
        return cls(threshold=Threshold.of(rule), bounds=DEFAULT_BOUNDS | given)

    def judge(self, pair: Pair) -> Verdict:
        """Every statistic of the pair's image.

        Raises:
            ValueError: the image is not uint8 [H, W] or [H, W, 3].
        """
        found = statistics(pair.image, facts_of(pair.request.prompt.domain))
        return self.decide({name: stored(value) for name, value in found.items()})

    def decide(self, found: Mapping[str, float]) -> Verdict:
        """The verdict on an image of these statistics."""
        found = {name: found[name] for name in STATISTICS}
        margins = {key: margin(key, bound, found) for key, bound in self.bounds.items()}
        score = min(margins.values(), default=1.0)
        outside = ",".join(key.removeprefix("min_").removeprefix("max_") for key in OPTIONS if margins.get(key, 1) < 1)
        reasons = tuple(f"{reason} ({outside})" for reason in self.threshold.reasons(score))
        return Verdict(kept=not reasons, reasons=reasons, scores={NAME: score} | found)


def margin(key: str, bound: float, found: Mapping[str, float]) -> float:
    """1 when the statistic that `key` names is within `bound` or does not apply, else how near it is, in [0, 1)."""
    value = found[key.removeprefix("min_").removeprefix("max_")]
    if math.isnan(value):
        return 1.0
    if key.startswith("min_"):
        return 1.0 if value >= bound else value / bound
    return 1.0 if value <= bound else bound / value


def statistics(image: NDArray[np.uint8], domain: DomainFacts) -> dict[str, float]:
    """All of `STATISTICS`; `tissue` is NaN where no tissue is stained and `chroma` of colour images: it means nothing.

    Args:
        image: uint8 [H, W] or [H, W, 3].
        domain: what it shows.

    Raises:
        ValueError: the image has another type or shape.
    """
    if image.dtype != np.uint8 or image.ndim not in (2, 3) or 0 in image.shape or image.shape[2:] not in ((), (3,)):
        raise ValueError(f"image is {image.dtype} {image.shape}; uint8 [H, W] or [H, W, 3] is needed")
    level = image.astype(np.float32) if image.ndim == 2 else image.astype(np.float32) @ LUMA
    coloured = image.ndim == 3 if domain.colour is None else domain.colour
    spread = np.ptp(image, axis=2).astype(np.float32) if image.ndim == 3 else np.zeros_like(level)
    tissue = (level < GLASS_LEVEL) | (spread > GLASS_SPREAD)
    return {
        "sharpness": laplacian_variance(level),
        "entropy": entropy(level),
        "saturation": float(np.mean((level <= DARK) | (level >= BRIGHT))),
        "std": float(level.std(dtype=np.float64)),
        "bars": bar_share(level),
        "chroma": math.nan if coloured else float(spread.mean(dtype=np.float64)),
        "tissue": float(tissue.mean()) if domain.stained else math.nan,
    }


def laplacian_variance(level: NDArray[np.float32]) -> float:
    """Variance of the 4-neighbour Laplacian, levels squared; 0 where the image is too small to have one."""
    if min(level.shape) < 3:
        return 0.0
    inner = level[1:-1, 1:-1]
    laplacian = level[:-2, 1:-1] + level[2:, 1:-1] + level[1:-1, :-2] + level[1:-1, 2:] - 4 * inner
    return float(laplacian.var(dtype=np.float64))


def entropy(level: NDArray[np.float32]) -> float:
    """Shannon entropy of the 256-bin histogram, bits."""
    counts = np.bincount(level.astype(np.uint8).ravel(), minlength=256)
    share = counts[counts > 0] / level.size
    return abs(float(-(share * np.log2(share)).sum()))


def bar_share(level: NDArray[np.float32]) -> float:
    """Largest share of a side taken by flat rows or columns that touch the border: square padding, film edges."""
    return max(edge_share(level.std(axis=1) < FLAT_STD), edge_share(level.std(axis=0) < FLAT_STD))


def edge_share(flat: NDArray[np.bool_]) -> float:
    """Share of leading and trailing True entries."""
    busy = np.flatnonzero(~flat)
    if busy.size == 0:
        return 1.0
    return float(busy[0] + flat.size - 1 - busy[-1]) / flat.size


KIND = FilterKind(
    name=NAME,
    scores={NAME: "main score: 1 when every image statistic is within its bound", **STATISTICS},
    build=ImageStats.of,
    sees="image",
    options=OPTIONS,
    drop_below=1.0,
    unit=True,
)
