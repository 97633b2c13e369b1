"""Encoded images of users (PNG, JPEG, TIFF, ...): the one place where they are opened, and how a model takes them."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from medim_forge.generator.errors import InputError
from medim_forge.generator.inputs.bounds import LARGEST_IMAGE, LARGEST_PICTURE, check_bytes, check_picture, check_webp
from medim_forge.generator.records import Domain

if TYPE_CHECKING:
    from medim_forge.model.config import MedimConfig

# A square of this side has as many pixels as Pillow takes before it suspects a bomb.
LARGEST_SIDE = 13_000
# What is opened as an image; others that Pillow knows start programs of their own, or hold no picture.
FORMATS = ("BMP", "GIF", "JPEG", "PNG", "TIFF", "WEBP")
# Percentiles of deeper levels that become black and white.
WINDOW = (0.5, 99.5)
_ORIENTATION, _TURNED = 0x0112, range(5, 9)  # the EXIF tag, and its values of pictures that lie on their side


def check_image(content: bytes) -> bytes:
    """The encoded image, known to decode.

    Raises:
        InputError: it does not; the message goes on from the name of the image.
    """
    _opened(content)
    return content


def decode_image(content: bytes, mode: Literal["L", "RGB"] | None = None) -> Image.Image:
    """The picture that an encoded image holds.

    Args:
        content: of the file.
        mode: grey or RGB; None keeps grey images grey and makes all others RGB.

    Raises:
        InputError: it does not decode, or holds several pictures; the message goes on from the name of the image.
    """
    image = _opened(content)
    # Pillow would clip deeper pixels to white instead of scaling them.
    if image.mode.startswith(("I", "F")):
        image = Image.fromarray(_eight_bits(np.asarray(image)))
    try:
        return image.convert(mode or ("L" if image.mode in ("1", "L", "LA") else "RGB"))
    except ValueError as error:
        raise InputError(f"has pixels of mode {image.mode}, which cannot be shown. Give RGB.") from error


def encode_image(pixels: NDArray[np.uint8]) -> bytes:
    """The PNG of a picture, made fast: its bytes live only until the replica reads them."""
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG", compress_level=1)
    return stream.getvalue()


def image_size(content: bytes) -> tuple[int, int]:
    """Width and height of an encoded image that is known to decode, pixels, as it is shown."""
    with Image.open(io.BytesIO(content), formats=FORMATS) as opened:
        turned = opened.getexif().get(_ORIENTATION) in _TURNED
        return (opened.height, opened.width) if turned else opened.size


def read_image(data: bytes, domain: Domain, config: MedimConfig) -> NDArray[np.uint8]:
    """An encoded image as the domain's tokenizer takes it: grey or RGB, padded to a square, resized (Lanczos).

    The padding has the colour of the checkpoint's conventions; an odd pixel goes to the right or the bottom.

    Raises:
        InputError: the bytes are no image, several, or one that is too large.
    """
    sizes = next(sizes for sizes in config.image_tokenizers if domain in sizes.domains)
    try:
        image = decode_image(data, "L" if sizes.channels == 1 else "RGB")
    except InputError as error:
        raise InputError(f"the given image {error}") from error
    return fit_image(image, sizes.resolution, config.conventions.pad_color)


def fit_image(image: Image.Image, resolution: int, pad_color: tuple[int, ...]) -> NDArray[np.uint8]:
    """A picture as an image tokenizer takes it: padded to a square and resized (Lanczos), uint8 [side, side(, 3)].

    Args:
        image: grey or RGB.
        resolution: pixels a side.
        pad_color: RGB; an odd pixel goes to the right or the bottom.

    Raises:
        InputError: it is too large.
    """
    side = max(image.size)
    if side > LARGEST_SIDE:
        raise InputError(
            f"the given image has {image.width} x {image.height} pixels, too many to be padded to a square; crop or "
            f"shrink it to {LARGEST_SIDE} a side"
        )
    if image.size != (side, side):
        colour = Image.new("RGB", (1, 1), pad_color).convert(image.mode)
        square = colour.resize((side, side))
        square.paste(image, ((side - image.width) // 2, (side - image.height) // 2))
        image = square
    if side != resolution:
        image = image.resize((resolution, resolution), Image.Resampling.LANCZOS)
    return np.asarray(image)


def _opened(content: bytes) -> Image.Image:
    """The picture as it is shown: turned as its EXIF orientation says.

    Raises:
        InputError: it does not decode, or holds several pictures.
    """
    check_bytes(len(content), LARGEST_IMAGE, "an image")
    check_webp(content)
    try:
        image: Image.Image = Image.open(io.BytesIO(content), formats=FORMATS)
        check_picture(image)
        pages = 1 if image.format == "MPO" else getattr(image, "n_frames", 1)  # a photograph with its own previews
        if pages == 1:
            image.load()
            image = ImageOps.exif_transpose(image)
    except (InputError, MemoryError):
        raise  # running out of memory says nothing of the image
    except Image.DecompressionBombError as error:
        raise InputError(
            f"states a size above the limit of {LARGEST_PICTURE:,} samples ({error}). Crop or shrink it"
        ) from error
    except UnidentifiedImageError as error:
        raise InputError(f"cannot be decoded: it is none of {', '.join(FORMATS)}") from error
    except Exception as error:
        # Decoders meet damage in every way there is.
        raise InputError(f"cannot be decoded ({_why(error)}). Give a PNG or JPEG.") from error
    if pages != 1:
        raise InputError(f"holds {pages} pages; give a file per page")
    return image


def _why(error: Exception) -> str:
    """What a decoder says, unless it repeats bytes of the image, which stand in quotation marks."""
    text = " ".join(str(error).split())
    return type(error).__name__ if not text or "'" in text or '"' in text else f"{type(error).__name__}: {text}"


def _eight_bits(pixels: NDArray[Any]) -> NDArray[np.uint8]:
    """Deeper grey levels as 8 bits.

    Levels that were 8 bits before, stored as they were or in the upper byte, become what they were. All others are
    windowed by their own percentiles, so that few hot or dead pixels do not make the picture dark.

    Raises:
        InputError: a pixel is no number.
    """
    if not np.isfinite(pixels).all():
        raise InputError("has pixels that are no numbers; replace them")
    low, high = float(pixels.min()), float(pixels.max())
    if pixels.dtype.kind in "iu" and low >= 0:
        for factor in (1, 257, 256):
            if high <= 255 * factor and not (pixels % factor).any():
                return np.asarray(pixels // factor, dtype=np.uint8)
    first, last = (float(level) for level in np.percentile(pixels, WINDOW))
    if last <= first:  # nearly all pixels are one level
        first, last = low, high
    scaled = (pixels.astype(np.float64) - first) / (last - first) if last > first else np.zeros(pixels.shape)
    return np.asarray(np.round(scaled.clip(0, 1) * 255), dtype=np.uint8)
