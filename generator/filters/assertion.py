"""Whether a clause asserts, denies or doubts what it names, and where clauses end.

A cue before a mention ("no", "possible") reaches to the end of its clause, so over whole lists. A cue behind it ("is
absent", "cannot be excluded") reaches back over the list that it closes. Text is in lower case, with single blanks.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from medim_forge.generator.filters.cues import (
    AND_NEW_ITEM,
    BEFORE_MENTION,
    BEHIND_MENTION,
    CLOSING_VERB,
    HARD_CUT,
    NEW_ITEM,
    PLAIN_WORDS,
    PRONOUN,
    VERB,
)

ASSERTED, DENIED, DOUBTED = 1, 0, -1
_LIST_WORD = re.compile(r"\b(?:or|nor)\b|\w/\w")
_OTHER_CUE = re.compile(r"\b(?:no|not|without|with)\b")
_WORD = re.compile(r"[\w-]+")
_JOINT = re.compile(r",|\band\b")
# What lies between a mention and a cue behind it, if the cue is said of something else.
_OPAQUE = re.compile(r"\b(?:with|without|no|is|are|was|were|has|have|may|due|secondary|cannot|there|shows?)\b|[,:]")


@dataclass(frozen=True, kw_only=True)
class Named:
    """A place in a clause that names an observation.

    Attributes:
        name: of the observation.
        start: first character.
        end: behind the last one.
        removable: whether it is a thing that can be removed.
    """

    name: str
    start: int
    end: int
    removable: bool = False


@dataclass(frozen=True, kw_only=True)
class Clause:
    """Words that no cue reaches out of.

    Attributes:
        text: of the clause.
        opened: whether a verb of doubt before it ("may represent scarring, mild edema") goes on here.
    """

    text: str
    opened: bool = False


def clauses(sentence: str) -> list[Clause]:
    """The parts of a sentence that speak for themselves."""
    found: list[Clause] = []
    start = 0
    for cut in (*HARD_CUT.finditer(sentence), None):
        found += _items(sentence[start : cut.start() if cut else len(sentence)])
        start = cut.start() if cut else start
    return [clause for clause in found if clause.text.strip()]


def _items(text: str) -> list[Clause]:
    """The text cut at commas and at "and" where something new begins rather than a list goes on."""
    found: list[Clause] = []
    start, opened = 0, False
    for joint in (*_JOINT.finditer(text), None):
        if joint and not _begins_something_new(text, start, joint):
            continue
        clause = Clause(text=text[start : joint.start() if joint else len(text)], opened=opened)
        found.append(clause)
        if joint:
            start = joint.start()
            opened = _opens(clause) and VERB.search(text[joint.end() :].split(",", 1)[0]) is None
    return found


def _opens(clause: Clause) -> bool:
    return clause.opened or any(cue.lastgroup == "opening" for cue in BEFORE_MENTION.finditer(clause.text))


def _begins_something_new(text: str, start: int, joint: re.Match[str]) -> bool:
    """Whether the words behind a comma, or from an "and" on, are a statement of their own."""
    comma = joint[0] == ","
    rest = text[joint.end() if comma else joint.start() :]
    item = rest.split(",", 1)[0].strip()
    # A first word is no verb: "no effusion, stable or new edema".
    listed, verb = _LIST_WORD.search(item), VERB.search(item, len(item.partition(" ")[0]))
    if listed and listed.start() == 0:
        return False
    joined = item.startswith("and ")
    if verb and not (listed and listed.start() < verb.start()):
        # "No effusion and pneumothorax is seen", "heart and mediastinum are normal": the verb is that of all the list.
        if not _speaks(text[start : joint.start()]):
            return " and " not in f" {item[: verb.start()]}"
        return not (joined and CLOSING_VERB.match(item, verb.start()))
    if joined:
        return AND_NEW_ITEM.match(item) is not None and not listed
    if not NEW_ITEM.match(item):
        return False
    other = _OTHER_CUE.search(rest)
    return _LIST_WORD.search(rest[: other.start()] if other else rest) is None


def _speaks(text: str) -> bool:
    return VERB.search(text) is not None or BEFORE_MENTION.search(text) is not None


def value_of(named: Named, clause: Clause, others: Sequence[Named]) -> int | None:
    """1 asserted, 0 denied, -1 in doubt, None where nothing is said about the image: a history, a request."""
    before, behind = _before(named, clause), _behind(named, clause.text, others)
    if before == "silent":
        return None
    if "doubt" in (before, behind):
        return DOUBTED
    if "denial" in (before, behind):
        return DENIED
    unsure = "unsure" in (before, behind) or _is_bare_choice(clause.text, others)
    return DOUBTED if unsure else ASSERTED


def _is_bare_choice(clause: str, others: Sequence[Named]) -> bool:
    """Whether the clause is nothing but a choice of mentions ("effusion or pneumothorax."), which asserts none."""
    if len(others) < 2 or not _LIST_WORD.search(clause):
        return False
    return not any(_outside(word, others) and word[0] not in PLAIN_WORDS for word in _WORD.finditer(clause))


def _outside(word: re.Match[str], others: Sequence[Named]) -> bool:
    return not any(other.start <= word.start() < other.end for other in others)


def _before(named: Named, clause: Clause) -> str:
    """What the words before the mention say of it: silent, doubt, denial, unsure, or nothing."""
    state, word = "unsure" if clause.opened else "", ""
    for cue in BEFORE_MENTION.finditer(clause.text, 0, named.start):
        kind = _kind(cue, clause.text, named)
        if kind == "reason":
            state = "" if word == "not" else state
        elif state not in ("silent", "doubt") and kind and not (state == "denial" and kind == "unsure"):
            state, word = ("" if kind == "neutral" else kind), cue[0]
    return state


def _kind(cue: re.Match[str], clause: str, named: Named) -> str:
    """The kind of a cue before a mention; empty where it says nothing of this one."""
    kind = cue.lastgroup or ""
    if kind == "order":  # an order only where it is the first word
        return "" if clause[: cue.start()].strip(" -:.") else "silent"
    if kind == "removal":
        return "denial" if named.removable else ""
    return "unsure" if kind in ("opening", "asking") else kind


def _behind(named: Named, clause: str, others: Sequence[Named]) -> str:
    """What the words behind the mention say of it: doubt, denial, unsure, or nothing."""
    for cue in BEHIND_MENTION.finditer(clause, named.end):
        kind, between = cue.lastgroup or "", clause[named.end : cue.start()]
        if kind != "versus" and any(named.end <= other.start < cue.start() for other in others):
            between = between.replace(",", " ")
        if _OPAQUE.search(between):
            return ""
        if kind == "removal":
            return "denial" if named.removable else ""
        if kind.startswith("answered") and between.strip():
            continue
        return {"versus": "unsure", "asked": "unsure", "answered_no": "denial", "neutral": ""}.get(kind, kind)
    return ""


def doubts_what_came_before(clause: Clause) -> bool:
    """Whether a clause that names nothing doubts what was named before ("although one cannot be excluded")."""
    cue = BEHIND_MENTION.search(clause.text)
    return cue is not None and cue.lastgroup == "doubt" and PRONOUN.search(clause.text, 0, cue.start()) is not None


def denies_a_kind_only(named: Named, clause: Clause, others: Sequence[Named]) -> bool:
    """Whether a denial before the mention is of a certain kind only: no *large* effusion, no *acute* fracture."""
    ends = [cue.end() for cue in BEFORE_MENTION.finditer(clause.text, 0, named.start) if cue.lastgroup == "denial"]
    if not ends:
        return False
    start = max([ends[-1], *(other.end for other in others if other.end <= named.start)])
    return any(word not in PLAIN_WORDS for word in _WORD.findall(clause.text[start : named.start]))


def says_nothing(clause: Clause) -> bool:
    """Whether the clause is a history, a request or a condition."""
    return any(cue.lastgroup == "silent" for cue in BEFORE_MENTION.finditer(clause.text))
