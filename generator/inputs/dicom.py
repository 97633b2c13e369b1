"""A DICOM file as the picture that a viewer would show: grey or RGB, 8 bit.

What the file says is followed: photometric interpretation, rescale or modality LUT, then VOI LUT or window (PS3.4 N.2),
and MONOCHROME1 is inverted. Nothing of the file but its pixels is kept.
"""

from __future__ import annotations

import io
import logging
import re
import threading
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from pydicom import config
from pydicom.dataset import Dataset, FileDataset
from pydicom.errors import InvalidDicomError
from pydicom.multival import MultiValue
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
from medim_forge.generator.inputs.bounds import check_samples
from medim_forge.generator.inputs.dicom_bounds import check_frame, read_bounded
from medim_forge.generator.inputs.dicom_display import shown
from medim_forge.generator.inputs.dicom_values import number, word
from medim_forge.generator.origins import GivenDicom

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
# What these hold was lossy once, whatever the header says. JPEG 2000 and HTJ2K may hold either.
_LOSSY = (JPEGBaseline8Bit, JPEGExtended12Bit, JPEGLSNearLossless)
_YES_NO = ("YES", "NO")
# What decoders say that repeats no value of the file: it ends early, or is too deep.
_KNOWN = re.compile(r"bytes of pixel data is less than expected \(\d+ vs \d+ bytes\)|12-bit precision")
_PIXELS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")
_ALONE = threading.Lock()


def read_dicom(content: bytes) -> NDArray[np.uint8]:
    """The picture that a DICOM file holds: uint8 [H, W] or [H, W, 3].

    Args:
        content: of the file; a missing preamble or header is no hindrance.

    Raises:
        InputError: it is no DICOM, holds no picture or several, or one that cannot be decoded; says which.
    """
    with _quietly():
        try:
            dataset = _parsed(content)
            _check_picture(dataset)
            decoded = _decoded(dataset)
            return shown(dataset, _stored(dataset, decoded), little_endian=_little_endian(dataset))
        except (InputError, MemoryError):
            raise  # running out of memory says nothing of the file
        except Exception as error:
            # Parsers meet damage in every way there is.
            raise InputError(f"is damaged DICOM ({type(error).__name__})") from error


def read_header(content: bytes | BinaryIO) -> GivenDicom:
    """What a DICOM file says of itself that an image made of it has to say too.

    Args:
        content: of the file; or the file, open at its start, of which no pixels are read then.

    Raises:
        InputError: it is no DICOM.
    """
    with _quietly():
        try:
            dataset = _parsed(content)
            return GivenDicom(
                sop_class=_uid(dataset, "SOPClassUID"),
                sop_instance=_uid(dataset, "SOPInstanceUID"),
                burned_in=_one_of(_YES_NO, dataset, "BurnedInAnnotation"),
                synthetic=_one_of(_YES_NO, dataset, "SyntheticData"),
                identity_removed=_one_of(_YES_NO, dataset, "PatientIdentityRemoved"),
                method=_text(dataset.get("DeidentificationMethod")),
                lossy="01"
                if dataset.file_meta.TransferSyntaxUID in _LOSSY
                else _one_of(("00", "01"), dataset, "LossyImageCompression"),
            )
        except (InputError, MemoryError):
            raise  # running out of memory says nothing of the file
        except Exception as error:
            raise InputError(f"is damaged DICOM ({type(error).__name__})") from error


@contextmanager
def _quietly() -> Iterator[None]:
    """Inside, pydicom warns of nothing: it repeats values of files that it can read; what it cannot is an error here.

    Warnings, logs and validation are settings of the process, which may read and write other shards meanwhile: one
    file at a time.
    """
    with _ALONE, warnings.catch_warnings(), config.disable_value_validation():
        warnings.simplefilter("ignore")
        config.logger.addFilter(_nothing)
        try:
            yield
        finally:
            config.logger.removeFilter(_nothing)


def _nothing(_: logging.LogRecord) -> bool:
    return False


def _uid(dataset: Dataset, keyword: str) -> str:
    """A UID; empty where there is none, or something else in its place."""
    uid = UID(str(dataset.get(keyword) or ""))
    return str(uid) if uid.is_valid else ""


def _one_of(words: tuple[str, ...], dataset: Dataset, keyword: str) -> str:
    """The word of an element that has few; empty where it has none of them."""
    found = word(dataset, keyword)
    return found if found in words else ""


def _text(value: Any) -> str:
    """The values of an element of text, which may have several, in one line."""
    values = value if isinstance(value, MultiValue) else (value or "",)
    return "; ".join(str(part) for part in values)


def _parsed(content: bytes | BinaryIO) -> FileDataset:
    """The dataset, with its transfer syntax known; without its pixels where the file itself is given.

    Raises:
        InputError: the bytes are no DICOM.
    """
    file = io.BytesIO(content) if isinstance(content, bytes) else content
    alone = not isinstance(content, bytes)
    try:
        dataset = read_bounded(file, stop_before_pixels=alone)
    except InvalidDicomError:
        file.seek(0)
        dataset = read_bounded(file, force=True, stop_before_pixels=alone)
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
        kind = _known_name(UID(str(sop_class)), "DICOM object of an unknown kind") if sop_class else "DICOM object"
        raise InputError(f"is a {kind} without pixels; give images")
    for keyword in ("Rows", "Columns", "SamplesPerPixel", "PhotometricInterpretation", "BitsAllocated"):
        if dataset.get(keyword) in (None, ""):
            raise InputError(f"has pixels, but no {keyword}")
    dataset.PhotometricInterpretation = word(dataset, "PhotometricInterpretation")
    frames = int(dataset.get("NumberOfFrames") or 1)
    if frames != 1:
        raise InputError(f"holds {frames} frames; give a file per frame")
    sizes = int(dataset.Columns), int(dataset.Rows), int(dataset.SamplesPerPixel), frames
    if min(sizes) < 1:
        raise InputError(f"is {sizes[0]} x {sizes[1]} pixels, which is no picture")
    check_samples(*sizes)
    if sizes[2] not in (1, 3):
        raise InputError(f"has {sizes[2]} samples per pixel; 1 or 3 can be read")


def _decoded(dataset: Dataset) -> NDArray[Any]:
    """The stored values: [H, W], or [H, W, 3] as RGB.

    Raises:
        InputError: its transfer syntax has no decoder here, or the pixels do not decode.
    """
    syntax = UID(dataset.file_meta.TransferSyntaxUID)
    if syntax.is_compressed and not syntax.is_deflated and syntax not in _DECODERS:
        raise InputError(f"is compressed as {_known_name(syntax)}, which cannot be decoded; store it uncompressed")
    try:
        check_frame(dataset, syntax)
        return pixel_array(dataset, decoding_plugin=_DECODERS.get(syntax, ""), correct_unused_bits=False)
    except (InputError, MemoryError):
        raise
    except Exception as error:
        raise InputError(f"has pixels ({_known_name(syntax)}) that cannot be decoded: {_brief(error)}") from error


def _little_endian(dataset: Dataset) -> bool:
    return UID(dataset.file_meta.TransferSyntaxUID) != ExplicitVRBigEndian


def _stored(dataset: Dataset, decoded: NDArray[Any]) -> NDArray[Any]:
    """The values of Bits Stored bits that end at High Bit; what else an allocated word holds, overlays, is cut off."""
    allocated = decoded.dtype.itemsize * 8
    stored = int(number(dataset, "BitsStored") or allocated)
    if decoded.dtype.kind not in "iu" or not 0 < stored < allocated:
        return decoded
    high = int(number(dataset, "HighBit") or stored - 1)
    if not stored - 1 <= high < allocated:
        high = stored - 1
    # To the top of the word and back: the bits above go, and the sign, if there is one, fills what they leave.
    return np.asarray(np.right_shift(np.left_shift(decoded, allocated - 1 - high), allocated - stored))


def _brief(error: BaseException) -> str:
    """What a decoder says; no more than its class where it may repeat values of the file."""
    known = _KNOWN.search(" ".join(str(error).split()))
    return known[0] if known else type(error).__name__


def _known_name(uid: UID, unknown: str = "an unknown syntax") -> str:
    """What the standard calls a class or a syntax; what it does not know is not repeated."""
    return uid.name if uid.keyword else unknown
