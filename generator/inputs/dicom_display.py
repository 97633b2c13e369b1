"""Stored values of a DICOM image as the 8-bit picture that a viewer shows: the pipelines of PS3.4 N.2."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.pixels.processing import apply_color_lut

from medim_forge.generator.errors import InputError
from medim_forge.generator.inputs.dicom_values import number, numbers, table, word

Levels = NDArray[np.float64]
# Words of the standard that messages may repeat; any other may be somebody's.
_UNSHOWN = ("HSV", "ARGB", "CMYK")
_COLOURS = ("Red", "Green", "Blue")
# What the functional groups of an enhanced image hold that older objects have at their top.
_GROUPS = ("PixelValueTransformationSequence", "FrameVOILUTSequence")


def shown(dataset: Dataset, stored: NDArray[Any], *, little_endian: bool) -> NDArray[np.uint8]:
    """The 8-bit picture of the stored values: [H, W] or [H, W, 3].

    Args:
        dataset: that says how they are shown.
        stored: values [H, W], or colours [H, W, 3] as RGB.
        little_endian: byte order of the file.

    Raises:
        InputError: the photometric interpretation is none that is known, or a table cannot be used.
    """
    kind = word(dataset, "PhotometricInterpretation")
    if kind == "PALETTE COLOR":
        return _palette(dataset, stored, little_endian=little_endian)
    if kind in ("MONOCHROME1", "MONOCHROME2"):
        levels = _levels(_with_groups(dataset), stored, little_endian=little_endian)
        inverted = kind == "MONOCHROME1" or word(dataset, "PresentationLUTShape") == "INVERSE"
        return _to_bytes(1.0 - levels if inverted else levels)
    if kind != "RGB" and not kind.startswith("YBR_"):
        named = f" {kind}, which cannot be shown" if kind in _UNSHOWN else " that is not known"
        raise InputError(f"has photometric interpretation{named}")
    return _to_bytes(stored / (2.0 ** _bits(dataset, stored) - 1))


def _palette(dataset: Dataset, stored: NDArray[Any], *, little_endian: bool) -> NDArray[np.uint8]:
    """The colours that a palette gives (PS3.3 C.7.6.3.1.5)."""
    if "RedPaletteColorLookupTableData" not in dataset:
        colours = apply_color_lut(stored, dataset)  # in segments, which pydicom expands
        return colours.astype(np.uint8) if colours.dtype == np.uint8 else (colours >> 8).astype(np.uint8)
    signed = bool(dataset.get("PixelRepresentation"))
    channels = []
    for colour in _COLOURS:
        palette = table(dataset, f"{colour}PaletteColorLookupTable", little_endian=little_endian, signed=signed)
        entries = palette.of(stored)
        channels.append(entries >> 8 if palette.bits > 8 else entries)
    return np.stack(channels, axis=-1).astype(np.uint8)


def _with_groups(dataset: Dataset) -> Dataset:
    """The dataset with what an enhanced image keeps in the functional groups of its only frame."""
    for place in ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"):
        for groups in dataset.get(place) or ():
            for name in _GROUPS:
                for item in groups.get(name) or ():
                    dataset.update(item)
    return dataset


def _levels(dataset: Dataset, stored: NDArray[Any], *, little_endian: bool) -> Levels:
    """Grey levels 0 to 1 after the modality and the VOI transformation."""
    signed = bool(dataset.get("PixelRepresentation"))
    values, changed = _modality(dataset, stored, little_endian=little_endian)
    if dataset.get("VOILUTSequence"):
        lowest = min(0.0, float(values.min())) if changed else 0.0
        voi = table(dataset.VOILUTSequence[0], "LUT", little_endian=little_endian, signed=signed or lowest < 0)
        return np.asarray(voi.of(values) / voi.highest, dtype=np.float64)
    window = _window(dataset)
    if window is not None:
        return _windowed(values.astype(np.float64), *window, word(dataset, "VOILUTFunction") or "LINEAR")
    bits = _bits(dataset, stored)
    if not changed and not signed and bits <= 8 and stored.dtype.kind in "iu":
        return np.asarray(stored / (2.0**bits - 1))
    return _stretched(values.astype(np.float64), _picture_mask(dataset, stored))


def _modality(dataset: Dataset, stored: NDArray[Any], *, little_endian: bool) -> tuple[NDArray[Any], bool]:
    """The values after the modality LUT or the rescale (PS3.3 C.11.1), and whether that changed them.

    A rescale needs both slope and intercept, and a slope of 0 is none, for it would leave nothing of the picture.
    """
    if dataset.get("ModalityLUTSequence"):
        signed = bool(dataset.get("PixelRepresentation"))
        modality = table(dataset.ModalityLUTSequence[0], "LUT", little_endian=little_endian, signed=signed)
        return modality.of(stored), True
    slope, intercept = number(dataset, "RescaleSlope"), number(dataset, "RescaleIntercept")
    if not slope or intercept is None or (slope, intercept) == (1.0, 0.0):
        return stored, False
    return stored.astype(np.float64) * slope + intercept, True


def _window(dataset: Dataset) -> tuple[float, float] | None:
    """Centre and width of the first window; None where there is none, or one of its numbers is missing."""
    centre, width = (next(iter(numbers(dataset, keyword)), None) for keyword in ("WindowCenter", "WindowWidth"))
    return None if centre is None or width is None or width <= 0 else (centre, width)


def _windowed(values: Levels, centre: float, width: float, function: str) -> Levels:
    """Window centre and width (PS3.3 C.11.2.1.2, C.11.2.1.3).

    Raises:
        InputError: the function is none of the standard's.
    """
    if function == "SIGMOID":
        return np.asarray(1.0 / (1.0 + np.exp(np.clip(-4.0 * (values - centre) / width, -700, 700))))
    if function not in ("LINEAR", "LINEAR_EXACT"):
        raise InputError("has a VOI LUT Function that is not known")
    if function == "LINEAR":
        centre, width = centre - 0.5, width - 1
    if width <= 0:
        return (values > centre).astype(np.float64)
    return (values - centre) / width + 0.5


def _stretched(values: Levels, mask: NDArray[np.bool_]) -> Levels:
    """Lowest to highest value of the picture spread over the levels; padding is cut off at their ends."""
    inside = values[mask & np.isfinite(values)]
    if inside.size == 0:
        return np.zeros_like(values)
    low, high = float(inside.min()), float(inside.max())
    return (np.nan_to_num(values, nan=low) - low) / (high - low) if high > low else np.zeros_like(values)


def _picture_mask(dataset: Dataset, stored: NDArray[Any]) -> NDArray[np.bool_]:
    """Where the picture is: everywhere but where Pixel Padding Value says that there is none (PS3.3 C.7.5.1.1.2)."""
    padding = number(dataset, "PixelPaddingValue")
    if padding is None:
        return np.ones(stored.shape, dtype=np.bool_)
    limit = number(dataset, "PixelPaddingRangeLimit")
    low, high = sorted((padding, padding if limit is None else limit))
    return (stored < low) | (stored > high)


def _bits(dataset: Dataset, stored: NDArray[Any]) -> int:
    """How many bits a stored value has; files that do not say so use all that they have."""
    return int(number(dataset, "BitsStored") or stored.dtype.itemsize * 8)


def _to_bytes(levels: Levels) -> NDArray[np.uint8]:
    return (np.clip(levels, 0.0, 1.0) * 255.0 + 0.5).astype(np.uint8)
