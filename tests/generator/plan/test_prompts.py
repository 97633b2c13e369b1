"""Prompts: openings that ask for exactly the findings named, and that a report can continue."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medim_forge.generator.errors import SpecError
from medim_forge.generator.jobspec import PromptSection
from medim_forge.generator.phantoms import FINDINGS, GRAMMARS, OPENING, read_findings
from medim_forge.generator.plan.prompts import check_prompts, compose


def section(domain="chest_xray", **values) -> PromptSection:
    return PromptSection.model_validate({"domain": domain, "pairs": 1, **values})


@pytest.mark.parametrize("domain", sorted(OPENING))
def test_prompt_without_text_is_the_opening_of_its_domain(domain):
    prompt = compose(section(domain), seed=1)
    assert (prompt.text, prompt.findings) == (OPENING[domain], ())


def test_own_text_is_kept_word_for_word_and_its_findings_are_read():
    prompt = compose(section(text="Chest film. There is a large left pneumothorax."), seed=1)
    assert prompt.text == "Chest film. There is a large left pneumothorax."
    assert prompt.findings == ("pneumothorax_left",)


@given(st.data(), st.sampled_from(sorted(FINDINGS)), st.integers(0, 2**63 - 1))
def test_prompt_asserts_exactly_the_findings_asked_for(data, domain, seed):
    asked = data.draw(st.sets(st.sampled_from(FINDINGS[domain]), min_size=1, max_size=4))
    prompt = compose(section(domain, findings=sorted(asked)), seed=seed)
    assert prompt.findings == tuple(sorted(asked))
    assert read_findings(prompt.text) == asked
    assert prompt.text.startswith(OPENING[domain])


@given(st.data(), st.sampled_from(sorted(FINDINGS)), st.integers(0, 2**63 - 1))
def test_prompt_can_be_continued_to_a_complete_report(data, domain, seed):
    asked = data.draw(st.sets(st.sampled_from(FINDINGS[domain]), min_size=1, max_size=4))
    grammar = GRAMMARS[domain]
    text = compose(section(domain, findings=sorted(asked)), seed=seed).text
    rows = grammar.read(text).body
    assert all(row in grammar.sentences for row in rows)
    places = [grammar.slots.index(row.slot) for row in rows]
    assert places == sorted(set(places))
    passed = {slot for slot in grammar.required if grammar.slots.index(slot) <= places[-1]}
    assert passed <= {row.slot for row in rows}


def test_seed_alone_picks_the_paraphrase():
    asked = section(findings=["effusion_right"])
    assert compose(asked, seed=5) == compose(asked, seed=5)
    texts = {compose(asked, seed=seed).text for seed in range(200)}
    assert len(texts) > 10
    assert {word for text in texts for word in ("small", "moderate", "large") if word in text} == {
        "small",
        "moderate",
        "large",
    }


def test_unknown_finding_is_refused_with_suggestion():
    sections = [section(), section(findings=["efusion_right"])]
    with pytest.raises(SpecError) as caught:
        check_prompts(sections, "jobs/x.yaml")
    message = str(caught.value)
    assert message.startswith("jobs/x.yaml: prompts[1].findings: 'efusion_right' is not a finding of chest_xray")
    assert "did you mean effusion_right?" in message
    assert "Known: cardiomegaly" in message


def test_finding_of_the_other_domain_or_named_twice_is_refused():
    with pytest.raises(SpecError, match="not a finding of pathology"):
        check_prompts([section("pathology", findings=["nodule"])], "x")
    with pytest.raises(SpecError, match="named twice"):
        check_prompts([section(findings=["nodule", "nodule"])], "x")
