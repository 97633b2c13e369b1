"""The labeler: exact on the embedded grammar, and right on sentences as radiologists write them."""

import math

import pytest

from medim_forge.generator.filters.labels import KIND
from medim_forge.generator.filters.labels import labels as label_scores
from medim_forge.generator.filters.observations import OBSERVATIONS, contradictions, labels, mentions
from medim_forge.generator.phantoms import draw, sentences
from medim_forge.generator.phantoms.chest_report import GRAMMAR
from tests.doubles.bare_pairs import a_pair

OBSERVED = {
    "cardiomegaly": "cardiomegaly",
    "effusion_right": "pleural_effusion",
    "effusion_left": "pleural_effusion",
    "pneumothorax_right": "pneumothorax",
    "pneumothorax_left": "pneumothorax",
    "nodule": "lung_lesion",
    "consolidation": "consolidation",
    "edema": "edema",
    "pacemaker": "support_devices",
    "tube": "support_devices",
}
NOT_IN_GRAMMAR = {"no_finding", "lung_opacity"}  # an opacity is named by the sentences of other findings


def asserted(text):
    return {name for name, value in labels(mentions(text)).items() if value == 1} - NOT_IN_GRAMMAR


@pytest.mark.parametrize("text", sentences("chest_xray"))
def test_every_sentence_of_the_grammar_is_read_exactly(text):
    row = GRAMMAR.lookup(text)
    assert asserted(text) == {OBSERVED[name] for name in row.asserts if name in OBSERVED}
    assert not contradictions(mentions(text))


def test_whole_reports_of_phantoms_are_read_exactly():
    for seed in range(200):
        phantom = draw("chest_xray", seed)
        found = labels(mentions(phantom.report))
        want = {OBSERVED[name] for name in phantom.findings}
        assert asserted(phantom.report) == want, phantom.report
        assert (found.get("no_finding") == 1) == (not want - {"support_devices"}), phantom.report
        assert contradictions(mentions(phantom.report)) == ()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("No pleural effusion or pneumothorax.", {"pleural_effusion": 0, "pneumothorax": 0, "no_finding": 1}),
        ("There is no pneumothorax, but a small left pleural effusion.", {"pneumothorax": 0, "pleural_effusion": 1}),
        ("Possible pneumonia in the left base.", {"pneumonia": -1}),
        ("A small pneumothorax cannot be excluded.", {"pneumothorax": -1}),
        ("The pneumothorax has resolved.", {"pneumothorax": 0, "no_finding": 1}),
        ("Pneumothorax is not seen.", {"pneumothorax": 0, "no_finding": 1}),
        ("The heart is enlarged.", {"cardiomegaly": 1}),
        ("Bibasilar atelectasis without consolidation.", {"atelectasis": 1, "consolidation": 0}),
        ("Old healed rib fractures.", {"fracture": 1}),
        ("A PICC line ends in the superior vena cava.", {"support_devices": 1, "no_finding": 1}),
        ("Widening of the mediastinum.", {"enlarged_cardiomediastinum": 1}),
        ("Pleural thickening on the right.", {"pleural_other": 1}),
        ("", {}),
    ],
)
def test_sentences_as_radiologists_write_them(text, expected):
    assert labels(mentions(text)) == expected


@pytest.mark.parametrize(
    ("text", "clashing"),
    [
        ("There is a right effusion. There is no effusion.", ("pleural_effusion",)),
        ("There is a right effusion. No left effusion.", ()),
        ("There is a right effusion. No right effusion.", ("pleural_effusion",)),
        ("There is a small effusion. No large effusion.", ()),
        ("The lungs are clear. Nodule in the left lung.", ("lung_lesion",)),
        ("No pneumothorax. No effusion.", ()),
    ],
)
def test_contradictions_name_what_is_asserted_and_denied(text, clashing):
    assert contradictions(mentions(text)) == clashing


def test_labels_are_columns_with_nothing_where_nothing_is_said():
    scores = label_scores(a_pair(report="Large effusion. No pneumothorax. Possible edema."))
    assert tuple(scores) == tuple(KIND.scores)
    assert len(OBSERVATIONS) == 14
    assert (scores["labels"], scores["label_pleural_effusion"], scores["label_pneumothorax"]) == (1, 1, 0)
    assert scores["label_edema"] == -1
    assert math.isnan(scores["label_fracture"])


def test_pathology_has_no_chest_labels():
    assert all(map(math.isnan, label_scores(a_pair(domain="pathology")).values()))
