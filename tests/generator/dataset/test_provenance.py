"""What outputs say about their origin."""

from __future__ import annotations

import importlib.metadata

import medim_forge
from medim_forge.generator.dataset.provenance import SOFTWARE_VERSION, provenance_of
from medim_forge.generator.filters import score_names
from tests.doubles.pairs import make_facts, make_spec


def test_outputs_name_the_version_that_is_released():
    assert importlib.metadata.version("medim-forge") == SOFTWARE_VERSION == medim_forge.__version__


def test_score_columns_are_known_before_anything_is_made():
    spec = make_spec()
    assert provenance_of(spec, make_facts()).score_names == tuple(score_names(spec))


def test_phantoms_are_known_by_what_draws_the_image():
    def phantom(**changes):
        return provenance_of(make_spec(**changes), make_facts()).phantom

    given = {"prompts": (), "inputs": {"source": "phantoms", "domain": "pathology", "pairs": 2}}
    patients = {"prompts": (), "inputs": {"source": "parquet", "path": "x", "domain": "pathology"}}
    other = {"model": {"checkpoint": "/data/medim"}}
    assert phantom()
    assert not phantom(**other)
    assert phantom(task="report_to_image", **patients)
    assert phantom(task="image_to_report", **given, **other)
    # The embedded checkpoint may describe anybody's image: the image is still that of a patient.
    assert not phantom(task="image_to_report", **patients)
