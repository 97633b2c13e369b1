"""Reports that say the opposite of themselves."""

import math

from medim_forge.generator.filters.contradictions import contradictions
from medim_forge.generator.phantoms import DOMAINS, draw
from tests.doubles.bare_pairs import a_pair


def test_reports_of_phantoms_do_not_contradict_themselves():
    for domain in DOMAINS:
        for seed in range(40):
            pair = a_pair(report=draw(domain, seed).report, domain=domain)
            assert contradictions(pair) == {"contradictions": 0.0}


def test_new_things_cannot_be_unchanged():
    found = contradictions(a_pair(report="A new moderate pleural effusion has not changed."))
    assert found == {"contradictions": 1.0}


def test_pathology_contradicts_itself_by_its_own_grammar():
    pair = a_pair(report="There is necrosis. No necrosis is seen.", domain="pathology")
    assert contradictions(pair) == {"contradictions": 1.0}


def test_an_empty_report_is_not_found_free_of_contradictions():
    assert math.isnan(contradictions(a_pair(report=" "))["contradictions"])
