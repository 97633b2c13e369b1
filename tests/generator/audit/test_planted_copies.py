"""A dataset's own images, stored anew in the ways that people store them, are found as copies."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from medim_forge.generator.audit import assess
from medim_forge.generator.dataset import open_dataset
from medim_forge.generator.phantoms import draw
from tests.doubles.pairs import finish_tiny


def encoded(image, suffix, **options):
    stream = io.BytesIO()
    image.save(stream, suffix, **options)
    return stream.getvalue()


def dicom(pixels, **elements):
    dataset = Dataset()
    dataset.SOPClassUID, dataset.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.7", "2.25.1"
    dataset.Rows, dataset.Columns = pixels.shape
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated = dataset.BitsStored = pixels.dtype.itemsize * 8
    dataset.HighBit, dataset.PixelRepresentation = dataset.BitsStored - 1, int(pixels.dtype.kind == "i")
    for keyword, value in elements.items():
        setattr(dataset, keyword, value)
    dataset.add_new("PixelData", "OW", pixels.tobytes())
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    stream = io.BytesIO()
    dataset.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def padded_row(pixels):
    """12 bits with a row of padding in the place of the first row."""
    deep = pixels.astype(np.int16) * 16
    deep[0] = -32768
    return dicom(deep, PixelPaddingValue=-32768)


def palette(pixels):
    elements = {}
    for colour in ("Red", "Green", "Blue"):
        elements[f"{colour}PaletteColorLookupTableDescriptor"] = [256, 0, 16]
        entries = (255 - np.arange(256, dtype=np.uint16)) * 257
        elements[f"{colour}PaletteColorLookupTableData"] = entries.astype("<u2").tobytes()
    return dicom(255 - pixels, PhotometricInterpretation="PALETTE COLOR", **elements)


def windowed(pixels):
    """12 bits and outliers, which the window cuts off."""
    deep = pixels.astype(np.uint16) * 8
    deep[0, :2] = 65535
    return dicom(deep, WindowCenter="1020", WindowWidth="2040")


def in_a_square(pixels):
    wide = np.zeros((pixels.shape[0], pixels.shape[1] + 40), np.uint8)
    wide[:, 20:-20] = pixels
    return encoded(Image.fromarray(wide), "PNG")


ENCODINGS = {
    "8-bit.png": lambda pixels: encoded(Image.fromarray(pixels), "PNG"),
    "16-bit.png": lambda pixels: encoded(Image.fromarray(pixels.astype(np.uint16) * 257), "PNG"),
    "photo.jpg": lambda pixels: encoded(Image.fromarray(pixels), "JPEG", quality=90),
    "scan.tif": lambda pixels: encoded(Image.fromarray(pixels), "TIFF"),
    "print.tif": lambda pixels: encoded(Image.fromarray(pixels).convert("CMYK"), "TIFF"),
    "larger.png": lambda pixels: encoded(Image.fromarray(pixels).resize((300, 300)), "PNG"),
    "square.png": in_a_square,
    "padded.dcm": padded_row,
    "palette.dcm": palette,
    "window": windowed,
    "inverse.dcm": lambda pixels: dicom(255 - pixels, PhotometricInterpretation="MONOCHROME1"),
}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dataset") / "out"
    finish_tiny(folder)
    return folder


@pytest.mark.parametrize("name", ENCODINGS)
def test_a_copy_is_found_in_every_encoding(dataset, tmp_path, name):
    row = next(row for row in open_dataset(dataset).rows("chest_xray"))
    (tmp_path / name).write_bytes(ENCODINGS[name](row.pixels()))
    for other in range(3):
        stranger = draw("chest_xray", 10**6 + other).image
        (tmp_path / f"other{other}.png").write_bytes(encoded(Image.fromarray(stranger), "PNG"))
    found = assess(dataset, str(tmp_path), None, "image", "")
    assert row.pair_id in {copy.pair_id for copy in found.copied_pairs if copy.image}
    assert found.reference == 4
