"""Compression is lossless, keeps what names the object, and makes the same bytes each time."""

from __future__ import annotations

import io

import numpy as np
import pydicom
import pytest
from pydicom.pixels import get_decoder

from medim_forge.generator.errors import RowError
from medim_forge.generator.jobspec import DicomSection
from medim_forge.generator.writers.dicom.encode import TRANSFER_SYNTAXES
from medim_forge.generator.writers.dicom.pixels import stored_pixels
from medim_forge.generator.writers.dicom.writer import DicomWriter
from tests.doubles.pairs import make_pair, make_provenance

COMPRESSED = ["jpeg_ls_lossless", "jpeg_2000_lossless"]


def pictures(domain):
    """Drawn, noise of odd size, flat, and one pixel wide."""
    rng = np.random.default_rng(3)
    channels = () if domain == "chest_xray" else (3,)
    noise = rng.integers(0, 256, (61, 45, *channels), np.uint8)
    index = 0 if domain == "chest_xray" else 1
    return [make_pair(index).image, noise, np.full_like(noise, 255), noise[:40, :33] // 200 * 255]


def objects(image, domain, syntax, **section):
    index = 0 if domain == "chest_xray" else 1
    pair = make_pair(index, image=image)
    return DicomWriter(make_provenance(), DicomSection(transfer_syntax=syntax, **section)).objects(pair)


@pytest.mark.parametrize("syntax", TRANSFER_SYNTAXES)
@pytest.mark.parametrize("domain", ["chest_xray", "pathology"])
def test_every_level_survives_with_every_decoder_there_is(domain, syntax):
    for image in pictures(domain):
        expected = stored_pixels(domain, image)
        dataset = pydicom.dcmread(io.BytesIO(objects(image, domain, syntax)["image.dcm"]))
        uid = dataset.file_meta.TransferSyntaxUID
        assert uid == TRANSFER_SYNTAXES[syntax]
        plugins = get_decoder(uid).available_plugins if syntax in COMPRESSED else ("",)
        assert plugins
        for plugin in plugins:
            dataset.pixel_array_options(decoding_plugin=plugin)
            assert np.array_equal(dataset.pixel_array, expected), plugin


@pytest.mark.parametrize("syntax", COMPRESSED)
@pytest.mark.parametrize(
    ("domain", "section"), [("chest_xray", {}), ("pathology", {}), ("pathology", {"microns_per_pixel": 0.5})]
)
def test_compression_changes_nothing_but_the_pixel_data(domain, section, syntax):
    image = pictures(domain)[0]
    plain = objects(image, domain, "explicit_vr_little_endian", **section)
    packed = objects(image, domain, syntax, **section)
    assert packed["report.dcm"] == plain["report.dcm"]
    before, after = (pydicom.dcmread(io.BytesIO(made["image.dcm"])) for made in (plain, packed))
    assert after.SOPInstanceUID == before.SOPInstanceUID
    assert after.file_meta.MediaStorageSOPInstanceUID == before.SOPInstanceUID
    assert after.LossyImageCompression == "00"
    for dataset in (before, after):
        del dataset.PixelData, dataset.PhotometricInterpretation
    assert before == after


@pytest.mark.parametrize("syntax", COMPRESSED)
@pytest.mark.parametrize("domain", ["chest_xray", "pathology"])
def test_compressing_again_makes_the_same_bytes(domain, syntax):
    for image in pictures(domain):
        assert objects(image, domain, syntax) == objects(image, domain, syntax)


@pytest.mark.parametrize("syntax", COMPRESSED)
def test_a_drawn_image_becomes_smaller(syntax):
    image = pictures("pathology")[0]
    plain = objects(image, "pathology", "explicit_vr_little_endian")["image.dcm"]
    assert len(objects(image, "pathology", syntax)["image.dcm"]) < 0.8 * len(plain)


def test_an_image_too_small_for_the_encoder_is_an_error_that_names_the_pair():
    small = pictures("chest_xray")[1][:16, :16]
    with pytest.raises(RowError, match=r"3f2a9c1b-0000000: .* 16 x 16 pixels cannot be encoded as JPEG 2000"):
        objects(small, "chest_xray", "jpeg_2000_lossless")
    assert objects(small, "chest_xray", "jpeg_ls_lossless")
