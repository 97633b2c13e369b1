"""What lowers the form of a report, and what does not."""

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medim_forge.generator.errors import SpecError
from medim_forge.generator.filters import build_judge
from medim_forge.generator.filters.report_form import KIND, ReportForm, form_scores, repeats
from medim_forge.generator.phantoms import DOMAINS, draw
from tests.doubles.bare_pairs import REPORT, Job, Rule, a_pair

BY_DEFAULT = ReportForm.of(KIND.default)
STRICT = ReportForm.of(Rule(name="report_form", options={"grammar": True}))


def main_score(report, **options):
    return ReportForm.of(Rule(name="report_form", options=options)).judge(a_pair(report=report)).scores["report_form"]


def test_a_sound_report_scores_one():
    assert main_score(REPORT) == 1.0


@pytest.mark.parametrize("domain", DOMAINS)
def test_phantom_reports_score_one_are_in_grammar_and_carry_their_findings(domain):
    for seed in range(40):
        phantom = draw(domain, seed, held_out=None)
        verdict = STRICT.judge(a_pair(report=phantom.report, domain=domain))
        assert verdict.scores["report_form"] == 1.0, phantom.report
        assert verdict.scores["in_grammar"] == verdict.scores["consistent"] == 1.0
        assert verdict.labels["findings_report"] == ",".join(sorted(phantom.findings))


def test_a_report_of_the_other_domain_is_not_in_grammar():
    report = draw("pathology", 0).report
    assert BY_DEFAULT.judge(a_pair(report=report, domain="chest_xray")).scores["in_grammar"] == 0.0
    assert STRICT.judge(a_pair(report=report, domain="chest_xray")).scores["report_form"] == 0.0


def test_unknown_sentences_count_only_when_grammar_is_asked_for():
    report = "The stomach is full of small green frogs."
    assert main_score(report) == 1.0
    assert main_score(report, grammar=True) == 0.0


@pytest.mark.parametrize("report", ["", "   ", " .\n", "___"])
def test_an_empty_report_scores_nothing(report):
    assert main_score(report) == 0.0


def test_an_unfinished_end_alone_is_dropped_at_one_half():
    filter_ = ReportForm.of(Rule(name="report_form", drop_below=0.5))
    assert filter_.judge(a_pair(report=REPORT)).kept
    assert filter_.judge(a_pair(report=REPORT[:-1])).reasons == ("report_form<0.5",)


@pytest.mark.parametrize("end", [".", "!", "?", '."', ".)", ". \n"])
def test_closing_punctuation_finishes_a_report(end):
    assert form_scores("The lungs are clear" + end)["report_finished"] == 1.0


@pytest.mark.parametrize(
    "private",
    [
        "compared to ___",
        "[** Hospital **]",
        "XXXX year old",
        "on 2019-03-04",
        "03/04/2019",
        "accession 12345678",
        "MRN",
    ],
)
def test_blanks_and_identifiers_are_not_clean(private):
    report = f"The lungs are clear {private} and the heart is normal."
    assert form_scores(report)["report_clean"] == 0.0
    assert main_score(report) < 0.5


@pytest.mark.parametrize("sound", ["Cardiothoracic ratio 0.58.", "Grade 3/3 of 10 fields.", "The T12 body, 3-4 cm."])
def test_measurements_are_not_identifiers(sound):
    assert form_scores(sound)["report_clean"] == 1.0


def test_repeats_are_shares_worked_out_by_hand():
    assert repeats("Lungs clear. Lungs clear. Heart normal. Bones intact.") == pytest.approx(1 / 4)
    assert repeats("a b c d e f g h a b c d e f g h.") == pytest.approx(1 / 9)
    assert repeats("We include include it.") == pytest.approx(1 / 4)
    assert repeats("No effusion. No pneumothorax.") == 0.0


def test_length_outside_its_bounds_lowers_the_score_in_proportion():
    assert main_score("Lungs clear.", min_words=4) == pytest.approx(0.5)
    assert main_score("The lungs are quite clear today.", max_words=3) == pytest.approx(0.5)


@pytest.mark.parametrize(
    "options", [{"words": 1}, {"min_words": "few"}, {"grammar": 1}, {"min_words": 9, "max_words": 3}, {"min_words": 0}]
)
def test_wrong_options_are_refused_by_name(options):
    with pytest.raises(SpecError, match=next(iter(options))):
        KIND.filter_of(Rule(name="report_form", options=options))


@given(report=st.text() | st.lists(st.sampled_from([REPORT, "No effusion.", "___", "12345678", "\n"])).map(" ".join))
def test_any_text_gets_every_score_within_bounds(report):
    pair = a_pair(report=report)
    verdict = STRICT.judge(pair)
    assert tuple(verdict.scores) == tuple(KIND.scores)
    assert verdict == STRICT.judge(pair)
    assert all(math.isfinite(score) for score in verdict.scores.values())
    assert all(0 <= score <= 1 for name, score in verdict.scores.items() if name != "report_words")


@pytest.mark.parametrize("report", ["The image is a radiograph.", "The image is a radiograph. ", "The image is"])
def test_a_report_that_ends_with_its_prompt_is_not_finished_and_dropped_by_default(report):
    prompt = report.rstrip()
    verdict = build_judge(Job())(replace(a_pair(report=report), prompt_chars=len(prompt)))
    assert verdict.scores["report_finished"] == 0
    assert "report_form<0.5" in verdict.reasons
    whole = replace(a_pair(report=f"{prompt} The lungs are clear."), prompt_chars=len(prompt))
    assert build_judge(Job())(whole).kept


def test_a_given_report_is_as_finished_as_it_was_given():
    pair = a_pair(report="No acute findings")
    given = replace(pair, request=replace(pair.request, given_report=pair.report), prompt_chars=len(pair.report))
    assert "report_form<0.5" in build_judge(Job())(replace(pair, prompt_chars=0)).reasons
    assert build_judge(Job())(given).kept
