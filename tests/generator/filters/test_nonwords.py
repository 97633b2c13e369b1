"""Words that are none, and endings and prefixes that make words of words."""

import subprocess
import sys
from pathlib import Path

import pytest

from medim_forge.generator.errors import SpecError
from medim_forge.generator.filters.lexicon import is_word
from medim_forge.generator.filters.nonwords import KIND, Nonwords
from medim_forge.generator.phantoms import DOMAINS, draw
from tests.doubles.bare_pairs import Rule, a_pair

ROOT = Path(__file__).resolve().parents[3]


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


@pytest.mark.parametrize(
    "text",
    [
        "The neighbours borrowed a bicycle and painted the kitchen before breakfast on Wednesday.",
        "Orthopedic hardware and pediatric tumors favor an analyzed caliber of the edematous fibers.",
        "Pneumothoraces, levoscoliosis and loculated hydropneumothorax beside the acromioclavicular joints.",
    ],
)
def test_english_and_medical_words_are_known(text):
    assert score(text) == 0.0


@pytest.mark.parametrize(
    "word",
    ["recieve", "effusoin", "efusion", "pnuemothorax", "consolidaton", "medialy", "significanty", "incerased"],
)
def test_misspellings_are_found(word):
    assert not is_word(word)


def test_another_language_is_known_by_the_words_of_the_job():
    assert score("Лёгкие чистые.") == 1.0
    assert score("Лёгкие чистые.", words=["лёгкие чистые"]) == 0.0


def test_the_dictionary_is_read_when_a_word_is_looked_up():
    code = (
        "import sys; from medim_forge.generator.filters.judge import build_filters;"
        "from tests.doubles.bare_pairs import Rule;"
        "Job = type('Job', (), {'filters': (Rule(name='nonwords'),)}); build_filters(Job);"
        "sys.exit('symspellpy' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


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
