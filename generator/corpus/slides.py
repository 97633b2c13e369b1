"""Images that are squares of whole slides, read by OpenSlide where it is installed."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medim_forge.generator.errors import InputError, SpecError
from medim_forge.generator.inputs.images import encode_image


@dataclass(frozen=True)
class SlidePicture:
    """A square of a whole slide, at its finest level.

    Args:
        path: of the slide.
        x, y: upper left corner, pixels.
        side: pixels.
    """

    path: Path
    x: int
    y: int
    side: int

    def there(self) -> bool:
        """Whether there is such a slide."""
        return self.path.is_file()

    def content(self) -> bytes:
        """The PNG of the square."""
        return encode_image(self.pixels())

    def pixels(self) -> NDArray[np.uint8]:
        """The square: uint8 [side, side, 3]."""
        slide = _slide(self.path)
        try:
            region = slide.read_region((self.x, self.y), 0, (self.side, self.side))
        except Exception as error:
            # OpenSlide has one class of errors, and which is known only where it is installed.
            raise InputError(f"stands on a slide that cannot be read ({type(error).__name__})") from error
        return np.asarray(region.convert("RGB"))


@lru_cache(maxsize=8)
def _slide(path: Path) -> Any:
    """The slide, open.

    Raises:
        SpecError: OpenSlide is not installed.
        InputError: it is no slide.
    """
    try:
        import openslide
    except ImportError as error:
        raise SpecError(
            "whole slides are read by OpenSlide: pip install openslide-python openslide-bin; or cut the patches "
            "yourself, as name.png with name.txt beside it, and take kind: images"
        ) from error
    try:
        return openslide.OpenSlide(str(path))
    except Exception as error:
        raise InputError(f"names a slide that cannot be opened ({type(error).__name__})") from error
