"""What may be claimed of an image: view, spacing, scale, and the SOP class that follows."""

from __future__ import annotations

import pydicom.uid as uids
import pytest

from medim_forge.generator.errors import SpecError
from medim_forge.generator.jobspec import DicomSection
from medim_forge.generator.phantoms import DOMAINS
from medim_forge.generator.writers.dicom.known import known
from tests.doubles.pairs import make_provenance, make_spec

CR = uids.ComputedRadiographyImageStorage
DX = uids.DigitalXRayImageStorageForPresentation
VL = uids.VLMicroscopicImageStorage
WSM = uids.VLWholeSlideMicroscopyImageStorage


def facts(domain="chest_xray", report="PA view.", columns=96, section=None, **changes):
    return known(make_provenance(**changes), section or DicomSection(), domain, report, columns)


def test_the_drawn_field_gives_the_spacing_whatever_the_resolution():
    assert facts(learned_from="phantoms").spacing_mm == pytest.approx(380 / 96)
    assert facts(learned_from="phantoms", columns=192).spacing_mm == pytest.approx(380 / 192)
    assert facts(learned_from="phantoms").sop_class == DX


def test_without_spacing_or_view_a_radiograph_claims_less():
    assert facts(learned_from="patients").sop_class == CR
    spaced = DicomSection(imager_pixel_spacing_mm=0.7)
    found = facts(learned_from="patients", section=spaced)
    assert (found.sop_class, found.view, found.spacing_mm) == (DX, "PA", 0.7)
    unseen = facts(learned_from="patients", section=spaced, report="Clear lungs.")
    assert (unseen.sop_class, unseen.view, unseen.spacing_mm) == (CR, None, 0.7)


@pytest.mark.parametrize("image", ["drawn", "given"])
def test_a_given_image_has_no_view_and_no_spacing_whatever_its_generated_report_says(image):
    found = facts(task="image_to_report", image=image)
    assert (found.sop_class, found.view, found.spacing_mm) == (CR, None, None)
    assert found.unannotated is (image == "drawn")


@pytest.mark.parametrize(("section", "sop_class"), [({}, VL), ({"microns_per_pixel": 0.5}, WSM)])
def test_a_patch_is_a_slide_only_when_its_scale_is_given(section, sop_class):
    found = facts("pathology", section=DicomSection(**section))
    assert (found.sop_class, found.microns_per_pixel) == (sop_class, section.get("microns_per_pixel"))


@pytest.mark.parametrize("domain", DOMAINS)
def test_a_secondary_capture_claims_no_modality(domain):
    found = facts(domain, section=DicomSection(sop_class="secondary_capture"))
    assert found.sop_class == uids.SecondaryCaptureImageStorage
    assert (found.view, found.spacing_mm, found.microns_per_pixel) == (None, None, None)


@pytest.mark.parametrize(
    ("dicom", "changes", "words"),
    [
        ({"imager_pixel_spacing_mm": 0.2}, {}, "phantom has its own"),
        ({"microns_per_pixel": 0.5}, {"prompts": [{"domain": "chest_xray", "pairs": 1}]}, "pathology images, and this"),
        ({"microns_per_pixel": 0.5, "sop_class": "secondary_capture"}, {}, "secondary_capture claims none"),
        (
            {"microns_per_pixel": 0.5},
            {
                "prompts": [],
                "task": "image_to_report",
                "inputs": {"source": "phantoms", "domain": "pathology", "pairs": 1},
            },
            "is of generated images",
        ),
        ({"microns_per_pixel": 0}, {}, r"output\.dicom\.microns_per_pixel"),
        ({"transfer_syntax": "jpeg"}, {}, r"output\.dicom\.transfer_syntax"),
        ({"archive": "rar"}, {}, r"output\.dicom\.archive"),
    ],
)
def test_a_scale_that_nobody_can_know_is_refused_with_the_job(dicom, changes, words):
    with pytest.raises(SpecError, match=words):
        make_spec(output={"dir": "out/x", "dicom": dicom}, **changes)
