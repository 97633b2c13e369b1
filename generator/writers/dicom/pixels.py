"""The samples that a DICOM image holds, and the padding that is left out of them."""

from __future__ import annotations

from dataclasses import astuple, dataclass

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from medim_forge.generator.domains import facts_of
from medim_forge.generator.records import Domain

# What LLaVA-style preprocessing pads a picture to a square with: the mean colour of CLIP's training images. Decoded
# from image tokens it comes back within 10 levels, in the outermost row within 16 (measured on published samples).
_PADDING = np.array([122.8, 116.7, 104.1])
_LUMINANCE = np.array([299, 587, 114], dtype=np.uint32)  # ITU-R BT.601, thousandths
_FAR = 18.0  # levels that a row of padding may be off
_FLAT_STD = 6.0  # levels within a row of padding
_MIN_SHARE = 0.02  # of the side: a narrower strip is no padding
_MIN_LEFT = 0.25  # of the side: what remains must be a picture


@dataclass(frozen=True)
class Bars:
    """Rows and columns of padding at the borders of an image, pixels."""

    top: int = 0
    bottom: int = 0
    left: int = 0
    right: int = 0

    def __bool__(self) -> bool:
        """Whether there is any."""
        return any(astuple(self))

    def cropped(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The image without them."""
        return image[self.top : image.shape[0] - self.bottom, self.left : image.shape[1] - self.right]

    def __str__(self) -> str:
        """The bars, as a derivation description names them."""
        return f"top {self.top}, bottom {self.bottom}, left {self.left}, right {self.right} pixels"


def padding_bars(domain: Domain, image: NDArray[np.uint8]) -> Bars:
    """The flat bars that pad an image to a square; none where the domain's images are not cropped.

    Only strips of the padding's own grey count: black film borders and white margins are part of a radiograph.

    Args:
        domain: of the pair.
        image: uint8 [H, W] or [H, W, 3].
    """
    if not facts_of(domain).dicom.padding_cropped:
        return Bars()
    top, bottom = _strips(image)
    left, right = _strips(np.swapaxes(image, 0, 1))
    return Bars(top=top, bottom=bottom, left=left, right=right)


def stored_pixels(domain: Domain, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The samples that the DICOM image of a pair holds.

    They are without padding. A domain with colour has RGB samples, uint8 [H, W, 3]; one without has grey ones, uint8
    [H, W], which are the luminance (ITU-R BT.601) of an RGB image. Where the domain does not say, the image does.
    """
    image = padding_bars(domain, image).cropped(image)
    colour = facts_of(domain).colour
    if colour is None:
        return image
    if colour:
        return image if image.ndim == 3 else np.repeat(image[:, :, None], 3, axis=2)
    if image.ndim == 2:
        return image
    return ((image.astype(np.uint32) @ _LUMINANCE + 500) // 1000).astype(np.uint8)


def add_pixels(dataset: Dataset, pixels: NDArray[np.uint8]) -> None:
    """The image pixel module (C.7.6.3): 8 bit unsigned, as the generator made them."""
    colour = pixels.ndim == 3
    dataset.SamplesPerPixel = 3 if colour else 1
    dataset.PhotometricInterpretation = "RGB" if colour else "MONOCHROME2"
    if colour:
        dataset.PlanarConfiguration = 0
    dataset.Rows, dataset.Columns = pixels.shape[:2]
    dataset.BitsAllocated = 8
    dataset.BitsStored = 8
    dataset.HighBit = 7
    dataset.PixelRepresentation = 0
    content = np.ascontiguousarray(pixels).tobytes()
    # PixelData has even length (PS3.5 8.1.1).
    dataset.add_new("PixelData", "OB", content + b"\0" * (len(content) % 2))


def _strips(image: NDArray[np.uint8]) -> tuple[int, int]:
    """How many first and last rows are padding."""
    side = image.shape[0]
    # Most images have none, and then their outermost rows tell.
    if not _padding(image[:: max(side - 1, 1)]).any():
        return 0, 0
    picture = np.flatnonzero(~_padding(image))
    if picture.size == 0 or picture[-1] + 1 - picture[0] < _MIN_LEFT * side:
        return 0, 0
    first, last = int(picture[0]), int(side - 1 - picture[-1])
    least = _MIN_SHARE * side
    return first if first >= least else 0, last if last >= least else 0


def _padding(rows: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Which rows are flat and of the padding's colour."""
    levels = rows.astype(np.float32)
    colour = _PADDING if rows.ndim == 3 else _PADDING @ _LUMINANCE / 1000
    fits: NDArray[np.bool_] = (levels.std(axis=1) < _FLAT_STD) & (np.abs(levels.mean(axis=1) - colour) < _FAR)
    return np.all(fits, axis=1) if rows.ndim == 3 else fits
