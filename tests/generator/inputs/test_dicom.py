"""A DICOM file as a picture: what the standard says about its values is followed, and damage gets a name."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian, RLELossless

from medim_forge.generator.errors import InputError
from medim_forge.generator.inputs.dicom import read_dicom, read_header
from tests.doubles.dicom_tools import need, output


def dicom(pixels, syntax=ExplicitVRLittleEndian, *, preamble=True, **elements):
    """The file of an image made here; `elements` replace or, when None, drop."""
    colour = pixels.ndim == 3
    dataset = Dataset()
    dataset.SOPClassUID = "1.2.840.10008.5.1.4.1.1.7"
    dataset.SOPInstanceUID = "2.25.1"
    dataset.Rows, dataset.Columns = pixels.shape[:2]
    dataset.SamplesPerPixel = 3 if colour else 1
    if colour:
        dataset.PlanarConfiguration = 0
    dataset.PhotometricInterpretation = "RGB" if colour else "MONOCHROME2"
    dataset.BitsAllocated = dataset.BitsStored = pixels.dtype.itemsize * 8
    dataset.PixelRepresentation = int(pixels.dtype.kind == "i")
    for keyword, value in elements.items():
        if value is None:
            del dataset[keyword]
        else:
            setattr(dataset, keyword, value)
    dataset.HighBit = dataset.BitsStored - 1
    content = pixels.tobytes()
    dataset.add_new("PixelData", "OW" if pixels.dtype.itemsize > 1 else "OB", content + b"\0" * (len(content) % 2))
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = UID(syntax)
    stream = io.BytesIO()
    if preamble:
        dataset.save_as(stream, enforce_file_format=True)
    else:
        del dataset.file_meta
        pydicom.dcmwrite(stream, dataset, implicit_vr=syntax == ImplicitVRLittleEndian, little_endian=True)
    return stream.getvalue()


RAMP8 = np.arange(256, dtype=np.uint8).reshape(16, 16)
RAMP12 = np.arange(4096, dtype=np.uint16).reshape(64, 64)
RAMP_SIGNED = np.arange(-1024, 3072, dtype=np.int16).reshape(64, 64)


def test_eight_bit_levels_are_kept_as_they_are():
    assert np.array_equal(read_dicom(dicom(RAMP8)), RAMP8)
    narrow = np.full((4, 4), 100, np.uint8)
    assert np.array_equal(read_dicom(dicom(narrow)), narrow)


def test_monochrome1_is_inverted():
    assert np.array_equal(read_dicom(dicom(RAMP8, PhotometricInterpretation="MONOCHROME1")), 255 - RAMP8)


def test_the_header_says_how_identity_was_removed_and_whether_the_pixels_lost_anything():
    said = read_header(dicom(np.zeros((2, 2), np.uint8), DeidentificationMethod=["A", "B"], LossyImageCompression="01"))
    assert (said.method, said.lossy) == ("A; B", "01")
    silent = read_header(dicom(np.zeros((2, 2), np.uint8)))
    assert (silent.method, silent.lossy) == ("", "")


def test_seven_stored_bits_fill_the_scale():
    assert read_dicom(dicom(RAMP8 % 128, BitsStored=7)).max() == 255


@pytest.mark.parametrize("pixels", [RAMP12, RAMP_SIGNED], ids=["unsigned", "signed"])
def test_more_bits_without_a_window_are_spread_from_lowest_to_highest(pixels):
    picture = read_dicom(dicom(pixels))
    expected = np.round(np.linspace(0, 255, 4096)).reshape(64, 64)
    assert np.abs(picture - expected).max() <= 1
    assert (picture.min(), picture.max()) == (0, 255)


def test_the_padding_value_does_not_count_as_lowest():
    padded = RAMP12 + 1000
    padded[:8] = 0
    picture = read_dicom(dicom(padded, PixelPaddingValue=0))
    assert picture[:8].max() == 0
    assert picture[8:].min() == 0
    assert picture[8:].max() == 255
    assert len(np.unique(picture)) == 256


def test_rescale_comes_before_the_window():
    # Stored 1000 to 2000 are -24 to 976 units; the window shows 0 to 200 of them.
    pixels = np.array([[1000, 1024, 1074, 1124, 1174, 1223, 2000]], dtype=np.uint16)
    content = dicom(pixels, RescaleSlope=1, RescaleIntercept=-1024, WindowCenter=100, WindowWidth=200)
    assert list(read_dicom(content)[0]) == [0, 0, 64, 128, 192, 255, 255]


@pytest.mark.parametrize("function", ["LINEAR", "LINEAR_EXACT", "SIGMOID"])
def test_a_window_follows_its_function(function):
    from pydicom.pixels import apply_windowing

    content = dicom(RAMP12, BitsStored=12, WindowCenter=2000, WindowWidth=1000, VOILUTFunction=function)
    reference = apply_windowing(RAMP12, pydicom.dcmread(io.BytesIO(content))) / 4095 * 255
    assert np.abs(read_dicom(content) - reference).max() <= 0.51


def test_of_several_windows_the_first_counts():
    one = dicom(RAMP12, WindowCenter=2000, WindowWidth=1000)
    assert read_dicom(dicom(RAMP12, WindowCenter=[2000, 5], WindowWidth=[1000, 9])).tolist() == read_dicom(one).tolist()


def test_an_unknown_window_function_is_refused():
    with pytest.raises(InputError, match="VOI LUT Function that is not known"):
        read_dicom(dicom(RAMP8, WindowCenter=5, WindowWidth=9, VOILUTFunction="CUBIC"))


def table(keyword, values, first, bits):
    item = Dataset()
    item.add_new("LUTDescriptor", "US", [len(values), first, bits])
    item.add_new("LUTData", "OW", np.asarray(values, np.uint16).tobytes())
    if keyword == "ModalityLUTSequence":
        item.ModalityLUTType = "US"
    return {keyword: [item]}


def test_a_voi_table_is_looked_up():
    values = np.linspace(4095, 0, 256).astype(np.uint16)
    picture = read_dicom(dicom(RAMP8, **table("VOILUTSequence", values, 0, 12)))
    assert np.abs(picture - (255 - RAMP8)).max() <= 1


def test_a_modality_table_is_looked_up_before_the_window():
    values = np.arange(256, dtype=np.uint16) * 10
    content = dicom(RAMP8, WindowCenter=1275, WindowWidth=2551, **table("ModalityLUTSequence", values, 0, 16))
    assert np.abs(read_dicom(content).astype(int) - RAMP8).max() <= 1


def test_the_window_of_an_enhanced_image_is_found_in_its_functional_groups():
    transformation, voi, groups = Dataset(), Dataset(), Dataset()
    transformation.RescaleIntercept, transformation.RescaleSlope, transformation.RescaleType = -1024, 1, "HU"
    voi.WindowCenter, voi.WindowWidth = 40, 400
    groups.PixelValueTransformationSequence, groups.FrameVOILUTSequence = [transformation], [voi]
    enhanced = read_dicom(dicom(RAMP12, NumberOfFrames=1, SharedFunctionalGroupsSequence=[groups]))
    plain = read_dicom(dicom(RAMP12, RescaleIntercept=-1024, RescaleSlope=1, WindowCenter=40, WindowWidth=400))
    assert np.array_equal(enhanced, plain)
    assert np.ptp(plain) == 255


def test_colour_of_any_depth_becomes_eight_bit_rgb():
    colour = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)
    assert np.array_equal(read_dicom(dicom(colour)), colour)
    assert np.array_equal(read_dicom(dicom(colour.astype(np.uint16) * 257)), colour)
    planes = np.ascontiguousarray(np.moveaxis(colour, 2, 0))
    content = dicom(colour, PlanarConfiguration=1).replace(colour.tobytes(), planes.tobytes())
    assert np.array_equal(read_dicom(content), colour)


@pytest.mark.parametrize("kind", ["YBR_FULL"])
def test_luminance_and_chroma_become_rgb(kind):
    grey = np.full((4, 4, 3), 128, np.uint8)
    grey[:, :, 0] = np.arange(16).reshape(4, 4) * 16
    picture = read_dicom(dicom(grey, PhotometricInterpretation=kind))
    assert np.abs(picture.astype(int) - grey[:, :, :1]).max() <= 1


def test_a_palette_gives_its_colours():
    entries = np.arange(256, dtype=np.uint16) * 257
    planes = {"Red": entries, "Green": entries[::-1].copy(), "Blue": np.zeros(256, np.uint16)}
    elements = {}
    for name, values in planes.items():
        elements[f"{name}PaletteColorLookupTableDescriptor"] = [256, 0, 16]
        elements[f"{name}PaletteColorLookupTableData"] = values.tobytes()
    picture = read_dicom(dicom(RAMP8, PhotometricInterpretation="PALETTE COLOR", **elements))
    assert np.array_equal(picture, np.stack([RAMP8, 255 - RAMP8, np.zeros_like(RAMP8)], axis=2))


def test_bits_and_floats_are_pictures_too():
    bits = np.packbits(np.eye(16, dtype=np.uint8), bitorder="little").reshape(1, 32)
    content = dicom(bits, Rows=16, Columns=16, BitsAllocated=1, BitsStored=1)
    assert np.array_equal(read_dicom(content), np.eye(16) * 255)
    dataset = pydicom.dcmread(io.BytesIO(dicom(RAMP8, BitsAllocated=32)))
    del dataset.PixelData, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation
    dataset.FloatPixelData = np.linspace(-1, 1, 256, dtype=np.float32).tobytes()
    stream = io.BytesIO()
    dataset.save_as(stream)
    assert np.abs(read_dicom(stream.getvalue()).astype(int) - RAMP8).max() <= 1


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRLittleEndian])
def test_a_missing_preamble_and_header_are_no_hindrance(syntax):
    content = dicom(RAMP12, syntax, preamble=False, BitsStored=12)
    assert content[128:132] != b"DICM"
    assert np.array_equal(read_dicom(content), read_dicom(dicom(RAMP12, BitsStored=12)))


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian])
def test_other_uncompressed_syntaxes_give_the_same_picture(syntax):
    assert np.array_equal(read_dicom(dicom(RAMP8, syntax)), RAMP8)


def test_run_lengths_give_the_same_picture():
    dataset = pydicom.dcmread(io.BytesIO(dicom(RAMP12, BitsStored=12)))
    dataset.compress(RLELossless, generate_instance_uid=False)
    stream = io.BytesIO()
    dataset.save_as(stream)
    assert np.array_equal(read_dicom(stream.getvalue()), read_dicom(dicom(RAMP12, BitsStored=12)))


@pytest.mark.parametrize(
    ("elements", "words"),
    [
        ({"NumberOfFrames": 4}, "holds 4 frames; give a file per frame"),
        ({"PhotometricInterpretation": "HSV"}, "photometric interpretation HSV"),
        ({"SamplesPerPixel": 4}, "4 samples per pixel"),
        ({"Rows": None}, "no Rows"),
        ({"Rows": 0}, "is 16 x 0 pixels"),
        ({"Rows": 65535, "Columns": 65535}, "65535 x 65535 pixels"),
        ({"BitsAllocated": 12}, "cannot be decoded"),
    ],
)
def test_what_cannot_be_shown_is_refused_with_its_reason(elements, words):
    with pytest.raises(InputError, match=words):
        read_dicom(dicom(RAMP8, **elements))


def test_a_syntax_without_decoder_is_named():
    content = Path(get_testdata_file("MR_small_jpeg_ls_lossless.dcm")).read_bytes()
    dataset = pydicom.dcmread(io.BytesIO(content))
    dataset.file_meta.TransferSyntaxUID = UID("1.2.840.10008.1.2.4.100")
    stream = io.BytesIO()
    dataset.save_as(stream)
    with pytest.raises(InputError, match="is compressed as MPEG2 Main Profile"):
        read_dicom(stream.getvalue())


@pytest.mark.slow
@pytest.mark.parametrize("coding", ["+e1", "+el", "+eb"])
@pytest.mark.parametrize("kind", ["grey", "colour"])
def test_jpeg_as_dcmtk_writes_it_is_read(tmp_path, coding, kind):
    need("dcmcjpeg")
    grey = np.tile(RAMP8, (4, 4))
    pixels = grey if kind == "grey" else np.stack([grey, grey.T, 255 - grey], axis=2)
    (tmp_path / "plain.dcm").write_bytes(dicom(pixels))
    output("dcmcjpeg", coding, tmp_path / "plain.dcm", tmp_path / "jpeg.dcm")
    found = pydicom.dcmread(tmp_path / "jpeg.dcm").file_meta.TransferSyntaxUID
    assert found.is_compressed
    difference = np.abs(read_dicom((tmp_path / "jpeg.dcm").read_bytes()).astype(int) - pixels)
    if coding == "+eb":
        assert difference.mean() < 12
    else:
        assert difference.max() == 0
