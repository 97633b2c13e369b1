"""A DICOM object becomes the bytes of a file."""

from __future__ import annotations

import io
from collections.abc import Mapping
from types import MappingProxyType

from pydicom import dcmwrite
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian, JPEG2000Lossless, JPEGLSLossless

from medim_forge import __version__
from medim_forge.generator.writers.uids import IMPLEMENTATION_CLASS_UID

# By `output.dicom.transfer_syntax`. The encoder is named, because another one would make other bytes.
TRANSFER_SYNTAXES: Mapping[str, UID] = MappingProxyType(
    {
        "explicit_vr_little_endian": ExplicitVRLittleEndian,
        "jpeg_ls_lossless": JPEGLSLossless,
        "jpeg_2000_lossless": JPEG2000Lossless,
    }
)
_ENCODERS: Mapping[UID, str] = MappingProxyType({JPEGLSLossless: "pyjpegls", JPEG2000Lossless: "pylibjpeg"})
IMPLEMENTATION_VERSION = "MEDIM_FORGE_" + "_".join(__version__.split(".")[:2])


def encode_dicom(dataset: Dataset, syntax: UID = ExplicitVRLittleEndian) -> bytes:
    """The DICOM file (PS3.10) of an object; the same object always gives the same bytes.

    Compressing an image is lossless and keeps its SOP Instance UID. It changes the dataset.
    """
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = UID(IMPLEMENTATION_CLASS_UID)
    meta.ImplementationVersionName = IMPLEMENTATION_VERSION
    dataset.file_meta = meta
    if syntax in _ENCODERS:
        if syntax == JPEG2000Lossless and dataset.SamplesPerPixel == 3:
            # The encoder's reversible colour transform, which is lossless (PS3.5 8.2.4).
            dataset.PhotometricInterpretation = "YBR_RCT"
        dataset.compress(syntax, encoding_plugin=_ENCODERS[syntax], generate_instance_uid=False)
    buffer = io.BytesIO()
    dcmwrite(buffer, dataset, enforce_file_format=True)
    return buffer.getvalue()
