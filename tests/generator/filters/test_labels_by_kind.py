"""Sentences as radiologists write them, by what makes them hard to read."""

import pytest

from medim_forge.generator.filters.observations import contradictions, labels, mentions
from medim_forge.generator.filters.sections import speaking
from medim_forge.generator.filters.text import sentences

YES, NO, DOUBT = 1, 0, -1


def read(text):
    """Labels in the order of the text's mentions, without `no_finding`."""
    return {name: value for name, value in labels(mentions(text)).items() if name != "no_finding"}


def stated(text):
    """The same without what is denied beside: clear lungs deny many things."""
    return {name: value for name, value in read(text).items() if value != NO}


LISTS = {
    "No focal opacity, moderate effusion, or pneumothorax.": {
        "lung_opacity": NO,
        "pleural_effusion": NO,
        "pneumothorax": NO,
    },
    "There is no edema, new consolidation or large effusion.": {
        "edema": NO,
        "consolidation": NO,
        "pleural_effusion": NO,
    },
    "Without fracture, a nodule, or a mass.": {"fracture": NO, "lung_lesion": NO},
    "No pneumothorax, small left effusion.": {"pneumothorax": NO, "pleural_effusion": YES},
    "No edema, the heart is enlarged.": {"edema": NO, "cardiomegaly": YES},
    "No edema and the heart is enlarged.": {"edema": NO, "cardiomegaly": YES},
    "No effusion or edema, atelectasis is again noted.": {"pleural_effusion": NO, "edema": NO, "atelectasis": YES},
    "No edema, stable or new nodule.": {"edema": NO, "lung_lesion": NO},
    "No edema yet effusion persists.": {"edema": NO, "pleural_effusion": YES},
    "No edema, effusion persists.": {"edema": NO, "pleural_effusion": YES},
    "No effusion.Mild edema.": {"pleural_effusion": NO, "edema": YES},
    "No fracture other than an old rib fracture.": {"fracture": YES},
    "No edema status post pacemaker placement.": {"edema": NO, "support_devices": YES},
    "Effusion, edema and pneumothorax are not seen.": {"pleural_effusion": NO, "edema": NO, "pneumothorax": NO},
    "No consolidation, small effusion without fracture or nodule.": {
        "consolidation": NO,
        "pleural_effusion": YES,
        "fracture": NO,
        "lung_lesion": NO,
    },
}
LINES = {
    "No\nfracture.": {"fracture": NO},
    "Lungs without\r\nconsolidation.": {"consolidation": NO},
    "There is no edema, pleural\neffusion, or\nfracture.": {"edema": NO, "pleural_effusion": NO, "fracture": NO},
    "NO EDEMA OR PLEURAL\nEFFUSION.": {"edema": NO, "pleural_effusion": NO},
    "No edema\nSmall effusion": {"edema": NO, "pleural_effusion": YES},
    "1. No edema\n2. Fracture": {"edema": NO, "fracture": YES},
    "- No edema\n- Fracture": {"edema": NO, "fracture": YES},
    "No frac\u00adture.": {"fracture": NO},
    "No ede\u200bma.": {"edema": NO},
    "No atelec-\ntasis.": {"atelectasis": NO},
}
ANSWERS = {
    "Edema: none. Fracture: no.": {"edema": NO, "fracture": NO},
    "Edema : no\nEffusion : small, right": {"edema": NO, "pleural_effusion": YES},
    "FRACTURE:\nNone.": {"fracture": NO},
    "Edema - absent": {"edema": NO},
    "Edema: not seen.": {"edema": NO},
    "Edema: unchanged.": {"edema": YES},
    "Edema: There is no edema.": {"edema": NO},
    "Edema: resolved.": {"edema": NO},
    "Edema (none)": {"edema": NO},
    "Edema? No. Fracture? Yes.": {"edema": NO, "fracture": YES},
    "Is there an edema of the right lung, a fracture?": {"edema": DOUBT, "fracture": DOUBT},
}
CHANGES = {
    "No appreciable interval change in the left effusion.": {"pleural_effusion": YES},
    "No improvement of the consolidation.": {"consolidation": YES},
    "The edema has not resolved.": {"edema": YES},
    "The edema has nearly completely resolved.": {"edema": YES},
    "Partial clearing of the consolidation.": {"consolidation": YES},
    "No progression of atelectasis.": {"atelectasis": YES},
    "The edema has resolved.": {"edema": NO},
    "Resolved edema.": {"edema": NO},
    "Complete resolution of the consolidation.": {"consolidation": NO},
    "Edema is no longer seen.": {"edema": NO},
    "The effusion is no longer large.": {"pleural_effusion": YES},
    "The effusion, previously seen, has cleared.": {"pleural_effusion": NO},
    "No new effusion.": {"pleural_effusion": NO},
}
DOUBTS = {
    "Edema cannot be entirely excluded.": {"edema": DOUBT},
    "Edema is not ruled out.": {"edema": DOUBT},
    "It would be difficult to exclude a small nodule.": {"lung_lesion": DOUBT},
    "No definite fracture, though one could not be excluded.": {"fracture": DOUBT},
    "Presumed atelectasis.": {"atelectasis": DOUBT},
    "Findings concerning for edema.": {"edema": DOUBT},
    "The differential includes edema, mild atelectasis, and pneumonia.": {
        "edema": DOUBT,
        "atelectasis": DOUBT,
        "pneumonia": DOUBT,
    },
    "Atelectasis versus pneumonia.": {"atelectasis": DOUBT, "pneumonia": DOUBT},
    "Edema is felt to be unlikely.": {"edema": DOUBT},
    "?fracture": {"fracture": DOUBT},
    "Fracture?": {"fracture": DOUBT},
    "Opacity may represent atelectasis; small effusion.": {
        "lung_opacity": YES,
        "atelectasis": DOUBT,
        "pleural_effusion": YES,
    },
    "Compatible with edema.": {"edema": YES},
    "Effusion or edema.": {"pleural_effusion": DOUBT, "edema": DOUBT},
}
DENIALS = {
    "Fracture absent.": {"fracture": NO},
    "Nothing to suggest edema.": {"edema": NO},
    "There isn't any edema.": {"edema": NO},
    "The film doesn't show a fracture.": {"fracture": NO},
    "Lack of effusion.": {"pleural_effusion": NO},
    "Not without edema.": {"edema": YES},
    "No doubt there is edema.": {"edema": YES},
    "The effusion is not large.": {"pleural_effusion": YES},
}
HEARTS = {
    "The heart is not significantly enlarged.": {"cardiomegaly": NO},
    "The heart does not appear enlarged.": {"cardiomegaly": NO},
    "Heart size is at the upper limit of normal.": {"cardiomegaly": NO},
    "Heart, mediastinum and hila are normal.": {"cardiomegaly": NO, "enlarged_cardiomediastinum": NO},
    "The mediastinum is not widened.": {"enlarged_cardiomediastinum": NO},
    "Heart size borderline.": {"cardiomegaly": DOUBT},
    "Borderline cardiomegaly.": {"cardiomegaly": YES},
    "Cardiac silhouette is stable.": {},
}
THINGS = {
    "Small pericardial effusion.": {},
    "Pleural and pericardial effusions.": {"pleural_effusion": YES},
    "Edema of the soft tissues.": {},
    "Pulmonary vascular congestion.": {},
    "Airspace opacity at the right base.": {"lung_opacity": YES},
    "Hemopneumothorax.": {"pneumothorax": YES, "pleural_effusion": YES},
    "Calcified left upper lobe nodule.": {},
    "Collapse of the left lower lobe.": {"atelectasis": YES},
    "Collapsed vertebra.": {},
    "A right-sided line with tip in the atrium.": {"support_devices": YES},
    "Left subclavian line in good position.": {"support_devices": YES},
    "Extubated.": {"support_devices": NO},
    "The drain was removed.": {"support_devices": NO},
    "No edema after catheter removal.": {"edema": NO, "support_devices": NO},
    "Change of the tube is recommended.": {},
}
KINDS = {
    f"{kind}: {text!r}": (text, expected)
    for kind, cases in {
        "lists": LISTS,
        "lines": LINES,
        "answers": ANSWERS,
        "changes": CHANGES,
        "doubts": DOUBTS,
        "denials": DENIALS,
        "hearts": HEARTS,
        "things": THINGS,
    }.items()
    for text, expected in cases.items()
}


@pytest.mark.parametrize(("text", "expected"), KINDS.values(), ids=KINDS)
def test_a_sentence_is_read_as_it_is_meant(text, expected):
    assert read(text) == expected


@pytest.mark.parametrize(
    "silent",
    [
        "INDICATION: Edema, effusion?",
        "Clinical history: fracture. Findings: Normal heart size.",
        "REASON FOR EXAM: fracture\n\nNo edema.",
        "HISTORY:\n60 year old with\nedema.\nFINDINGS: No effusion.",
        "COMPARISON: film with an effusion. IMPRESSION: No effusion.",
        "Evaluate for fracture.",
        "Rule out edema.",
        "R/O effusion.",
        "History of fractures. The bones are intact.",
        "CT is recommended to exclude a nodule.",
        "Radiographs are not sensitive for nodules.",
        "If there is concern for edema, repeat.",
    ],
)
def test_histories_requests_and_questions_of_others_assert_nothing(silent):
    assert stated(silent) == {}


def test_a_section_speaks_until_another_heading_silences_it():
    text = "History: fever.\nTECHNIQUE: portable\nFindings: Edema.\nComparison: effusion.\nImpression: Fracture."
    assert stated(text) == {"edema": YES, "fracture": YES}
    assert "fever" not in speaking(text)
    assert stated("The lungs: edema. Heart: enlarged heart.") == {"edema": YES, "cardiomegaly": YES}


def test_sentences_end_where_they_end():
    assert sentences("A 3.5 cm mass vs. scar, e.g. old.Next one! 1. Item\n2. Other") == [
        "a 3.5 cm mass vs. scar, e.g. old.",
        "next one!",
        "1.",
        "item",
        "2.",
        "other",
    ]
    assert sentences("") == []


@pytest.mark.parametrize(
    "text",
    [
        "The right lung is clear. Opacity at the base.",
        "The lungs are clear. Calcified nodule.",
        "No acute fracture. Old fracture.",
        "No infiltrate. Opacity at the left base.",
        "The tube was removed. A catheter is in place.",
        "Heart size at the upper limit of normal. Borderline cardiomegaly.",
        "Atelectasis. The lungs are otherwise clear.",
    ],
)
def test_what_people_write_is_no_contradiction(text):
    assert contradictions(mentions(text)) == ()


def test_long_texts_are_read_in_time_that_grows_with_them():
    assert read("No edema, " * 400 + "small effusion.") == {"edema": NO, "pleural_effusion": YES}
    assert read(" a, b" * 1000) == {}
