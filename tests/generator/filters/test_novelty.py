"""Novelty is measured of the side that was given, and of nothing that the model made itself."""

from __future__ import annotations

import dataclasses
import math

import pytest

from medim_forge.generator.filters.novelty import novelty
from tests.doubles.pairs import make_pair


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"given_image": b"x"}, (3.0, 3.0, math.nan)),
        ({"given_report": "x"}, (0.5, math.nan, 0.5)),
        ({}, (math.nan, math.nan, math.nan)),
    ],
    ids=["image", "report", "nothing"],
)
def test_only_the_given_side_is_measured(given, expected):
    pair = make_pair(0, image_novelty=3.0, report_novelty=0.5)
    pair = dataclasses.replace(pair, request=dataclasses.replace(pair.request, **given))
    found = novelty(pair)
    assert [str(value) for value in found.values()] == [str(value) for value in expected]
