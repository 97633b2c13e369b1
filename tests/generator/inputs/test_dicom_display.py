"""Tables, windows and bits as people's files have them: every packing and every oddity shows the same picture."""

from __future__ import annotations

import io

import numpy as np
import pytest
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.tag import Tag
from pydicom.uid import UID, ExplicitVRBigEndian, ExplicitVRLittleEndian, JPEG2000Lossless, JPEGLSLossless

from medim_forge.generator.errors import InputError
from medim_forge.generator.inputs.dicom import read_dicom

RAMP8 = np.arange(256, dtype=np.uint8).reshape(16, 16)
RAMP12 = np.arange(4096, dtype=np.uint16).reshape(64, 64)
GREY12 = np.round(np.linspace(0, 255, 4096)).reshape(64, 64)


def image(pixels, *, stored=None, high=None, syntax=ExplicitVRLittleEndian, **elements):
    """A dataset around pixels; `elements` are text as it stands in the file, or values."""
    dataset = Dataset()
    dataset.SOPClassUID, dataset.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.7", "2.25.1"
    dataset.Rows, dataset.Columns = pixels.shape
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated = pixels.dtype.itemsize * 8
    dataset.BitsStored = stored or dataset.BitsAllocated
    dataset.HighBit = dataset.BitsStored - 1 if high is None else high
    dataset.PixelRepresentation = int(pixels.dtype.kind == "i")
    big = syntax == ExplicitVRBigEndian
    content = pixels.astype(pixels.dtype.newbyteorder(">" if big else "<")).tobytes()
    dataset.add_new("PixelData", "OW" if pixels.dtype.itemsize > 1 else "OB", content)
    for keyword, value in elements.items():
        if isinstance(value, str):  # as bytes that nobody checks, which is how odd files hold them
            tag, content = Tag(keyword), (value + " " * (len(value) % 2)).encode()
            dataset[tag] = RawDataElement(tag, dictionary_VR(tag), len(content), content, 0, False, not big)
        else:
            setattr(dataset, keyword, value)
    return dataset


def picture(dataset, syntax=ExplicitVRLittleEndian):
    """What is read of the dataset, once it is a file."""
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = UID(syntax)
    stream = io.BytesIO()
    dataset.save_as(stream, enforce_file_format=True)
    return read_dicom(stream.getvalue())


def lut(entries, *, first=0, bits=8, packing="words", vr="US", big=False):
    """The item of a LUT sequence."""
    item = Dataset()
    item.add_new("LUTDescriptor", vr, [len(entries) % 65536, first, bits])
    words = np.asarray(entries, dtype=np.uint16)
    if packing == "US":
        item.add_new("LUTData", "US", words.tolist())
    elif packing == "words":
        item.add_new("LUTData", "OW", words.astype(">u2" if big else "<u2").tobytes())
    else:  # two to a word, the first one in its lower byte
        item.add_new("LUTData", "OW", words.astype(np.uint8).tobytes())
    return [item]


@pytest.mark.parametrize("packing", ["words", "packed", "US"])
@pytest.mark.parametrize("pixels", [RAMP8, RAMP12], ids=["8 bit", "12 bit"])
def test_an_8_bit_voi_table_gives_its_entries_whatever_their_packing(packing, pixels):
    entries = np.round(np.linspace(0, 255, pixels.size)).astype(int)[::-1]
    dataset = image(pixels, stored=8 if pixels is RAMP8 else 12, VOILUTSequence=lut(entries, packing=packing))
    assert np.array_equal(picture(dataset).ravel(), entries)


@pytest.mark.parametrize("bits", [9, 10, 12, 15, 16])
def test_a_voi_table_of_any_depth_fills_the_scale(bits):
    entries = np.round(np.linspace(0, 2**bits - 1, 4096)).astype(int)
    shown = picture(image(RAMP12, stored=12, VOILUTSequence=lut(entries, bits=bits)))
    assert np.abs(shown - GREY12).max() <= 1


@pytest.mark.parametrize("bits", [8, 10, 12, 16])
def test_a_modality_table_of_any_depth_is_followed(bits):
    entries = np.round(np.linspace(2**bits - 1, 0, 4096)).astype(int)
    shown = picture(image(RAMP12, stored=12, ModalityLUTSequence=lut(entries, bits=bits)))
    assert np.abs(shown - GREY12.ravel()[::-1].reshape(64, 64)).max() <= 1


def test_a_table_that_is_shorter_than_it_says_is_used_as_far_as_it_goes():
    item = lut(np.round(np.linspace(0, 4095, 4096)).astype(int)[:4000], bits=12)
    item[0].LUTDescriptor = [4096, 0, 12]
    shown = picture(image(RAMP12, stored=12, VOILUTSequence=item))
    assert np.abs(shown.ravel()[:4000] - GREY12.ravel()[:4000]).max() <= 1
    assert set(shown.ravel()[4000:]) == {shown.ravel()[3999]}


@pytest.mark.parametrize(
    ("pixels", "first", "vr"),
    [((RAMP12 + 40000).astype(np.uint16), 40000 - 65536, "SS"), ((RAMP12.astype(np.int16) - 1024), -1024, "SS")],
    ids=["unsigned beyond 32767", "signed"],
)
def test_the_first_mapped_value_has_the_sign_of_the_pixels(pixels, first, vr):
    entries = np.round(np.linspace(0, 65535, 4096)).astype(int)
    shown = picture(image(pixels, VOILUTSequence=lut(entries, first=first, bits=16, vr=vr)))
    assert np.abs(shown - GREY12).max() <= 1


@pytest.mark.parametrize("bytes_each", [1, 2])
@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ExplicitVRBigEndian], ids=["little", "big"])
def test_palettes_of_either_width_and_byte_order_give_their_colours(bytes_each, syntax):
    big = syntax == ExplicitVRBigEndian
    colours = {"Red": np.arange(256), "Green": np.arange(256)[::-1], "Blue": np.full(256, 7)}
    dataset = image(RAMP8, syntax=syntax, PhotometricInterpretation="PALETTE COLOR")
    for name, entries in colours.items():
        bits = 8 if bytes_each == 1 else 16
        dataset.add_new(f"{name}PaletteColorLookupTableDescriptor", "US", [256, 0, bits])
        words = entries.astype(np.uint16) * (257 if bits == 16 else 1)
        data = words.astype(">u2" if big else "<u2").tobytes()
        dataset.add_new(f"{name}PaletteColorLookupTableData", "OW", data)
    shown = picture(dataset, syntax)
    assert np.array_equal(shown.reshape(-1, 3), np.stack(list(colours.values()), axis=1))


def test_a_palette_of_more_than_256_entries_is_looked_up_to_its_end():
    dataset = image(RAMP12, stored=12, PhotometricInterpretation="PALETTE COLOR")
    entries = np.round(np.linspace(0, 255, 4096)).astype(np.uint8)
    for name in ("Red", "Green", "Blue"):
        dataset.add_new(f"{name}PaletteColorLookupTableDescriptor", "US", [4096, 0, 8])
        dataset.add_new(f"{name}PaletteColorLookupTableData", "OW", entries.tobytes())
    assert np.array_equal(picture(dataset)[..., 0].ravel(), entries)


@pytest.mark.parametrize("high", [11, 13, 15])
@pytest.mark.parametrize("rubbish", [0, 0xFFFF])
def test_values_end_at_high_bit_and_what_lies_around_them_is_cut_off(high, rubbish):
    shift = high - 11
    mask = np.uint16(0xFFF << shift)
    pixels = ((RAMP12 << shift) | (np.uint16(rubbish) & ~mask)).astype(np.uint16)
    assert np.abs(picture(image(pixels, stored=12, high=high)) - GREY12).max() <= 1


@pytest.mark.parametrize("syntax", [JPEG2000Lossless, JPEGLSLossless], ids=["JPEG 2000", "JPEG-LS"])
def test_bits_above_bits_stored_in_a_coded_stream_are_cut_off(syntax):
    pixels = RAMP12 | np.uint16(0x8000) * (RAMP12 % 3 == 0)
    dataset = image(pixels)  # coded as 16 bits, and then said to be 12
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    plugin = "pylibjpeg" if syntax == JPEG2000Lossless else "pyjpegls"
    dataset.compress(syntax, encoding_plugin=plugin, generate_instance_uid=False)
    dataset.BitsStored, dataset.HighBit = 12, 11
    assert np.abs(picture(dataset, syntax) - GREY12).max() <= 1


@pytest.mark.parametrize(
    "elements",
    [
        {},
        {"RescaleSlope": "1", "RescaleIntercept": "0"},
        {"RescaleSlope": "", "RescaleIntercept": ""},
        {"RescaleSlope": "0", "RescaleIntercept": "5"},
        {"RescaleIntercept": "100"},
    ],
    ids=["none", "identity", "empty", "slope 0", "intercept alone"],
)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_8_bit_levels_stay_what_they_are_where_nothing_changes_them(elements, dtype):
    narrow = (50 + RAMP8 % 100).astype(dtype)
    assert np.array_equal(picture(image(narrow, stored=8, **elements)), narrow)


@pytest.mark.parametrize(("centre", "width"), [("2000,0", "1500,0"), ("2000.0 ", " 1500.0"), ("2000\\9", "1500\\9")])
def test_a_window_is_read_however_its_numbers_are_written(centre, width):
    plain = picture(image(RAMP12, stored=12, WindowCenter="2000", WindowWidth="1500"))
    assert np.array_equal(picture(image(RAMP12, stored=12, WindowCenter=centre, WindowWidth=width)), plain)


@pytest.mark.parametrize("text", ["AUTO", "", "0", "-5"])
def test_a_window_without_a_number_is_none(text):
    shown = picture(image(RAMP12, stored=12, WindowCenter="2000", WindowWidth=text))
    assert np.abs(shown - GREY12).max() <= 1


def test_words_are_read_in_any_case():
    plain = picture(image(RAMP12, stored=12, WindowCenter="2000", WindowWidth="1500"))
    odd = {"PhotometricInterpretation": "monochrome2 ", "VOILUTFunction": "linear"}
    assert np.array_equal(picture(image(RAMP12, stored=12, WindowCenter="2000", WindowWidth="1500", **odd)), plain)


def test_an_inverse_presentation_inverts_once():
    plain = picture(image(RAMP12, stored=12))
    for elements in ({}, {"PhotometricInterpretation": "MONOCHROME1"}):
        assert np.array_equal(
            picture(image(RAMP12, stored=12, PresentationLUTShape="INVERSE", **elements)), 255 - plain
        )


def test_a_table_without_a_usable_descriptor_is_named():
    item = lut([0, 1], bits=8)
    item[0].LUTDescriptor = [2, 0, 17]
    with pytest.raises(InputError, match=r"descriptor is none; it needs entries, first value and bits"):
        picture(image(RAMP8, VOILUTSequence=item))
