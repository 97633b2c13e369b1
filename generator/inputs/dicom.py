"""A DICOM file as the picture that a viewer would show: grey or RGB, 8 bit.

What the file says is followed: photometric interpretation, rescale or modality LUT, then VOI LUT or window (PS3.4 N.2),
and MONOCHROME1 is inverted. Nothing of the file but its pixels is kept.
"""

from __future__ import annotations

import io
import threading
import warnings
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import config, dcmread
from pydicom.dataset import Dataset, FileDataset
from pydicom.errors import InvalidDicomError
from pydicom.pixels.processing import apply_color_lut, apply_modality_lut, apply_voi
from pydicom.pixels.utils import pixel_array
from pydicom.uid import (
    HTJ2K,
    JPEG2000,
    UID,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

from medim_forge.generator.errors import InputError

Levels = NDArray[np.float64]

# Named, so that which libraries happen to be installed beside ours does not decide the pixels.
_DECODERS: Mapping[UID, str] = MappingProxyType(
    {
        JPEGBaseline8Bit: "pillow",
        JPEGExtended12Bit: "pillow",
        JPEGLossless: "gdcm",
        JPEGLosslessSV1: "gdcm",
        JPEGLSLossless: "pyjpegls",
        JPEGLSNearLossless: "pyjpegls",
        JPEG2000: "pylibjpeg",
        JPEG2000Lossless: "pylibjpeg",
        HTJ2K: "pylibjpeg",
        HTJ2KLossless: "pylibjpeg",
        HTJ2KLosslessRPCL: "pylibjpeg",
        RLELossless: "pydicom",
    }
)
_PIXELS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")
# What the functional groups of an enhanced image hold that older objects have at their top.
_GROUPS = ("PixelValueTransformationSequence", "FrameVOILUTSequence")
_MAX_SAMPLES = 2**28
_ALONE = threading.Lock()


def read_dicom(content: bytes) -> NDArray[np.uint8]:
    """The picture that a DICOM file holds: uint8 [H, W] or [H, W, 3].

    Args:
        content: of the file; a missing preamble or header is no hindrance.

    Raises:
        InputError: it is no DICOM, holds no picture or several, or one that cannot be decoded; says which.
    """
    # pydicom warns of what it finds odd in files that it can read; what it cannot read becomes an error here. Warnings
    # and validation are settings of the process, which may read and write other shards meanwhile: one file at a time.
    with _ALONE, warnings.catch_warnings(), config.disable_value_validation():
        warnings.simplefilter("ignore")
        try:
            dataset = _parsed(content)
            _check_picture(dataset)
            return _shown(dataset, _decoded(dataset))
        except InputError:
            raise
        except Exception as error:
            # Parsers meet damage in every way there is.
            raise InputError(f"is damaged DICOM ({type(error).__name__}: {_brief(error)})") from error


def _parsed(content: bytes) -> FileDataset:
    """The dataset, with its transfer syntax known.

    Raises:
        InputError: the bytes are no DICOM.
    """
    try:
        dataset = dcmread(io.BytesIO(content))
    except InvalidDicomError:
        dataset = dcmread(io.BytesIO(content), force=True)
        if "SOPClassUID" not in dataset and not any(name in dataset for name in _PIXELS):
            raise InputError("is not DICOM: it has neither the preamble nor the elements") from None
    if "TransferSyntaxUID" not in dataset.file_meta:
        implicit, little = dataset.original_encoding
        explicit = ExplicitVRLittleEndian if little else ExplicitVRBigEndian
        dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else explicit
    return dataset


def _check_picture(dataset: Dataset) -> None:
    """The object holds one picture of a kind that can be shown.

    Raises:
        InputError: it does not.
    """
    if not any(name in dataset for name in _PIXELS):
        sop_class = dataset.get("SOPClassUID")
        kind = UID(sop_class).name if sop_class else "DICOM object"
        raise InputError(f"is a {kind} without pixels; give images")
    for keyword in ("Rows", "Columns", "SamplesPerPixel", "PhotometricInterpretation", "BitsAllocated"):
        if dataset.get(keyword) in (None, ""):
            raise InputError(f"has pixels, but no {keyword}")
    frames = int(dataset.get("NumberOfFrames") or 1)
    if frames != 1:
        raise InputError(f"holds {frames} frames; give a file per frame")
    samples = int(dataset.Rows) * int(dataset.Columns) * int(dataset.SamplesPerPixel)
    if not 0 < samples <= _MAX_SAMPLES:
        raise InputError(f"is {dataset.Columns} x {dataset.Rows} pixels; 1 to {_MAX_SAMPLES} samples can be read")
    if dataset.SamplesPerPixel not in (1, 3):
        raise InputError(f"has {dataset.SamplesPerPixel} samples per pixel; 1 or 3 can be read")


def _decoded(dataset: Dataset) -> NDArray[Any]:
    """The stored values: [H, W], or [H, W, 3] as RGB.

    Raises:
        InputError: its transfer syntax has no decoder here, or the pixels do not decode.
    """
    syntax = UID(dataset.file_meta.TransferSyntaxUID)
    if syntax.is_compressed and not syntax.is_deflated and syntax not in _DECODERS:
        raise InputError(f"is compressed as {syntax.name}, which cannot be decoded; store it uncompressed")
    try:
        return pixel_array(dataset, decoding_plugin=_DECODERS.get(syntax, ""))
    except Exception as error:
        raise InputError(f"has pixels ({syntax.name}) that cannot be decoded: {_brief(error)}") from error


def _shown(dataset: Dataset, stored: NDArray[Any]) -> NDArray[np.uint8]:
    """The 8-bit picture of the stored values.

    Raises:
        InputError: the photometric interpretation is none that is known.
    """
    kind = str(dataset.PhotometricInterpretation)
    if kind == "PALETTE COLOR":
        colours = apply_color_lut(stored, dataset)
        return colours.astype(np.uint8) if colours.dtype == np.uint8 else (colours >> 8).astype(np.uint8)
    if kind in ("MONOCHROME1", "MONOCHROME2"):
        levels = _levels(_with_groups(dataset), stored)
        return _to_bytes(1.0 - levels if kind == "MONOCHROME1" else levels)
    if kind != "RGB" and not kind.startswith("YBR_"):
        raise InputError(f"has photometric interpretation {kind}, which is not known")
    return _to_bytes(stored / (2.0 ** int(dataset.BitsStored) - 1))


def _with_groups(dataset: Dataset) -> Dataset:
    """The dataset with what an enhanced image keeps in the functional groups of its only frame."""
    for place in ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"):
        for groups in dataset.get(place) or ():
            for name in _GROUPS:
                for item in groups.get(name) or ():
                    dataset.update(item)
    return dataset


def _levels(dataset: Dataset, stored: NDArray[Any]) -> Levels:
    """Grey levels 0 to 1 after modality and VOI transformations."""
    values = apply_modality_lut(stored, dataset)
    if dataset.get("VOILUTSequence"):
        table = dataset.VOILUTSequence[0]
        highest = 2.0 ** int(table.LUTDescriptor[2]) - 1
        return np.asarray(apply_voi(values, dataset) / highest, dtype=np.float64)
    width = _first(dataset.get("WindowWidth"))
    centre = _first(dataset.get("WindowCenter"))
    if width is not None and centre is not None and width > 0:
        return _windowed(values.astype(np.float64), centre, width, str(dataset.get("VOILUTFunction") or "LINEAR"))
    if values is stored and stored.dtype == np.uint8:
        return stored / (2.0 ** min(int(dataset.BitsStored), 8) - 1)
    return _stretched(values.astype(np.float64), _picture_mask(dataset, stored))


def _windowed(values: Levels, centre: float, width: float, function: str) -> Levels:
    """Window centre and width (PS3.3 C.11.2.1.2, C.11.2.1.3).

    Raises:
        InputError: the function is none of the standard's.
    """
    if function == "SIGMOID":
        return np.asarray(1.0 / (1.0 + np.exp(np.clip(-4.0 * (values - centre) / width, -700, 700))))
    if function not in ("LINEAR", "LINEAR_EXACT"):
        raise InputError(f"has VOI LUT Function {function}, which is not known")
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
    padding = dataset.get("PixelPaddingValue")
    if padding is None:
        return np.ones(stored.shape, dtype=np.bool_)
    limit = dataset.get("PixelPaddingRangeLimit", padding)
    low, high = sorted((int(padding), int(limit)))
    return (stored < low) | (stored > high)


def _to_bytes(levels: Levels) -> NDArray[np.uint8]:
    """Levels 0 to 1 as 0 to 255, rounded; what is beyond them is clipped."""
    return (np.clip(levels, 0.0, 1.0) * 255.0 + 0.5).astype(np.uint8)


def _first(value: Any) -> float | None:
    """The first of one or several numbers; None where there is none."""
    if value is None or value == "":
        return None
    several = not isinstance(value, int | float | str) and hasattr(value, "__len__")
    return float(value[0] if several else value) if not several or len(value) else None


def _brief(error: BaseException) -> str:
    """The message on one line."""
    return " ".join(str(error).split())[:300]
