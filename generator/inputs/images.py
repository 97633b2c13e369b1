"""Given images on their way into a model."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from medim_forge.generator.errors import InputError
from medim_forge.generator.records import Domain
from medim_forge.model.config import MedimConfig

# A square of this side has as many pixels as Pillow takes before it suspects a bomb.
LARGEST_SIDE = 13_000


def read_image(data: bytes, domain: Domain, config: MedimConfig) -> NDArray[np.uint8]:
    """An encoded image as the domain's tokenizer takes it: grey or RGB, padded to a square, resized (Lanczos).

    The padding has the colour of the checkpoint's conventions; an odd pixel goes to the right or the bottom.

    Raises:
        InputError: the bytes are no image, one with more than 8 bits per channel, or one that is too large.
    """
    sizes = next(sizes for sizes in config.image_tokenizers if domain in sizes.domains)
    try:
        with Image.open(io.BytesIO(data)) as opened:
            opened.load()
            # Pillow would clip these to white instead of scaling them.
            if opened.mode.startswith(("I", "F")):
                raise InputError(
                    f"the given image has pixels of mode {opened.mode}, more than 8 bits per channel; "
                    "window it to 8 bits first"
                )
            image = opened.convert("L" if sizes.channels == 1 else "RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise InputError(f"the given image cannot be read ({error}); give PNG or JPEG bytes") from error
    side = max(image.size)
    if side > LARGEST_SIDE:
        raise InputError(
            f"the given image has {image.width} x {image.height} pixels, too many to be padded to a square; crop or "
            f"shrink it to {LARGEST_SIDE} a side"
        )
    if image.size != (side, side):
        colour = Image.new("RGB", (1, 1), config.conventions.pad_color).convert(image.mode)
        square = colour.resize((side, side))
        square.paste(image, ((side - image.width) // 2, (side - image.height) // 2))
        image = square
    if side != sizes.resolution:
        image = image.resize((sizes.resolution, sizes.resolution), Image.Resampling.LANCZOS)
    return np.asarray(image)


def image_size(data: bytes) -> tuple[int, int]:
    """Width and height of an encoded image that `read_image` has read."""
    with Image.open(io.BytesIO(data)) as opened:
        return opened.size
