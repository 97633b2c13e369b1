"""Words that are none, and endings and prefixes that make words of words."""

import pytest

from medim_forge.generator.errors import SpecError
from medim_forge.generator.filters.lexicon import is_word
from medim_forge.generator.filters.nonwords import KIND, Nonwords
from medim_forge.generator.phantoms import DOMAINS, draw
from tests.doubles.bare_pairs import Rule, a_pair


def score(report, domain="chest_xray", **options):
    filter_ = Nonwords.of(Rule(name=KIND.name, options=options))
    return filter_.judge(a_pair(report=report, domain=domain)).scores[KIND.name]


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


def test_reports_of_phantoms_hold_words_only():
    for domain in DOMAINS:
        for seed in range(40):
            assert score(draw(domain, seed).report, domain) == 0.0


def test_the_share_of_nonwords_counts_longer_words():
    assert score("A swoled heart is seen in AP.") == pytest.approx(1 / 3)
    assert score("") == 0


def test_a_job_adds_its_own_words():
    assert score("A swoled heart.", words=["Swoled"]) == 0


@pytest.mark.parametrize("words", ["swoled", [1], [""]])
def test_words_that_are_none_are_refused(words):
    with pytest.raises(SpecError, match="give a list of words"):
        score("", words=words)
