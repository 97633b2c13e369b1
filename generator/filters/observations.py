"""What a chest report says about the 14 CheXpert observations: rules with negation, doubt and sides.

Observations and their values follow Irvin et al. 2019 (CheXpert): 1 asserted, 0 denied, -1 in doubt. An observation
that is not mentioned has no value. The rules are our own. On reports of the embedded grammar they are exact.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from medim_forge.generator.filters import terms
from medim_forge.generator.filters.assertion import (
    Clause,
    Named,
    clauses,
    denies_a_kind_only,
    doubts_what_came_before,
    says_nothing,
    value_of,
)
from medim_forge.generator.filters.sections import speaking
from medim_forge.generator.filters.text import sentences

OBSERVATIONS = terms.OBSERVATIONS
DEVICES = "support_devices"
_PATTERNS = {name: re.compile(pattern) for name, pattern in OBSERVATIONS.items() if pattern}
_CONTRACTED = re.compile(r"\b(ca|wo|is|are|was|were|does|do|did|has|have|had|could|would|should)n't\b|\b(can)not\b")
_ASIDE = re.compile(r", (?:as )?(?:previously |formerly )?(?:seen|noted|described|mentioned|visuali[sz]ed),")


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
    """Every mention in the report, in order; history, indication, comparison and requests mention nothing."""
    return tuple(found for sentence in sentences(speaking(report)) for found in _in_sentence(_plain(sentence)))


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


def _plain(sentence: str) -> str:
    """The sentence in lower case, with single blanks and "not" written out; other things' words blanked."""
    text = _CONTRACTED.sub(lambda found: f"{found[1] or found[2]} not", " ".join(sentence.split()))
    text = _ASIDE.sub("", text.replace("ca not", "can not").rstrip(".!;"))
    return terms.OTHER_THINGS.sub(lambda found: "." * len(found[0]), text)


def _in_sentence(sentence: str) -> tuple[Mention, ...]:
    """The mentions of one sentence in lower case: what it denies by calling something normal, then what it names."""
    spoken = clauses(sentence)
    found: list[Mention] = []
    last = ""
    for clause in spoken:
        there = _named(clause.text)
        if last and not there and doubts_what_came_before(clause):
            found.append(Mention(name=last, value=-1))
        for named in there:
            last = named.name
            if (value := _value(named, clause, there)) is not None:
                value = -1 if sentence.endswith("?") else value
                found.append(
                    Mention(
                        name=named.name,
                        value=value,
                        sides=_sides(named, clause.text),
                        whole=not _denies_in_part(named, clause, there),
                    )
                )
    denied = list(_denied_by_normality(sentence))
    if denied and any(says_nothing(clause) for clause in spoken):
        denied = []
    return (*denied, *found)


def _denies_in_part(named: Named, clause: Clause, others: list[Named]) -> bool:
    """Whether a denial leaves other things of the same name: of another kind, or devices that were not removed."""
    removed = named.removable and "remov" in clause.text
    of_a_kind = terms.OF_A_KIND.search(clause.text, named.start, named.end) is not None
    return removed or of_a_kind or denies_a_kind_only(named, clause, others)


def _named(clause: str) -> list[Named]:
    """The places that name an observation, in order."""
    found = []
    for name, pattern in _PATTERNS.items():
        for hit in pattern.finditer(clause):
            start, end = hit.span(hit.lastgroup or 0)
            found.append(Named(name=name, start=start, end=end, removable=name == DEVICES))
    return sorted(found, key=lambda named: (named.start, named.end))


def _value(named: Named, clause: Clause, others: list[Named]) -> int | None:
    """1 asserted, 0 denied, -1 in doubt; None where the mention says nothing about the image."""
    if named.name == DEVICES and clause.text.startswith("extubat", named.start):
        return 0
    if named.name == DEVICES and terms.ADVICE.search(clause.text):
        return None
    if _is_bare_heading(named, clause.text, others):
        return None
    value = value_of(named, clause, others)
    return -1 if value == 1 and terms.BORDERLINE.match(clause.text, named.start) else value


def _is_bare_heading(named: Named, clause: str, others: list[Named]) -> bool:
    """Whether the mention is a heading whose text speaks for itself ("Edema: there is no edema.")."""
    colon = clause[named.end :].lstrip()
    if not colon.startswith(":") or len(clause[: named.start].split()) > 2:
        return False
    answer = colon[1:].split()
    named_again = any(other.name == named.name and other.start > named.end for other in others)
    return not answer or len(answer) > 6 or named_again


def _denied_by_normality(sentence: str) -> Iterator[Mention]:
    """What is denied by saying that heart, lungs or all are normal."""
    for found in terms.NORMAL_HEART.finditer(sentence):
        subject = found["subject"] or found["behind"]
        if terms.HEART.search(subject):
            yield Mention(name="cardiomegaly", value=0, whole=not terms.UPPER_LIMIT.search(found[0]))
        if terms.MEDIASTINUM.search(subject):
            yield Mention(name="enlarged_cardiomediastinum", value=0)
    if terms.CLEAR_PLEURA.search(sentence):
        yield Mention(name="pleural_effusion", value=0)
    if terms.EXCEPTION.search(sentence):
        return
    if terms.CLEAR_LUNGS.search(sentence):
        part = terms.PART_OF_LUNGS.search(sentence) is not None
        for name in terms.CLEAR_LUNG_FINDINGS:
            yield Mention(name=name, value=0, whole=not part and name not in terms.MINOR)
    if terms.NORMAL_CHEST.search(sentence):
        yield from (Mention(name=name, value=0) for name in _PATTERNS if name != DEVICES)
    if terms.NOTHING_ACUTE.search(sentence):
        yield from (Mention(name=name, value=0, whole=False) for name in terms.ACUTE)


def _sides(named: Named, clause: str) -> frozenset[str]:
    """The sides that the words nearest to the mention name: before it, else behind it."""
    if named.name not in terms.SIDED:
        return frozenset()
    before, after = terms.SIDE.findall(clause[: named.start]), terms.SIDE.findall(clause[named.end :])
    word = before[-1] if before else after[0] if after else ""
    if not word:
        return frozenset()
    return frozenset({word} if word in ("right", "left") else {"right", "left"})
