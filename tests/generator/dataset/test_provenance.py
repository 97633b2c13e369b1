"""What outputs say about their origin."""

from __future__ import annotations

import importlib.metadata

import pytest

import medim_forge
from medim_forge.generator.dataset.provenance import SOFTWARE_VERSION, provenance_of
from medim_forge.generator.filters import score_names
from tests.doubles.pairs import make_facts, make_provenance, make_spec


def test_outputs_name_the_version_that_is_released():
    assert importlib.metadata.version("medim-forge") == SOFTWARE_VERSION == medim_forge.__version__


def test_score_columns_are_known_before_anything_is_made():
    spec = make_spec()
    assert provenance_of(spec, make_facts()).score_names == tuple(score_names(spec))


PHANTOMS = {"prompts": (), "inputs": {"source": "phantoms", "domain": "pathology", "pairs": 2}}
PEOPLE = {"prompts": (), "inputs": {"source": "parquet", "path": "x", "domain": "pathology"}}


@pytest.mark.parametrize(
    ("changes", "image", "report"),
    [
        ({}, "generated", "generated"),
        ({"task": "image_to_report", **PHANTOMS}, "drawn", "generated"),
        ({"task": "image_to_report", **PEOPLE}, "given", "generated"),
        ({"task": "report_to_image", **PHANTOMS}, "generated", "drawn"),
        ({"task": "report_to_image", **PEOPLE}, "generated", "given"),
    ],
)
def test_each_side_has_its_origin(changes, image, report):
    found = provenance_of(make_spec(**changes), make_facts())
    assert (found.image, found.report) == (image, report)
    assert found.given is ("given" in (image, report))


@pytest.mark.parametrize(
    ("image", "learned_from", "phantom"),
    [
        ("generated", "phantoms", True),
        ("generated", "patients", False),
        ("generated", "unknown", False),
        ("drawn", "patients", True),
        # The embedded checkpoint may describe anybody's image: the image is still that of a patient.
        ("given", "phantoms", False),
    ],
)
def test_phantoms_are_known_by_what_draws_the_image(image, learned_from, phantom):
    assert make_provenance(image=image, learned_from=learned_from).phantom is phantom
