"""Every file that pydicom ships for tests reads as a picture or gets a named error; dcmtk shows the same picture."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pydicom
import pytest
from PIL import Image

from medim_forge.generator.errors import InputError
from medim_forge.generator.inputs.dicom import read_dicom
from tests.doubles.dicom_tools import output, viewer

CORPUS = Path(pydicom.__file__).parent / "data" / "test_files"
FILES = sorted(path for path in CORPUS.rglob("*") if path.is_file())
# Why a file of the corpus is refused; every other one reads.
REFUSED = {
    r"without pixels": {
        "ExplVR_BigEndNoMeta.dcm", "ExplVR_LitEndNoMeta.dcm", "UN_sequence.dcm", "empty_charset_LEI.dcm",
        "no_meta_group_length.dcm", "priv_SQ.dcm", "reportsi.dcm", "reportsi_with_empty_number_tags.dcm", "rtplan.dcm",
        "rtplan_truncated.dcm", "rtstruct.dcm", "test-SR.dcm", "waveform_ecg.dcm",
    },
    r"has pixels, but no Rows": {"meta_missing_tsyntax.dcm", "nested_priv_SQ.dcm"},
    r"holds (2|15|30) frames": {
        "SC_rgb_rle_16bit_2frame.dcm", "SC_rgb_rle_2frame.dcm", "SC_rgb_rle_32bit_2frame.dcm", "examples_ybr_color.dcm",
        "rtdose.dcm", "rtdose_expb.dcm", "rtdose_rle.dcm",
    },
    r"is not DICOM": {
        "crayons.icc", "no_meta.dcm", "rtplan.dump", "rtstruct.dump", "test1.json", "test_PN.json",
        "zipMR.gz",
    },
    # Neither codec that is free to use decodes 12 bits of it.
    r"JPEG Extended .* cannot be decoded: .*12-bit precision": {"JPEG-lossy.dcm", "JPGExtended.dcm"},
    r"JPEG 2000 .* cannot be decoded": {"JPEG2000-embedded-sequence-delimiter.dcm"},
    r"less than expected \(8130 vs 8192 bytes\)": {"MR_truncated.dcm"},
    r"is damaged DICOM \(ValueError": {"badVR.dcm"},
}  # fmt: skip


def reason(path):
    if path.name.startswith("README"):
        return "is not DICOM"
    if path.name.startswith("DICOMDIR") or "TINY_ALPHA" in path.parts:
        return "without pixels"
    return next((pattern for pattern, names in REFUSED.items() if path.name in names), None)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(CORPUS).as_posix())
def test_every_file_of_the_corpus_reads_or_gets_a_named_error(path):
    expected = reason(path)
    if expected is None:
        picture = read_dicom(path.read_bytes())
        assert picture.dtype == np.uint8
        assert picture.ndim == 2 or picture.shape[2] == 3
        # Two slices of 16 x 16 pixels are flat within their window.
        assert np.ptp(picture) > 0 or path.name in ("17166", "17196")
    else:
        with pytest.raises(InputError, match=expected):
            read_dicom(path.read_bytes())


def test_the_corpus_is_there_and_most_of_its_images_read():
    assert len(FILES) > 100
    assert sum(reason(path) is None for path in FILES) >= 50


@pytest.mark.parametrize("end", [0, 3, 131, 200, 1000, 5000])
@pytest.mark.parametrize(
    "name", ["CT_small.dcm", "SC_rgb_jpeg_gdcm.dcm", "MR_small_jpeg_ls_lossless.dcm", "examples_palette.dcm"]
)
def test_a_file_that_ends_early_is_a_named_error(name, end):
    with pytest.raises(InputError, match=r"DICOM|pixels"):
        read_dicom((CORPUS / name).read_bytes()[:end])


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        "CT_small.dcm", "MR_small.dcm", "MR_small_bigendian.dcm", "MR_small_implicit.dcm", "MR_small_RLE.dcm",
        "ExplVR_BigEnd.dcm", "SC_rgb_dcmtk_+eb+cy+s4.dcm", "SC_ybr_full_422_uncompressed.dcm",
        "examples_palette.dcm", "examples_rgb_color.dcm", "SC_rgb_small_odd.dcm", "image_dfl.dcm",
    ],
)  # fmt: skip
def test_dcmtk_shows_the_same_picture(tmp_path, name):
    dataset = pydicom.dcmread(CORPUS / name)
    window = []
    if re.match("MONOCHROME", dataset.PhotometricInterpretation):
        window = ["+Wi", "1"] if "WindowWidth" in dataset else ["+Wm"] if dataset.BitsAllocated > 8 else []
    output(viewer(), *window, "--write-raw-pnm", CORPUS / name, tmp_path / "shown.pnm")
    shown = np.asarray(Image.open(tmp_path / "shown.pnm")).astype(int)
    mine = read_dicom((CORPUS / name).read_bytes())
    assert shown.shape == mine.shape
    assert np.abs(shown - mine).mean() < 1.0
