"""References to what one image cannot show."""

import pytest

from medim_forge.generator.filters.references import references
from medim_forge.generator.phantoms import DOMAINS, draw
from tests.doubles.bare_pairs import a_pair


def test_reports_of_phantoms_refer_to_nothing_else():
    for domain in DOMAINS:
        for seed in range(40):
            assert references(a_pair(report=draw(domain, seed).report, domain=domain))["references"] == 0


@pytest.mark.parametrize(
    ("report", "prior", "view"),
    [
        ("As compared to the previous radiograph, the effusion has decreased.", 1, 0),
        ("Better visible on the lateral radiograph.", 0, 1),
        ("The chest tube has been removed. Heart size is unchanged.", 2, 0),
        ("PA and lateral views. No interval change.", 1, 1),
        ("There is a small right pleural effusion.", 0, 0),
    ],
)
def test_references_are_counted_by_kind(report, prior, view):
    scores = references(a_pair(report=report))
    assert (scores["references_prior"], scores["references_view"]) == (prior, view)
    assert scores["references"] >= max(prior, view)
