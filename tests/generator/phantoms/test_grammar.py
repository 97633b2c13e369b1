"""The grammar: exact labels for its own reports, honest labels for other text, contradictions found."""

import numpy as np
import pytest

from medim_forge.generator.phantoms import OPENING, draw, read_findings, read_report, sentences
from medim_forge.generator.phantoms.grammar import Grammar, Sentence, split_sentences

_EFFUSION_REPORT = (
    f"{OPENING['chest_xray']} PA view. The heart size is normal. There is a small right pleural effusion. "
    "Impression: Small right pleural effusion."
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("No pneumothorax or right pleural effusion", set()),
        ("Lungs without consolidation, nodule or edema.", set()),
        ("Small effusion on the left, no pneumothorax.", {"effusion_left"}),
        ("Small right and moderate left effusions.", {"effusion_right", "effusion_left"}),
        ("Right effusion and left pneumothorax.", {"effusion_right", "pneumothorax_left"}),
        ("Bilateral pleural effusions with edema", {"effusion_right", "effusion_left", "edema"}),
        ("No nodule but a pacemaker is seen.", {"pacemaker"}),
        ("The pacemaker has been removed.", set()),
        ("Cardiomegaly; endotracheal tube in situ", {"cardiomegaly", "tube"}),
        ("There is a small right pleural", set()),
        ("", set()),
    ],
)
def test_text_outside_the_table_is_read_by_keyword_and_negation(text: str, expected: set[str]) -> None:
    assert read_findings(text) == expected


def test_case_and_spacing_do_not_change_what_is_read() -> None:
    report = draw("chest_xray", 3).report
    shouted = report.upper().replace(" ", "  \n")
    assert read_report(shouted) == read_report(report)


@pytest.mark.parametrize("domain", ["chest_xray", "pathology"])
def test_a_report_cut_short_keeps_its_labels_but_is_not_in_grammar(domain: str) -> None:
    phantom = next(p for seed in range(50) if len((p := draw(domain, seed)).findings) >= 2)
    head, _, _ = phantom.report.partition(" Impression:")
    reading = read_report(head)
    assert reading.findings == phantom.findings
    assert not reading.in_grammar
    assert not reading.consistent
    assert reading.asserted_in_impression == frozenset()


def test_the_unchanged_example_is_in_grammar_and_consistent() -> None:
    reading = read_report(_EFFUSION_REPORT)
    assert reading.domain == "chest_xray"
    assert reading.findings == reading.asserted_in_impression == {"effusion_right"}
    assert reading.in_grammar
    assert reading.consistent


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("Impression: Small right", "Impression: Small left"),
        ("Impression: Small right", "Impression: Large right"),
        ("Impression: Small right pleural effusion.", "Impression: No acute cardiopulmonary process."),
        ("There is a small right pleural effusion. ", ""),
        ("There is a small right pleural effusion. ", "No pleural effusion or pneumothorax. "),
        ("effusion. Impression:", "effusion. There is no pleural effusion. Impression:"),
        ("effusion. Impression:", "effusion. There is a large right pleural effusion. Impression:"),
        ("effusion. Impression:", "effusion. There is a small right pleural effusion. Impression:"),
        ("PA view. ", "PA view. AP view. "),
        ("Impression: ", "Impression: Pulmonary edema. "),
    ],
)
def test_a_contradiction_makes_a_report_inconsistent(old: str, new: str) -> None:
    mutated = _EFFUSION_REPORT.replace(old, new)
    assert mutated != _EFFUSION_REPORT
    assert not read_report(mutated).consistent


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("PA view. ", ""),
        ("The heart size is normal.", "The heart size is purple."),
        (OPENING["chest_xray"], OPENING["pathology"]),
        ("Impression: Small right pleural effusion.", "Impression:"),
        ("PA view. The heart size is normal.", "The heart size is normal. PA view."),
        ("The heart size is normal. ", "The heart size is normal. The heart size is normal. "),
    ],
)
def test_a_malformed_report_is_not_in_grammar(old: str, new: str) -> None:
    mutated = _EFFUSION_REPORT.replace(old, new)
    assert mutated != _EFFUSION_REPORT
    assert not read_report(mutated).in_grammar


def test_text_of_no_domain_has_no_domain() -> None:
    reading = read_report("A cat sits on the mat. Impression: Cat.")
    assert reading.domain is None
    assert reading.findings == frozenset()
    assert not reading.in_grammar
    assert not reading.consistent


def test_domains_share_no_sentence_but_the_heading() -> None:
    assert set(sentences("chest_xray")) & set(sentences("pathology")) <= {"Impression:"}


def test_a_decimal_point_does_not_end_a_sentence() -> None:
    assert split_sentences("Ratio is 0.58 today. Next: Last") == ["Ratio is 0.58 today.", "Next:", "Last"]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ((Sentence("One.", "a", "body"), Sentence("one.", "a", "body")), "listed twice"),
        ((Sentence("One. Two.", "a", "body"),), "not one sentence"),
        ((Sentence("One", "a", "body"),), "not one sentence"),
        ((Sentence("One.", "b", "body"),), "slot 'b'"),
        ((Sentence("One.", "a", "body", denies=frozenset({"ghost"})),), "ghost"),
    ],
)
def test_an_ambiguous_table_is_refused(rows: tuple[Sentence, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Grammar("d", ("finding",), ("a",), frozenset(), rows, ())


def test_asking_for_an_unwritten_claim_names_the_slot_and_the_claim() -> None:

    grammar = Grammar("d", ("finding",), ("a",), frozenset(), (Sentence("One.", "a", "body"),), ())
    assert grammar.pick(np.random.default_rng(0), "a") == "One."
    with pytest.raises(ValueError, match=r"'a'.*finding/big"):
        grammar.pick(np.random.default_rng(0), "a", "finding/big")
