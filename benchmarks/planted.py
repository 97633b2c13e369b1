"""Faults that are planted in good pairs, for benchmarks of the filters that are to find them."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from medim_forge.generator.phantoms import OPENING
from medim_forge.generator.records import Pair


def swapped(pair: Pair, _: np.random.Generator) -> Pair:
    """Left for right and right for left, but for the pacemaker, which is always left."""
    turned = [
        one if "pacemaker" in one.lower() else re.sub(r"\b(right|left)\b", turned_side, one, flags=re.IGNORECASE)
        for one in re.split(r"(?<=[.:]) ", pair.report)
    ]
    return replace(pair, report=" ".join(turned))


def turned_side(found: re.Match[str]) -> str:
    """The other side, written as the first was."""
    other = "left" if found[0].lower() == "right" else "right"
    return other.capitalize() if found[0][0].isupper() else other


def blurred(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The image without detail: a mean over 5 x 5 pixels."""
    wide = np.pad(image.astype(np.float32), [(2, 2), (2, 2), *[(0, 0)] * (image.ndim - 2)], mode="edge")
    side, across = image.shape[:2]
    mean = sum(wide[down : down + side, right : right + across] for down in range(5) for right in range(5)) / 25
    return np.asarray(mean).astype(np.uint8)


def barred(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The image with grey bars at both sides, as square padding leaves them."""
    made = image.copy()
    width = image.shape[1] // 8
    made[:, :width] = made[:, -width:] = 117
    return made


def tinted(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A radiograph in colour."""
    return np.stack([np.clip(image.astype(np.int16) + shift, 0, 255) for shift in (6, 0, -6)], -1).astype(np.uint8)


def emptied(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A patch most of which is bare glass."""
    made = image.copy()
    made[: image.shape[0] * 3 // 4] = 240
    return made


def copied(image: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """The image again, a little brighter and noisier."""
    return np.clip(image * 1.03 + rng.normal(0, 3, image.shape), 0, 255).astype(np.uint8)


def misspelt(report: str, rng: np.random.Generator) -> str:
    """Three long words with two letters in each other's place, as denoising by pieces makes them."""
    words = report.split(" ")
    long = [place for place, word in enumerate(words) if len(word) > 6]
    for place in rng.permutation(long)[:3]:
        word = words[place]
        words[place] = word[:2] + word[-3:-1] + word[2:-3] + word[-1]
    return " ".join(words)


def contradicted(pair: Pair, _: np.random.Generator) -> Pair:
    """A report that also says the opposite of one of its sentences."""
    if pair.request.prompt.domain == "pathology":
        return replace(pair, report=pair.report + " There is necrosis. No necrosis is seen.")
    return replace(pair, report=pair.report + " There is a large pleural effusion. There is no pleural effusion.")


def disordered(pair: Pair, rng: np.random.Generator) -> Pair:
    """The report's sentences behind the opening in another order."""
    opening = OPENING[pair.request.prompt.domain]
    sentences = re.split(r"(?<=[.:]) ", pair.report.removeprefix(opening).strip())
    return replace(pair, report=f"{opening} {' '.join(rng.permutation(sentences))}")


def on_image(function: Callable[[NDArray[np.uint8]], NDArray[np.uint8]]) -> Callable[..., Pair]:
    """The fault of an image as one of a pair."""
    return lambda pair, _: replace(pair, image=function(pair.image))


def on_report(function: Callable[[str], str]) -> Callable[..., Pair]:
    """The fault of a report as one of a pair."""
    return lambda pair, _: replace(pair, report=function(pair.report))


PLANT: dict[str, Callable[[Pair, np.random.Generator], Pair]] = {
    "blur": on_image(blurred),
    "bars": on_image(barred),
    "blank": on_image(lambda image: np.full_like(image, 117)),
    "tint": on_image(tinted),
    "empty_glass": on_image(emptied),
    "misspelt": lambda pair, rng: replace(pair, report=misspelt(pair.report, rng)),
    "cut_off": on_report(lambda report: report[: len(report) * 2 // 3].rstrip(". ")),
    "repeated": on_report(lambda report: report + " " + report[-len(report) // 2 :]),
    "identifier": on_report(lambda report: report + " Compared to ___."),
    "prior": on_report(lambda report: report + " As compared to the previous radiograph, no change."),
    "contradiction": contradicted,
    "disorder": disordered,
    "near_copy": lambda pair, rng: replace(pair, image=copied(pair.image, rng)),
    "swapped_sides": swapped,
}
