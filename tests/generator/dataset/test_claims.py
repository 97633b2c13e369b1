"""What a dataset says of people, for every origin of its sides and of its weights."""

from __future__ import annotations

import pytest

from medim_forge.generator.dataset.claims import headline, summary, synthetic_sides
from medim_forge.generator.dataset.schema import file_metadata
from tests.doubles.pairs import make_provenance

NOBODY = "Nothing here shows a patient"


@pytest.mark.parametrize("learned_from", ["phantoms", "patients", "unknown"])
@pytest.mark.parametrize(
    ("image", "report"), [("generated", "generated"), ("given", "generated"), ("generated", "given")]
)
def test_nothing_shows_a_patient_only_where_nothing_comes_from_one(image, report, learned_from):
    says = headline(make_provenance(image=image, report=report, learned_from=learned_from))
    nobody = (image, report, learned_from) == ("generated", "generated", "phantoms")
    assert (NOBODY in says) is nobody
    assert "nothing here may be used for diagnosis" in says


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"image": "given"}, "The images of this dataset were given to the job, not made by it, and may show"),
        ({"report": "given"}, "The reports of this dataset were given to the job, not made by it"),
        ({"learned_from": "patients"}, "treat this dataset under the terms of that data"),
        ({"learned_from": "unknown"}, "does not say what the model was trained on"),
    ],
)
def test_what_may_be_somebodys_is_said(changes, said):
    assert said in headline(make_provenance(**changes))


@pytest.mark.parametrize(
    ("changes", "sides"),
    [({}, "true"), ({"image": "given"}, "report"), ({"report": "given"}, "image"), ({"image": "drawn"}, "true")],
)
def test_files_say_which_sides_are_synthetic(changes, sides):
    provenance = make_provenance(**changes)
    metadata = file_metadata(provenance)
    assert metadata["synthetic"] == synthetic_sides(provenance) == sides
    assert metadata["image_origin"] == provenance.image
    assert ("digital_source_type" in metadata) is (provenance.image != "given")


def test_a_line_below_the_pictures_says_what_they_are():
    assert summary(make_provenance(), 8) == "8 synthetic pairs, not for diagnostic use."
    says = "8 pairs of given images and generated reports, not for diagnostic use."
    assert summary(make_provenance(image="given"), 8) == says
