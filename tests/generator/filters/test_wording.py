"""Non-words, references to what is not there, and contradictions."""

import math

import pytest

from medim_forge.generator.errors import SpecError
from medim_forge.generator.filters.lexicon import is_word
from medim_forge.generator.filters.wording import DEFAULTS, Contradictions, Nonwords, References
from medim_forge.generator.phantoms import DOMAINS, draw
from tests.doubles.bare_pairs import Rule, a_pair


def score(kind, name, report, domain="chest_xray"):
    return kind.of(DEFAULTS[name]).judge(a_pair(report=report, domain=domain)).scores


@pytest.mark.parametrize(
    "word",
    ["adenomarcinoma", "adenocinoma", "munistochemical", "contraamed", "detrused", "histiytosis", "swoled", "isive"],
)
def test_what_denoisers_make_up_is_no_word(word):
    assert not is_word(word)


@pytest.mark.parametrize(
    "word", ["retrocardiac", "subpleural", "opacities", "planning", "worsening", "patient's", "pa"]
)
def test_endings_prefixes_and_short_strings_are_no_mistakes(word):
    assert is_word(word)


def test_reports_of_phantoms_hold_words_only_and_refer_to_nothing_else():
    for domain in DOMAINS:
        for seed in range(40):
            report = draw(domain, seed).report
            assert score(Nonwords, "nonwords", report, domain) == {"nonwords": 0.0}
            assert score(References, "references", report, domain)["references"] == 0
            assert score(Contradictions, "contradictions", report, domain) == {"contradictions": 0.0}


def test_the_share_of_nonwords_counts_longer_words():
    assert score(Nonwords, "nonwords", "A swoled heart is seen in AP.")["nonwords"] == pytest.approx(1 / 3)
    assert score(Nonwords, "nonwords", "")["nonwords"] == 0


def test_a_job_adds_its_own_words():
    judge = Nonwords.of(Rule(name="nonwords", options={"words": ["Swoled"]})).judge
    assert judge(a_pair(report="A swoled heart.")).scores["nonwords"] == 0


@pytest.mark.parametrize("words", ["swoled", [1], [""]])
def test_words_that_are_none_are_refused(words):
    with pytest.raises(SpecError, match="give a list of words"):
        Nonwords.of(Rule(name="nonwords", options={"words": words}))


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
    scores = score(References, "references", report)
    assert (scores["references_prior"], scores["references_view"]) == (prior, view)
    assert scores["references"] >= max(prior, view)


def test_new_things_cannot_be_unchanged():
    found = score(Contradictions, "contradictions", "A new moderate pleural effusion has not changed.")
    assert found == {"contradictions": 1.0}


def test_pathology_contradicts_itself_by_its_own_grammar():
    report = "There is necrosis. No necrosis is seen."
    assert score(Contradictions, "contradictions", report, "pathology") == {"contradictions": 1.0}


def test_an_empty_report_is_not_found_free_of_contradictions():
    assert math.isnan(score(Contradictions, "contradictions", " ")["contradictions"])
