"""The section `data` is strict, and says what real data need."""

from __future__ import annotations

import pytest

from medim_forge.generator.errors import SpecError
from medim_forge.generator.jobspec import DataSpec, find_data, parse_spec
from medim_forge.generator.jobspec.data_job import SeenSection

REAL = {"kind": "images", "path": "x", "domain": "chest_xray", "terms": ["CC0"], "deidentified": True}
DRAWN = {"kind": "phantoms", "domain": "chest_xray", "pairs": 4}


def job(*sources, **data):
    values = {"kind": "data", "name": "x", "data": {"sources": list(sources), **data}}
    made = parse_spec(values, source="x.yaml")
    assert isinstance(made, DataSpec)
    return made


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ({**REAL, "terms": []}, r"terms is empty; say under which terms"),
        ({key: value for key, value in REAL.items() if key != "deidentified"}, "deidentified is missing; write true"),
        ({**REAL, "kind": "dataset"}, "a model made.*allow_synthetic: true"),
        ({**REAL, "allow_synthetic": True}, "allow_synthetic is for kind: dataset"),
        ({**REAL, "preset": "mimic_cxr"}, "either preset .* or kind"),
        ({"domain": "chest_xray"}, "either preset .* or kind"),
        ({**REAL, "pairs": 3}, "pairs is for kind: phantoms; limit takes"),
        ({**DRAWN, "terms": ["CC0"]}, "terms is not for kind: phantoms"),
        ({"kind": "phantoms", "domain": "chest_xray"}, "pairs is missing"),
        ({**DRAWN, "domain": "mammogram"}, "domain = 'mammogram' has no phantoms"),
        ({**REAL, "domain": "Chest X-ray"}, "is no name of a domain"),
        ({**REAL, "domian": "x"}, r"domian is not a known key \(did you mean domain\?\)"),
        ({**REAL, "kind": "image"}, r"kind = 'image' is not known \(did you mean images\?\)"),
        ({**REAL, "columns": {"patients": "x"}}, r"columns\.patients is not a known key \(did you mean patient\?\)"),
        ({**REAL, "report": {"section": "finding"}}, r"did you mean findings\?"),
        ({**REAL, "report": {"headings": {"befund": ["x"]}}}, "headings"),
        ({**REAL, "patient_pattern": "("}, "is no regular expression"),
        ({**REAL, "patient_pattern": "(a)(b)"}, "has several groups"),
        ({**REAL, "path": "~/x"}, "nobody expands ~"),
    ],
)
def test_a_source_that_cannot_be_used_is_refused_with_what_to_write(source, words):
    with pytest.raises(SpecError, match=rf"x\.yaml: data\.sources\[0\].*{words}"):
        job(source)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({"split": {"validation": 0.6, "test": 0.5}}, "leaves nobody to learn from"),
        ({"split": {"by": "column", "salt": "x"}}, "salt is for by: patient"),
        ({"mix": {"pathology": 1.0}}, "mix names pathology; name the domains"),
        ({"mix": {"chest_xray": 0.5}}, "mix sums to 0.5; shares sum to 1"),
        ({"text": {"too_long": "truncate"}}, "is not known"),
    ],
)
def test_rules_that_cannot_be_kept_are_refused(data, words):
    with pytest.raises(SpecError, match=words):
        job(REAL, **data)


def test_sources_need_names_of_their_own_and_there_must_be_one():
    with pytest.raises(SpecError, match="two are called images; give each its name"):
        job(REAL, {**REAL, "path": "y"})
    assert job(REAL, {**REAL, "name": "other"}).data.domains == ("chest_xray",)
    with pytest.raises(SpecError, match=r"data\.sources"):
        job()


def test_terms_of_all_sources_are_known_each_once():
    assert job(REAL, {**REAL, "name": "b", "terms": ["CC0", "IRB 7"]}, DRAWN).data.terms == ("CC0", "IRB 7")


def test_a_file_with_data_alone_is_a_data_job():
    section, seen = find_data({"data": {"sources": [DRAWN]}}, "x.yaml")["data"]
    assert (section.sources[0].pairs, seen) == (4, SeenSection())
    with pytest.raises(SpecError, match="data is missing; add it"):
        find_data({"kind": "data"}, "x.yaml")


@pytest.mark.parametrize(
    ("values", "seen"),
    [
        ({"start_from": "phantom"}, SeenSection(checkpoint="phantom")),
        ({"start": {"from": "checkpoint", "path": "c"}}, SeenSection(checkpoint="c")),
        ({"model": {"checkpoint": "c"}}, SeenSection(checkpoint="c")),
        ({"model": {"image": {"resolution": 96}}, "start": {"path": "c"}}, SeenSection(resolution=96)),
        ({"model": "odd", "start": 3}, SeenSection()),
    ],
)
def test_jobs_of_other_kinds_hold_such_sections_too_and_say_which_model_sees_them(values, seen):
    section = {"sources": [DRAWN]}
    found = find_data({"kind": "train", "data": section, "reference": section, **values}, "x.yaml")
    assert list(found) == ["data", "reference"]
    assert found["data"][1] == seen


def test_a_job_without_such_a_section_is_told_so_and_a_wrong_one_named_by_its_key():
    with pytest.raises(SpecError, match="kind: generate has no section data, real, reference or training"):
        find_data({"kind": "generate", "model": {}}, "x.yaml")
    with pytest.raises(SpecError, match=r"x\.yaml: real: sources\[0\].*terms is empty"):
        find_data({"kind": "augment", "real": {"sources": [{**REAL, "terms": []}]}}, "x.yaml")
