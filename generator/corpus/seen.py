"""A pair as a model will see it: its image at the size of the tokenizer, its report in the slots."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from medim_forge.generator.domains import facts_of
from medim_forge.generator.errors import SpecError
from medim_forge.generator.inputs.images import fit_image
from medim_forge.generator.jobspec.data import TooLong
from medim_forge.generator.jobspec.data_job import SeenSection
from medim_forge.model.config import ConfigError, MedimConfig
from medim_forge.model.folders import CheckpointError, resolve
from medim_forge.model.reports import ReportSlots
from medim_forge.model.text import TextError

_SENTENCE = re.compile(r"(?<=[.!?。])\s+")


@dataclass(frozen=True)
class Eye:
    """What a model takes of images and reports.

    Args:
        resolution: pixels a side, where no checkpoint says it.
        slots: report side of the checkpoint; None without one.
    """

    resolution: int
    slots: ReportSlots | None = None

    @staticmethod
    def of(section: SeenSection) -> Eye:
        """The eye of the model that a job names.

        Raises:
            SpecError: it is no checkpoint.
        """
        if section.checkpoint is None:
            return Eye(section.resolution)
        try:
            folder: Path = resolve(section.checkpoint)
            return Eye(section.resolution, ReportSlots.load(folder))
        except (CheckpointError, ConfigError, TextError, OSError) as error:
            raise SpecError(f"model.checkpoint = {section.checkpoint!r}: {error}") from error

    def image(self, pixels: NDArray[np.uint8], domain: str) -> NDArray[np.uint8]:
        """The picture padded to a square and resized, grey or RGB: what the generate job does with given images.

        Args:
            pixels: uint8 [H, W] or [H, W, 3].
            domain: of the pair.

        Raises:
            InputError: it is too large.
        """
        config: MedimConfig | None = self.slots.config if self.slots else None
        sizes = next((one for one in config.image_tokenizers if domain in one.domains), None) if config else None
        colour = facts_of(domain).colour if sizes is None else sizes.channels == 3
        if colour is None:
            colour = pixels.ndim == 3
        image = Image.fromarray(pixels).convert("RGB" if colour else "L")
        pad = config.conventions.pad_color if config else (0, 0, 0)
        return fit_image(image, sizes.resolution if sizes else self.resolution, pad)

    def ids(self, text: str) -> int | None:
        """How many ids a whole text takes; None without a checkpoint, or where its tokenizer lacks a character."""
        if self.slots is None:
            return None
        try:
            return len(self.slots.text.encode(text))
        except TextError:
            return None

    @property
    def room(self) -> int:
        """How many ids fit; of no use without a checkpoint."""
        return self.slots.room(whole=True) if self.slots else 0

    def report(self, text: str, rule: TooLong) -> str | None:
        """The text as it fits the slots; None where the rule leaves the pair out. Without a checkpoint all fits."""
        ids = self.ids(text)
        if ids is None or ids <= self.room:
            return text
        if rule in ("skip", "error"):
            return None
        parts = _SENTENCE.split(text) if rule == "cut_sentence" else text.split()
        # The longest beginning that fits: whether one does grows with its length, so halves are tried.
        fits, beyond = 0, len(parts)
        while beyond - fits > 1:
            middle = (fits + beyond) // 2
            taken = self.ids(" ".join(parts[:middle]))
            if taken is not None and taken <= self.room:
                fits = middle
            else:
                beyond = middle
        return " ".join(parts[:fits]) or None
