"""What a chest report says about the 14 CheXpert observations: rules with negation, doubt and sides.

Observations and their values follow Irvin et al. 2019 (CheXpert): 1 asserted, 0 denied, -1 in doubt. An observation
that is not mentioned has no value. The rules are our own. On reports of the embedded grammar they are exact.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from medim_forge.generator.filters.text import sentences

OBSERVATIONS: dict[str, str] = {
    "no_finding": "",
    "enlarged_cardiomediastinum": (
        r"\b(?:widen\w+|enlarge[dm]\w*)[\w\s]{0,24}(?:cardio)?mediastin\w+|\b(?:cardio)?mediastin\w+[\w\s]{0,30}"
        r"\b(?:widen\w+|enlarged)"
    ),
    "cardiomegaly": (
        r"\bcardiomegaly\b|\benlarge(?:d|ment)(?: of)?(?: the)? (?:heart|cardiac silhouette|cardiac size)\b"
        r"|\b(?:heart|cardiac silhouette)(?: size)? (?:is|remains|appears) (?:\w+ )?(?:enlarged|increased)\b"
    ),
    "lung_lesion": r"\b(?:nodul(?:e|es|ar)|mass(?:es)?|lesions?|tumou?rs?)\b",
    "lung_opacity": r"\b(?:opacit(?:y|ies)|opacification|infiltrates?|interstitial markings|haz(?:e|y|iness))\b",
    "edema": r"\bo?edema\b|\b(?:vascular|pulmonary venous) congestion\b",
    "consolidation": r"\bconsolidat(?:ions?|ive)\b|\bair-?space opacit(?:y|ies)\b",
    "pneumonia": r"\bpneumonias?\b|\binfectious process\b",
    "atelectasis": r"\batelecta(?:sis|ses|tic)\b|\bvolume loss\b",
    "pneumothorax": r"\bpneumothora(?:x|xes|ces)\b",
    "pleural_effusion": r"\beffusions?\b",
    "pleural_other": r"\bpleural (?:thickening|scarring|plaques?|calcifications?)\b|\bfibrothorax\b",
    "fracture": r"\bfractur(?:es?|ed)\b",
    "support_devices": (
        r"\b(?:pacemakers?|pacer|tubes?|catheters?|lines?(?= (?:tip|ends|terminates|in place))|leads?|wires?|stents?"
        r"|drains?|picc|port-?a-?cath|(?:support|monitoring) devices?|intubated|defibrillator"
        r"|prosthe(?:sis|tic)|clips?)\b"
    ),
}
ABSENT = {
    "cardiomegaly": r"\b(?:heart|cardiac) (?:size|silhouette)[\w\s]{0,20}\b(?:normal|unremarkable)\b"
    r"|\bheart is (?:normal|not enlarged)\b|\bnormal (?:heart|cardiac) (?:size|silhouette)\b"
    r"|\bcardiomediastinal (?:contours?|silhouette)[\w\s]{0,20}\b(?:normal|unremarkable)\b",
    "enlarged_cardiomediastinum": r"\bcardiomediastinal (?:contours?|silhouette)[\w\s]{0,20}\b(?:normal|unremarkable)\b"
    r"|\bmediastin\w+ (?:is|are) (?:\w+ )?(?:normal|unremarkable)\b",
    "pleural_effusion": r"\bcostophrenic (?:angles?|sulci) (?:is|are) (?:sharp|clear|preserved)\b",
}
CLEAR_LUNGS = re.compile(r"\blungs? (?:is|are|remains?|appears?)[\w\s]{0,24}\bclear\b|\bclear lungs\b")
CLEAR_LUNG_FINDINGS = ("lung_lesion", "lung_opacity", "edema", "consolidation", "pneumonia", "atelectasis")
NORMAL = re.compile(r"\bnormal (?:chest|study|examination|radiograph)\b")
NOTHING_ACUTE = re.compile(r"\bno (?:acute|active) (?:\w+ )?(?:process|abnormalit(?:y|ies)|disease|findings?)\b")
ACUTE = ("edema", "consolidation", "pneumonia", "pneumothorax")
SIDED = ("pleural_effusion", "pneumothorax", "consolidation", "lung_opacity", "lung_lesion", "atelectasis", "pneumonia")

_SCOPE_END = re.compile(
    r";|\b(?:but|however|although|though|except|aside from|apart from|with(?!\s*out)|there (?:is|are)|which (?:is|are)"
    r"|and (?:an?|there|the|new|small|large|mild))\b|, (?=(?:an?|there|the|new|small|large|mild|moderate)\b)"
)
_BEFORE = re.compile(
    r"\b(?:no|not|without|absent|absence of|free of|negative for|neither|nor|clear of|rather than|resolution of"
    r"|removal of|rules? out|ruled out|excludes?)\b(?! (?:change|increase|interval|significant change))"
)
_AFTER = re.compile(
    r"\b(?:(?:is|are|was|were) (?:absent|excluded|no longer)|(?:is |are )?not (?:seen|identified|present|visuali[sz]ed)"
    r"|(?:has |have )?(?:resolved|cleared)|(?:has|have) been removed|is ruled out|are ruled out)\b"
)
_DOUBT = re.compile(
    r"\b(?:possibl[ey]|may (?:be|represent|reflect|have)|might|could"
    r"|can(?:not|'t| not) (?:be )?(?:entirely )?exclude[ds]?"
    r"|cannot rule out|questionable|suspected|equivocal|versus|vs|concern(?:ing)? for|suspicious for|not excluded)\b"
)
_LESSER = re.compile(
    r"\b(?:large|larger|significant|sizable|sizeable|new|other|additional|further|convincing|obvious)\b"
)
_SIDE = re.compile(r"\b(right|left|bilateral|both|bibasilar)\b")
_PATTERNS = {name: re.compile(pattern) for name, pattern in OBSERVATIONS.items() if pattern}
_ABSENT = {name: re.compile(pattern) for name, pattern in ABSENT.items()}


@dataclass(frozen=True, kw_only=True)
class Mention:
    """One place that names an observation.

    Attributes:
        name: of the observation.
        value: 1 asserted, 0 denied, -1 in doubt.
        sides: `right`, `left`, both, or none named.
        whole: of a denial: whether it denies the observation as such, not only a large, new or other one.
    """

    name: str
    value: int
    sides: frozenset[str] = frozenset()
    whole: bool = True


def mentions(report: str) -> tuple[Mention, ...]:
    """Every mention in the report, in order."""
    return tuple(mention for sentence in sentences(report) for mention in _in_sentence(sentence))


def labels(found: tuple[Mention, ...]) -> dict[str, int]:
    """The value of each observation that is mentioned: asserted somewhere, else in doubt, else denied.

    `no_finding` is 1 when nothing but support devices is asserted or in doubt, and something was said at all.
    """
    values: dict[str, int] = {}
    for mention in found:
        known = values.get(mention.name)
        values[mention.name] = mention.value if known is None else _stronger(known, mention.value)
    abnormal = any(value != 0 for name, value in values.items() if name != "support_devices")
    if values and not abnormal:
        values["no_finding"] = 1
    return values


def contradictions(found: tuple[Mention, ...]) -> tuple[str, ...]:
    """Observations that one report asserts and denies, sorted; a side that is denied contradicts that side only."""
    clashing: set[str] = set()
    for name in {mention.name for mention in found}:
        named = [mention for mention in found if mention.name == name]
        asserted = [mention for mention in named if mention.value == 1]
        denied = [mention for mention in named if mention.value == 0 and mention.whole]
        if any(_meet(assertion, denial) for assertion in asserted for denial in denied):
            clashing.add(name)
    return tuple(sorted(clashing))


def _meet(assertion: Mention, denial: Mention) -> bool:
    return not denial.sides or not assertion.sides or bool(assertion.sides & denial.sides)


def _stronger(value: int, other: int) -> int:
    return max((value, other), key=(0, -1, 1).index)


def _in_sentence(sentence: str) -> Iterator[Mention]:
    for name, absent in _ABSENT.items():
        if absent.search(sentence):
            yield Mention(name=name, value=0)
    if CLEAR_LUNGS.search(sentence) and not re.search(r"\b(?:otherwise|elsewhere)\b", sentence):
        yield from (Mention(name=name, value=0) for name in CLEAR_LUNG_FINDINGS)
    if NORMAL.search(sentence):
        yield from (Mention(name=name, value=0) for name in _PATTERNS if name != "support_devices")
    if NOTHING_ACUTE.search(sentence):
        yield from (Mention(name=name, value=0) for name in ACUTE)
    for clause in _SCOPE_END.split(sentence):
        yield from _in_clause(clause)


def _in_clause(clause: str) -> Iterator[Mention]:
    hits = sorted(
        (hit.start(), hit.end(), name) for name, pattern in _PATTERNS.items() for hit in pattern.finditer(clause)
    )
    for start, end, name in hits:
        before, behind = clause[:start], clause[end:]
        # What stands behind the next mention is said of that one; a mention within this one has no say.
        following = min((other for other, _, _ in hits if other >= end), default=len(clause))
        after = clause[end:following]
        negation = _BEFORE.search(before)
        doubtful = bool(_DOUBT.search(before) or _DOUBT.search(after))
        if _DOUBT.search(behind) and not _DOUBT.search(after):
            doubtful = doubtful or "exclude" in behind
        denied = not doubtful and bool(negation or _AFTER.search(after))
        whole = not (negation and _LESSER.search(before[negation.end() :]))
        yield Mention(
            name=name, value=-1 if doubtful else 0 if denied else 1, sides=_sides(name, clause, start, end), whole=whole
        )


def _sides(name: str, clause: str, start: int, end: int) -> frozenset[str]:
    """The sides that the words nearest to the mention name: before it, else behind it."""
    if name not in SIDED:
        return frozenset()
    before, after = _SIDE.findall(clause[:start]), _SIDE.findall(clause[end:])
    word = before[-1] if before else after[0] if after else ""
    if not word:
        return frozenset()
    return frozenset({word} if word in ("right", "left") else {"right", "left"})
