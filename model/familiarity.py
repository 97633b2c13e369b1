"""How far an image or a report is from those that a checkpoint was trained on, by what the model itself makes of them.

A model answers whatever it is given: a checkpoint of drawings describes a real film as fluently as a drawing. Three
quantities say that it is out of its depth, each as a share of the limit that held-out data of the training kind keep:

| quantity       | of          | what it is                                                                         |
|----------------|-------------|------------------------------------------------------------------------------------|
| reconstruction | image       | root mean square error of the image tokenizer's own reconstruction, grey levels     |
| embedding      | image       | distance of the pooled hidden states from their mean, in standard deviations         |
| fluency        | report      | log-likelihood lost against the usual report, nats per token                         |

1 is the limit; beyond it, something is unlike anything that training showed. The ranges lie in the checkpoint's folder.
Source: reconstruction and density as scores of being out of distribution (Salehi 2021, arXiv 2110.14051).
Legend: D width, N rows.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medim_forge.model.strict_json import JsonError, built, read_mapping
from medim_forge.model.values import Made

FILE = "familiarity.json"
QUANTILE = 0.999  # of held-out data of the training kind that are within a limit
MARGIN = 1.75  # a limit is so many times that quantile: few hundred rows do not show the rarest of many thousands
_LEAST_SPREAD = 1e-3  # a place of the embedding that hardly varies says nothing
_DIGITS = 5
_MOST = 1e30  # of a limit


@dataclass(frozen=True, kw_only=True)
class Range:
    """What a domain's training data keep to.

    Attributes:
        reconstruction: limit of the reconstruction error, grey levels.
        embedding_mean, embedding_std: [D], of the pooled hidden states.
        embedding: limit of the distance from that mean, standard deviations.
        fluency: usual log-likelihood of a report, nats per token.
        fluency_loss: limit of what a report may lose against it, nats per token.
        rows: held-out pairs that the range was measured on.
    """

    reconstruction: float
    embedding_mean: tuple[float, ...]
    embedding_std: tuple[float, ...]
    embedding: float
    fluency: float
    fluency_loss: float
    rows: int

    def of_image(self, error: float, embedding_D: NDArray[np.floating]) -> float:
        """How far an image is from those of training: the greater of both shares of their limits."""
        return max(error / self.reconstruction, float(self._distance(embedding_D)) / self.embedding)

    def of_report(self, fluency: float) -> float:
        """How far a report is from those of training; 0 for one that is more usual than most."""
        return max(0.0, self.fluency - fluency) / self.fluency_loss

    def _distance(self, embedding_ND: NDArray[np.floating]) -> NDArray[np.float64]:
        return _distance(embedding_ND, np.array(self.embedding_mean), np.array(self.embedding_std))


def measured(errors_N: Sequence[float], embeddings_ND: NDArray[np.floating], fluencies_N: Sequence[float]) -> Range:
    """The range that held-out pairs of the training kind keep to.

    Args:
        errors_N: reconstruction errors of their images, grey levels.
        embeddings_ND: pooled hidden states.
        fluencies_N: log-likelihoods of their reports, nats per token.
    """
    wide_ND = np.asarray(embeddings_ND, dtype=np.float64)
    mean_D, std_D = wide_ND.mean(0), np.maximum(wide_ND.std(0), _LEAST_SPREAD)
    usual = float(np.median(fluencies_N))
    return Range(
        reconstruction=_limit(errors_N),
        embedding_mean=tuple(map(_rounded, mean_D)),
        embedding_std=tuple(map(_rounded, std_D)),
        embedding=_limit(_distance(wide_ND, mean_D, std_D)),
        fluency=_rounded(usual),
        fluency_loss=_limit(usual - np.asarray(fluencies_N)),
        rows=len(errors_N),
    )


def with_novelty(made: Made, decoded: NDArray[np.uint8], known: Range | None) -> Made:
    """The pair with how far either side is from training; as it was where nobody knows the range.

    Args:
        made: the pair.
        decoded: its image as its codes say it: uint8, of the image's shape.
        known: of its domain.
    """
    if known is None:
        return made
    return replace(
        made,
        image_novelty=known.of_image(reconstruction_error(made.image, decoded), made.embedding),
        report_novelty=known.of_report(made.fluency),
    )


def write_ranges(folder: Path, ranges: Mapping[str, Range]) -> None:
    """The ranges of every domain lie in the checkpoint's folder."""
    values = {domain: asdict(found) for domain, found in sorted(ranges.items())}
    (folder / FILE).write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")


def read_ranges(folder: Path) -> dict[str, Range]:
    """The ranges of a checkpoint by domain; empty where nobody measured them.

    Raises:
        ValueError: the file is none of ours.
    """
    path = folder / FILE
    if not path.is_file():
        return {}
    try:
        return {domain: _read(found, domain) for domain, found in read_mapping(path).items()}
    except JsonError as error:
        raise ValueError(f"{path}: holds no ranges ({error}); measure them again or remove it") from error


def reconstruction_error(image: NDArray[np.uint8], decoded: NDArray[np.uint8]) -> float:
    """Root mean square difference of an image and its reconstruction, grey levels."""
    return float(np.sqrt(np.mean((image.astype(np.float64) - decoded) ** 2)))


def _read(raw: Any, where: str) -> Range:
    """The range of one domain.

    Raises:
        JsonError: it is none.
    """
    found = built(Range, raw, where)
    assert isinstance(found, Range)
    for name in ("reconstruction", "embedding", "fluency_loss"):
        if not 0 < getattr(found, name) < _MOST:
            raise JsonError(f"{where}.{name} = {getattr(found, name)} is no limit above 0")
    if len(found.embedding_mean) != len(found.embedding_std) or not found.embedding_mean:
        raise JsonError(f"{where}.embedding_mean and embedding_std must have the same length")
    if min(found.embedding_std) <= 0:
        raise JsonError(f"{where}.embedding_std holds {min(found.embedding_std)}, and must be above 0")
    return found


def _distance(
    embedding_ND: NDArray[np.floating], mean_D: NDArray[np.floating], std_D: NDArray[np.floating]
) -> NDArray[np.float64]:
    """Root mean square of the standardised differences, [N] (or a number for [D])."""
    return np.asarray(np.sqrt((((embedding_ND - mean_D) / std_D) ** 2).mean(-1)), dtype=np.float64)


def _limit(values_N: Sequence[float] | NDArray[np.floating]) -> float:
    return _rounded(MARGIN * float(np.quantile(values_N, QUANTILE)))


def _rounded(value: float) -> float:
    """The value to five significant digits, so that the file is the same wherever it is measured."""
    return float(f"{value:.{_DIGITS}g}")
