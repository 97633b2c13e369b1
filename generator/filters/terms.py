"""The words by which chest reports name the 14 CheXpert observations, as patterns for text in lower case.

Where a pattern has a group, the mention is the group: what stands around it may hold a "not".
"""

from __future__ import annotations

import re

_HEART = (
    r"(?:heart|cardiac (?:silhouette|size|shadow|contours?)|cardio-?mediastinal (?:silhouette|contours?)"
    r"|cardiopericardial silhouette)"
)
OBSERVATIONS: dict[str, str] = {
    "no_finding": "",
    "enlarged_cardiomediastinum": (
        r"\b(?:widen\w+|enlarge[dm]\w*)(?=[\w\s]{0,24}\b(?:cardio)?mediastin)"
        r"|\b(?:cardio-?)?mediastin\w+[\w\s]{0,30}?\b(?P<mediastinum>widen\w+|enlarged)\b"
    ),
    "cardiomegaly": (
        r"\bcardiomegaly\b|\bcardiac enlargement\b"
        rf"|\b(?:enlarge(?:d|ment)|borderline)(?=(?: of)?(?: the)?(?: size of the)? {_HEART})"
        rf"|\b{_HEART}(?: size)?(?: (?!normal|within|but|and|with|without)[\w-]+){{0,5}}? "
        r"(?P<heart>enlarged|borderline)\b"
        rf"|\b{_HEART}(?: size)? (?:is|remains|appears|are) (?:\w+ )?(?P<size>increased|large|prominent)\b"
    ),
    "lung_lesion": r"\b(?:nodul(?:e|es|ar)|mass(?:es)?|lesions?|tumou?rs?|neoplasms?)\b",
    "lung_opacity": (
        r"\b(?:opacit(?:y|ies)|opacification|infiltrates?|infiltration|interstitial markings|haz(?:e|y|iness)"
        r"|air-? ?space disease)\b"
    ),
    "edema": r"\bo?edema\b",
    # The last words are those of the embedded grammar, whose finding is a consolidation.
    "consolidation": r"\bconsolidat(?:ions?|ive|ed)\b|\bairspace opacity is seen in the (?:right|left) \w+ zone\b",
    "pneumonia": r"\b(?:broncho)?pneumonias?\b|\binfectious process\b",
    "atelectasis": (
        r"\batelecta(?:sis|ses|tic)\b|\b(?:lobe|lobar|lung) collapse\b"
        r"|\bcollapse(?:d|(?: of)?(?: the)?) (?:(?:right|left|upper|middle|lower|entire|and) )*(?:lobes?|lung)\b"
    ),
    "pneumothorax": r"\b(?:(?:hydro|ha?emo|pyo)-?)?pneumothora(?:x|xes|ces)\b",
    "pleural_effusion": r"\beffusions?\b|\b(?:hydro|ha?emo|pyo)-?(?:pneumo)?thora(?:x|xes|ces)\b|\bpleural fluid\b",
    "pleural_other": r"\bpleural (?:thickening|scarring|plaques?|calcifications?)\b|\bfibrothorax\b",
    "fracture": r"\bfractur(?:es?|ed)\b",
    "support_devices": (
        r"\b(?:pacemakers?|pacer|tubes?|catheters?|leads?(?! to\b)|wires?|stents?|drains?|picc|port-? ?a-? ?cath"
        r"|mediports?"
        r"|(?:central|venous|arterial|jugular|subclavian|femoral|dialysis|midline|hickman|ij|picc|infusion) lines?"
        r"|lines?(?= (?:tips?|ends?|terminat\w+|in place|with (?:its )?tip|placed|has been (?:removed|placed))\b)"
        r"|lines?(?=,? ?(?:and|or|/) ?tubes?\b)|(?:support|monitoring) (?:devices?|lines?)|(?:re)?intubated"
        r"|extubat(?:ed|ion)"
        r"|a?icd|(?:cardioverter[- ])?defibrillators?|prosthe(?:sis|tic|ses)|clips?|staples?|tracheostomy|swan-? ?ganz"
        r"|dobhoff)\b"
    ),
}
# What holds the word of an observation and is another thing.
OTHER_THINGS = re.compile(
    r"\b(?:(?<!pleural and )(?<!pleural or )pericardial|joint|knee|elbow|subdural|middle ear) effusions?\b"
    r"|\b(?:soft[- ]tissues?|subcutaneous|peripheral|pedal|legs?|lower extremity|cerebral|bone marrow|laryngeal|ankle"
    r"|periorbital|facial|scrotal|body wall|chest wall) o?edema\b"
    r"|\bedema (?:of|in) the (?:soft tissues?|legs?|lower extremit\w+|chest wall)\b"
    r"|\b(?:bony|bone|osseous|sclerotic|lytic|rib|skin|vertebral|thyroid|adrenal|hepatic)"
    r" (?:nodul\w+|mass(?:es)?|lesions?)\b"
    r"|\bcalcified (?:[\w-]+ ){0,3}?nodules?\b"
)
SIDED = ("pleural_effusion", "pneumothorax", "consolidation", "lung_opacity", "lung_lesion", "atelectasis", "pneumonia")
SIDE = re.compile(r"\b(right|left|bilateral|both|bibasilar)\b")

_NORMAL = (
    r"(?:normal|unremarkable|not (?:\w+ly )?enlarged"
    r"|(?:within|at|in) (?:the )?(?:upper )?(?:limits? of )?(?:normal|limits)"
    r"|(?:top|upper) (?:limits? of )?normal)"
)
_BE = r"(?:is|are|was|were|remains?|appears?|has|have)"
NORMAL_HEART = re.compile(
    rf"(?P<subject>\b(?:heart|cardi|mediastin)[\w-]*(?:[,/]? (?!{_BE} |no |enlarged|borderline)[\w-]+){{0,8}}?),?"
    rf"(?: {_BE}(?: (?!no |enlarged|borderline|increased)[\w-]+){{0,4}}?)? {_NORMAL}\b(?! lungs?\b)"
    r"|\b(?:normal|unremarkable) (?P<behind>(?:size of (?:the )?)?(?:heart|cardi|mediastin)[\w-]*(?: and \w+)?)"
)
HEART = re.compile(r"\b(?:heart|cardi)")
MEDIASTINUM = re.compile(r"mediastin")
CLEAR_PLEURA = re.compile(
    r"\bcostophrenic (?:angles?|sulci|recess(?:es)?) (?:is|are|remain) (?:\w+ )?(?:sharp|clear|preserved)\b"
    r"|\bpleural spaces? (?:is|are|appear) (?:\w+ )?(?:clear|normal)\b"
)
CLEAR_LUNGS = re.compile(
    r"\blungs?(?: fields?)?(?: (?:is|are|remains?|appears?)[\w\s]{0,24}?)? clear\b(?! of)|\bclear lungs\b"
    r"|\blungs? (?:is|are) (?:well|normally|hyper)[\w -]{0,24}? and clear\b"
)
# The rest of the lungs, or one lung: that denies nothing of the other places.
PART_OF_LUNGS = re.compile(r"\b(?:right|left|remainder|rest|remaining|upper|lower|other|grossly)\b")
# Small and old things do not make a lung that is not called clear.
CLEAR_LUNG_FINDINGS = ("lung_lesion", "lung_opacity", "edema", "consolidation", "pneumonia", "atelectasis")
NORMAL_CHEST = re.compile(r"\bnormal (?:chest|study|examination|radiograph)\b")
NOTHING_ACUTE = re.compile(
    r"\b(?:no|without) (?:(?:radiographic )?evidence of )?(?:an? )?(?:acute|active) (?:[\w/-]+ ){0,2}"
    r"(?:process|abnormalit(?:y|ies)|disease|findings?)\b"
)
# Names of a kind: whose denial leaves the other kinds (no infiltrate, but another opacity).
OF_A_KIND = re.compile(
    r"infiltrat|air-? ?space|interstitial|haz|mass|tumou?r|neoplasm|lesion|hydro|ha?emo|pyo|prosth|clip"
)
BORDERLINE = re.compile(r"borderline(?! (?:\w+ )?enlarge)")
MINOR = ("lung_opacity", "atelectasis")
UPPER_LIMIT = re.compile(r"\b(?:upper|top)\b")
ACUTE = ("edema", "consolidation", "pneumonia", "pneumothorax")
EXCEPTION = re.compile(
    r"\b(?:otherwise|elsewhere|other than|except\w*|aside from|apart from|besides|but|with the exception)\b"
)
ADVICE = re.compile(r"\b(?:recommend\w*|advis\w*)\b")
