"""What the programs of imaging people say about our objects: dciodvfy, and the tools of dcmtk."""

from __future__ import annotations

import html
import io
import re
from dataclasses import replace

import numpy as np
import pydicom
import pytest
from PIL import Image

from medim_forge.generator.jobspec import DicomSection
from medim_forge.generator.origins import GivenDicom, GivenSource
from medim_forge.generator.writers.dicom.encode import TRANSFER_SYNTAXES
from medim_forge.generator.writers.dicom.pixels import stored_pixels
from medim_forge.generator.writers.dicom.report import sections
from medim_forge.generator.writers.dicom.writer import DicomWriter
from tests.doubles.dicom_tools import complaints, need, output, viewer
from tests.doubles.pairs import make_pair, make_provenance

pytestmark = pytest.mark.slow

# Name: which pair, what the job says, what provenance says, and how dciodvfy calls the object.
KINDS = {
    "digital x-ray": (0, {}, {}, "DXImageForPresentation"),
    "digital x-ray with given spacing": (
        0,
        {"imager_pixel_spacing_mm": 0.7},
        {"learned_from": "patients"},
        "DXImageForPresentation",
    ),
    "computed radiography": (0, {}, {"learned_from": "patients"}, "CRImage"),
    "given radiograph": (0, {}, {"image": "given", "task": "image_to_report"}, "CRImage"),
    "microscopic": (1, {}, {}, "VLMicroscopicImage"),
    "given patch": (1, {}, {"image": "given", "task": "image_to_report"}, "VLMicroscopicImage"),
    "whole slide": (1, {"microns_per_pixel": 0.5}, {}, "VLWholeSlideMicroscopyImage"),
    "chest capture": (0, {"sop_class": "secondary_capture"}, {}, "SCImage"),
    "pathology capture": (1, {"sop_class": "secondary_capture"}, {}, "SCImage"),
}


def pairs(index):
    """As drawn, and odd: odd size, other letters, no impression."""
    noise = np.random.default_rng(0).integers(0, 256, (95, 95) if index == 0 else (95, 93, 3), np.uint8)
    return make_pair(index), make_pair(index, image=noise, report="AP view. Größe 5 µm & <b>.")


def written(tmp_path, pair, section, provenance):
    if provenance.get("image") == "given":
        source = GivenDicom(
            sop_class="1.2.840.10008.5.1.4.1.1.1", sop_instance="1.2.3", burned_in="NO", identity_removed="YES"
        )
        given = GivenSource(sha256="0" * 64, dicom=source)
        pair = replace(pair, request=replace(pair.request, given_image=b"given", given=given))
    files = DicomWriter(make_provenance(**provenance), DicomSection(**section)).objects(pair)
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    return tmp_path / "image.dcm", tmp_path / "report.dcm"


@pytest.mark.parametrize("syntax", TRANSFER_SYNTAXES)
@pytest.mark.parametrize("kind", KINDS)
def test_dciodvfy_finds_nothing_but_its_own_old_dictionary(tmp_path, kind, syntax):
    need("dciodvfy")
    index, section, provenance, iod = KINDS[kind]
    for pair in pairs(index):
        image, report = written(tmp_path, pair, section | {"transfer_syntax": syntax}, provenance)
        assert complaints(image, iod) == []
        assert complaints(report, "BasicTextSR") == []


@pytest.mark.parametrize(
    ("kind", "keyword"),
    [("computed radiography", "Rows"), ("digital x-ray", "ImagerPixelSpacing"), ("whole slide", "FocusMethod")],
)
def test_dciodvfy_would_find_a_missing_attribute(tmp_path, kind, keyword):
    need("dciodvfy")
    index, section, provenance, iod = KINDS[kind]
    image, _ = written(tmp_path, make_pair(index), section, provenance)
    dataset = pydicom.dcmread(image)
    del dataset[keyword]
    dataset.save_as(image)
    assert any(keyword in line for line in complaints(image, iod))


@pytest.mark.parametrize("kind", KINDS)
def test_dcmtk_dumps_every_object_and_reads_the_marks(tmp_path, kind):
    need("dcmdump")
    index, section, provenance, _ = KINDS[kind]
    given = provenance.get("image") == "given"
    for path in written(tmp_path, make_pair(index), section, provenance):
        text = output("dcmdump", "-q", path)
        synthetic = not given or path.name == "report.dcm"
        assert bool(re.search(r"\(0008,001c\) .*(YES|59\\45\\53)", text)) is synthetic, text
        equipment = "109100" if synthetic else "109102"
        assert f"({equipment})" in text or f"[{equipment}]" in text
        assert f"[{'GIVEN' if given else 'SYN'}-{make_pair(index).pair_id}]" in text


@pytest.mark.parametrize("kind", KINDS)
def test_dcmtk_renders_the_levels_that_were_generated(tmp_path, kind):
    index, section, provenance, _ = KINDS[kind]
    for pair in pairs(index):
        image, _ = written(tmp_path, pair, section, provenance)
        target = tmp_path / "image.pnm"
        # With the window that the object gives, if any, as a viewer shows it.
        window = ["+Wi", "1"] if "WindowCenter" in pydicom.dcmread(image) else []
        output(viewer(), *window, "--write-raw-pnm", image, target)
        rendered = np.asarray(Image.open(target))
        expected = stored_pixels(pair.request.prompt.domain, pair.image)
        assert rendered.shape == expected.shape
        assert np.abs(rendered.astype(int) - expected).max() <= 1


@pytest.mark.parametrize("index", [0, 1])
def test_dcmtk_renders_the_report_with_its_words_and_its_image(tmp_path, index):
    need("dsr2html")
    for pair in pairs(index):
        image, report = written(tmp_path, pair, {}, {})
        page = tmp_path / "report.html"
        output("dsr2html", "-q", "+U8", report, page)
        text = page.read_text(encoding="utf-8")
        for part in filter(None, sections(pair.report)):
            assert part in html.unescape(text)
        assert str(pydicom.dcmread(image).SOPInstanceUID) in text
        assert "Findings" in text
        assert "UNVERIFIED" in text.upper()


def test_dcmtk_decodes_what_was_compressed_to_the_same_levels(tmp_path):
    need("dcmdjpls")
    for index in (0, 1):
        for pair in pairs(index):
            image, _ = written(tmp_path, pair, {"transfer_syntax": "jpeg_ls_lossless"}, {})
            plain = tmp_path / "plain.dcm"
            output("dcmdjpls", image, plain)
            decoded = pydicom.dcmread(io.BytesIO(plain.read_bytes()))
            assert np.array_equal(decoded.pixel_array, stored_pixels(pair.request.prompt.domain, pair.image))
