"""How near generated pairs are to records that a model was trained on: images by their detail, reports by their words.

An image is compared by what is left of a small grey version when its smooth part is taken away, so that brightness,
noise and a shift by a pixel matter little and the body that all radiographs share does not count. It is compared with
its bars and without them, and never by its edge, because padding and frames come and go as images are stored anew.
Sources: distance to closest record and nearest-neighbour distance ratio as in the synthetic data literature (Zhao 2021,
arXiv 2102.08369); verbatim n-grams after Carlini 2021 (arXiv 2012.07805).
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from medim_forge.generator.finalise.privacy_note import NGRAM

SIDE, COARSE_SIDE = 64, 16  # pixels of the small versions
SMOOTH = 5  # pixels of the mean that is taken away
EDGE = 16  # one in so many pixels of a side, at each of its ends, is not compared
FLAT = 4  # grey levels within which a row is flat: what JPEG makes of a bar
CANDIDATES = 32  # records that look alike at first sight, and are compared in detail
LEVEL = 0.01  # share of held-out records that a threshold may flag
SAME = 0.05  # distance within which two images are one: what storing it anew, at another size or depth, changes
NO_HOLDOUT_RATIO = 0.5  # of the distances to the nearest and the next record, where nothing was held out
# Letters and digits of any script; of scripts without blanks between words, every ideograph and kana is a word.
_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]|[^\W_\u3040-\u30ff\u3400-\u9fff]+")


@dataclass(frozen=True, kw_only=True)
class Distances:
    """Distances of some images to the reference.

    Attributes:
        nearest: float32 [N], to the closest record, in [0, 2].
        ratio: float32 [N], that over the distance to the next record that is not the same; 1 where there is no other.
        record: int64 [N], which record is closest.
    """

    nearest: NDArray[np.float32]
    ratio: NDArray[np.float32]
    record: NDArray[np.int64]


class Reference:
    """Images to compare with, 9 kB each in memory.

    Args:
        images: at least one, uint8 [H, W] or [H, W, 3] of any size.

    Raises:
        ValueError: there is no image.
    """

    def __init__(self, images: Iterable[NDArray[np.uint8]]) -> None:
        sizes = [
            (features(view, COARSE_SIDE), features(view, SIDE).astype(np.float16), record)
            for record, image in enumerate(images)
            for view in _views(image)
        ]
        if not sizes:
            raise ValueError("the reference holds no image")
        # Of every view: float32 [N, COARSE_SIDE²] to find candidates, float16 [N, SIDE²] to compare them, its record.
        coarse, detail, record = zip(*sizes, strict=True)
        self._coarse, self._detail, self._record = np.stack(coarse), np.stack(detail), np.array(record, np.int64)

    def __len__(self) -> int:
        """The number of images."""
        return int(self._record[-1]) + 1

    def distances(self, images: Iterable[NDArray[np.uint8]]) -> Distances:
        """Distances of every image to its closest records, the best of some small shifts."""
        rows = [self._closest(image) for image in images]
        nearest, ratio, record = zip(*rows, strict=True) if rows else ((), (), ())
        return Distances(
            nearest=np.array(nearest, np.float32), ratio=np.array(ratio, np.float32), record=np.array(record, np.int64)
        )

    def _closest(self, image: NDArray[np.uint8]) -> tuple[float, float, int]:
        """Distance to the closest record, its ratio to that of the next other record, and which record is closest."""
        # The records that look alike at first sight; all vectors have length 1, so a product is a cosine.
        views = _views(image)
        alike = (self._coarse @ np.stack([features(view, COARSE_SIDE) for view in views], 1)).max(1)
        chosen = np.argsort(-alike, kind="stable")[:CANDIDATES]
        detail, record = self._detail[chosen].astype(np.float32), self._record[chosen]
        # Each of them in detail, at the view and the shift of the image that suit it best.
        distance = _distance((detail @ np.concatenate([_shifted(view) for view in views], 1)).max(1))
        best = int(np.argsort(distance, kind="stable")[0])
        first = float(distance[best])
        # A reference may hold a record twice, and then a copy of it would be as far from the next record as from the
        # first: the next record is the closest one that is another image.
        others = distance[(record != record[best]) & (_distance(detail @ detail[best]) > SAME)]
        second = float(others.min()) if len(others) else first
        return first, first / second if second else 1.0, int(record[best])


def _distance(cosine: NDArray[np.float32]) -> NDArray[np.float32]:
    """Between vectors of length 1, in [0, 2]."""
    distance: NDArray[np.float32] = np.sqrt(np.maximum(2 - 2 * cosine, 0))
    return distance


def features(image: NDArray[np.uint8], side: int) -> NDArray[np.float32]:
    """The detail of an image as a vector of length 1, or 0 for a blank one: float32 [side * side]."""
    return _detail(_halved(_double(image, side)))


def _double(image: NDArray[np.uint8], side: int) -> NDArray[np.float32]:
    """A grey version of an image at twice the size that is compared, float32 [2 * side, 2 * side]."""
    from PIL import Image

    size = (2 * side, 2 * side)
    return np.asarray(Image.fromarray(image).convert("L").resize(size, Image.Resampling.BILINEAR), np.float32)


def _views(image: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], ...]:
    """The image, and what is left of it without the flat rows and columns around it, which padding adds."""
    grey = image.astype(np.int16) if image.ndim == 2 else image.astype(np.int16).mean(2)
    rows, columns = (np.flatnonzero(np.ptp(grey, axis=axis) > FLAT) for axis in (1, 0))
    if not len(rows) or not len(columns):
        return (image,)
    inner = image[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return (image,) if inner.shape == image.shape else (image, np.ascontiguousarray(inner))


def _halved(double: NDArray[np.float32]) -> NDArray[np.float32]:
    """The version of half the size: means of 2 x 2 pixels."""
    side = len(double) // 2
    halved: NDArray[np.float32] = double.reshape(side, 2, side, 2).mean((1, 3))
    return halved


def _detail(level: NDArray[np.float32]) -> NDArray[np.float32]:
    """The image less its mean over `SMOOTH` pixels each way, as a vector of length 1."""
    # A table of sums gives the mean around every pixel by four look-ups.
    sums = np.pad(level, ((SMOOTH // 2 + 1, SMOOTH // 2),) * 2, mode="edge").cumsum(0, np.float64).cumsum(1)
    mean = sums[SMOOTH:, SMOOTH:] - sums[:-SMOOTH, SMOOTH:] - sums[SMOOTH:, :-SMOOTH] + sums[:-SMOOTH, :-SMOOTH]
    detail = (level - mean / SMOOTH**2).astype(np.float32)
    # A row of padding at the edge, or a frame, is no detail of the picture.
    edge = max(1, len(level) // EDGE)
    detail[:edge] = detail[-edge:] = 0
    detail[:, :edge] = detail[:, -edge:] = 0
    detail = detail.ravel()
    length = float(np.linalg.norm(detail))
    return detail / length if length > 1e-3 else np.zeros_like(detail)


def _shifted(image: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The detail of the image shifted by up to one pixel of the small version, in halves: float32 [SIDE * SIDE, 25]."""
    double = _double(image, SIDE)
    moves = product(range(-2, 3), repeat=2)
    made = [_detail(_halved(np.roll(double, move, (0, 1)))) for move in moves]
    return np.stack(made, 1)


def copied(found: Distances, holdout: Distances | None) -> NDArray[np.bool_]:
    """Which images count as copies.

    With a holdout: those closer to a record than all but `LEVEL` of the held-out images are. Without: those half as far
    from one record as from any other. In both cases those that are the same.
    """
    same: NDArray[np.bool_] = found.nearest <= SAME
    if holdout is None:
        return same | (found.ratio < NO_HOLDOUT_RATIO)
    return same | (found.nearest < np.quantile(holdout.nearest, LEVEL, method="lower"))


def words(report: str) -> list[str]:
    """The words of a report in lower case."""
    return _WORD.findall(unicodedata.normalize("NFKC", report).lower())


def ngrams(report: str) -> Iterator[bytes]:
    """A short hash of every run of `NGRAM` words."""
    found = words(report)
    for start in range(len(found) - NGRAM + 1):
        yield hashlib.blake2b(" ".join(found[start : start + NGRAM]).encode(), digest_size=8).digest()


def known_ngrams(reports: Iterable[str]) -> frozenset[bytes]:
    """The n-grams of all reports."""
    return frozenset(gram for report in reports for gram in ngrams(report))


def longest_copy(report: str, known: frozenset[bytes]) -> int:
    """Words of the longest stretch of which every n-gram is known; 0 where none is."""
    longest = run = 0
    for gram in ngrams(report):
        run = run + 1 if gram in known else 0
        longest = max(longest, run)
    return longest + NGRAM - 1 if longest else 0


def copy_threshold(holdout: Sequence[int]) -> int:
    """The stretch beyond which a report counts as copied: what `LEVEL` of held-out reports exceed."""
    return int(np.quantile(holdout, 1 - LEVEL, method="higher")) if holdout else 2 * NGRAM
