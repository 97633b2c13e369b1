"""A declarative report grammar: one table of sentences writes the reports and reads them back exactly.

Every sentence a phantom report may contain is a row of the table, with the slot it fills, the claims it makes
("effusion_right/small": a finding, then its detail) and the findings it denies. The writer picks rows, the reader looks
them up, so the labels of a grammatical report are exact. Other text falls back to keyword rules with negation.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Literal

import numpy as np

Section = Literal["opening", "body", "heading", "impression"]

_SENTENCE_END = re.compile(r"(?<=[.:])\s+")
_SCOPE_END = re.compile(
    r";|\b(?:but|however|although|except|with(?!\s*out)|there (?:is|are)|and (?:an?|there|the|new|small|large|mild))\b"
)
_NEGATION_BEFORE = re.compile(r"\b(?:no|not|without|absent|absence of|free of|negative for|neither|nor|clear of)\b")
_NEGATION_AFTER = re.compile(r"\b(?:(?:is|are) (?:absent|excluded)|not (?:seen|identified|present)|resolved|removed)\b")
_SIDES = {"right": ("right",), "left": ("left",), "bilateral": ("right", "left"), "both": ("right", "left")}
_SIDE_WORD = re.compile(r"\b(right|left|bilateral|both)\b")


@dataclass(frozen=True)
class Sentence:
    """One sentence of the table; `slot` fixes its place, `claims` are "name/detail", `denies` are bare names."""

    text: str
    slot: str
    section: Section
    claims: tuple[str, ...] = ()
    denies: frozenset[str] = frozenset()

    @property
    def asserts(self) -> frozenset[str]:
        """The names claimed, without their details."""
        return frozenset(claim.partition("/")[0] for claim in self.claims)


@dataclass(frozen=True)
class Keyword:
    """A fallback rule: text matching `pattern` asserts `finding`; a sided finding gets "_right" or "_left" added."""

    finding: str
    pattern: str
    sided: bool = False


@dataclass(frozen=True)
class Reading:
    """What one grammar understands of a report, sentence by sentence."""

    known: int
    total: int
    body: tuple[Sentence, ...]
    impression: tuple[Sentence, ...]
    in_grammar: bool


@dataclass(frozen=True)
class ReportReading:
    """A report's domain, labels, and whether its form and its content hold together."""

    domain: str | None
    findings: frozenset[str]
    asserted_in_impression: frozenset[str]
    in_grammar: bool
    consistent: bool


@dataclass(frozen=True)
class Grammar:
    """A domain's sentence table; `slots` is the fixed order, `required` the slots no complete report lacks."""

    domain: str
    findings: tuple[str, ...]
    slots: tuple[str, ...]
    required: frozenset[str]
    sentences: tuple[Sentence, ...]
    keywords: tuple[Keyword, ...]
    _by_text: dict[str, Sentence] = field(init=False, repr=False, compare=False)
    _by_meaning: dict[tuple[str, tuple[str, ...]], list[str]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """The table is indexed and free of ambiguity, or a ValueError names the offending row."""
        by_text: dict[str, Sentence] = {}
        by_meaning: dict[tuple[str, tuple[str, ...]], list[str]] = {}
        for row in self.sentences:
            self._check(row)
            if normalize(row.text) in by_text:
                raise ValueError(f"{self.domain} grammar: the sentence {row.text!r} is listed twice; remove one row")
            by_text[normalize(row.text)] = row
            by_meaning.setdefault((row.slot, row.claims), []).append(row.text)
        object.__setattr__(self, "_by_text", by_text)
        object.__setattr__(self, "_by_meaning", by_meaning)

    def _check(self, row: Sentence) -> None:
        if row.slot not in self.slots:
            raise ValueError(f"{self.domain} grammar: {row.text!r} is in slot {row.slot!r}; use one of {self.slots}")
        if split_sentences(row.text) != [row.text] or row.text[-1] not in ".:":
            raise ValueError(f"{self.domain} grammar: {row.text!r} is not one sentence; end it once, in '.' or ':'")
        if unknown := row.denies - set(self.findings):
            raise ValueError(f"{self.domain} grammar: {row.text!r} denies unknown {sorted(unknown)}")

    def pick(self, rng: np.random.Generator, slot: str, *claims: str) -> str:
        """One of the paraphrases that fill `slot` with exactly `claims`, drawn uniformly."""
        paraphrases = self._by_meaning.get((slot, claims))
        if paraphrases is None:
            raise ValueError(f"{self.domain} grammar: no sentence in slot {slot!r} claims {claims}; add a row for it")
        return paraphrases[int(rng.integers(len(paraphrases)))]

    def lookup(self, sentence: str) -> Sentence | None:
        """The row with this text, ignoring case and spacing, or None."""
        return self._by_text.get(normalize(sentence))

    def guess(self, sentence: str) -> Sentence:
        """A row made by the keyword rules for text that is not in the table."""
        asserted, denied = _keyword_reading(normalize(sentence), self.keywords)
        return Sentence(sentence, "", "body", tuple(sorted(asserted)), frozenset(denied))

    def read(self, report: str) -> Reading:
        """Every sentence of `report` understood, split at the impression heading."""
        body: list[Sentence] = []
        impression: list[Sentence] = []
        rows: list[Sentence | None] = []
        below_heading = False
        for text in split_sentences(report):
            row = self.lookup(text)
            rows.append(row)
            below_heading = below_heading or (row is not None and row.section == "heading")
            (impression if below_heading else body).append(row or self.guess(text))
        known = [row for row in rows if row is not None]
        complete = len(known) == len(rows) and self._well_formed(known)
        return Reading(len(known), len(rows), tuple(body), tuple(impression), complete)

    def _well_formed(self, rows: Sequence[Sentence]) -> bool:
        places = [self.slots.index(row.slot) for row in rows]
        ascending = all(before < after for before, after in pairwise(places))
        has_item = any(row.section == "impression" for row in rows)
        return ascending and has_item and self.required <= {row.slot for row in rows}

    def findings_of(self, rows: Iterable[Sentence]) -> frozenset[str]:
        """The domain's findings that any of `rows` asserts."""
        names = frozenset[str]().union(*(row.asserts for row in rows))
        return names & frozenset(self.findings)

    def is_consistent(self, reading: Reading) -> bool:
        """Whether the impression repeats the body's claims and nothing contradicts anything."""
        rows = (*reading.body, *reading.impression)
        denied = frozenset[str]().union(*(row.denies for row in rows))
        details = self._claims(reading.body) | self._claims(reading.impression)
        one_detail_each = len({claim.partition("/")[0] for claim in details}) == len(details)
        has_item = any(row.section == "impression" for row in reading.impression)
        repeated = any(_repeats(part) for part in (reading.body, reading.impression))
        agrees = self._finding_claims(reading.body) == self._finding_claims(reading.impression)
        return has_item and agrees and one_detail_each and not repeated and not denied & self.findings_of(rows)

    def _claims(self, rows: Iterable[Sentence]) -> frozenset[str]:
        return frozenset(claim for row in rows for claim in row.claims)

    def _finding_claims(self, rows: Iterable[Sentence]) -> frozenset[str]:
        return frozenset(claim for claim in self._claims(rows) if claim.partition("/")[0] in self.findings)


def normalize(text: str) -> str:
    """The text in lower case with single spaces."""
    return " ".join(text.lower().split())


def split_sentences(report: str) -> list[str]:
    """The report's sentences, each with the "." or ":" it ends in; a decimal point ends nothing."""
    return [part for part in _SENTENCE_END.split(report.strip()) if part]


def read_findings(grammars: Sequence[Grammar], report: str) -> frozenset[str]:
    """The findings asserted anywhere in `report`, in whichever domain it is written."""
    domain = _grammar_of(grammars, report)
    chosen = grammars if domain is None else (domain,)
    readings = [(grammar, grammar.read(report)) for grammar in chosen]
    return frozenset[str]().union(*(g.findings_of((*r.body, *r.impression)) for g, r in readings))


def read_report(grammars: Sequence[Grammar], report: str) -> ReportReading:
    """The full reading of `report`; text of no known domain is neither grammatical nor consistent."""
    grammar = _grammar_of(grammars, report)
    if grammar is None:
        return ReportReading(None, read_findings(grammars, report), frozenset(), False, False)
    reading = grammar.read(report)
    return ReportReading(
        domain=grammar.domain,
        findings=grammar.findings_of((*reading.body, *reading.impression)),
        asserted_in_impression=grammar.findings_of(reading.impression),
        in_grammar=reading.in_grammar,
        consistent=grammar.is_consistent(reading),
    )


def _grammar_of(grammars: Sequence[Grammar], report: str) -> Grammar | None:
    """The grammar that knows most of the report's sentences, beyond headings that domains share; None if none does."""
    texts = split_sentences(report)
    scores = [sum((row := g.lookup(text)) is not None and row.section != "heading" for text in texts) for g in grammars]
    best = max(scores, default=0)
    return grammars[scores.index(best)] if best else None


def _repeats(rows: Sequence[Sentence]) -> bool:
    named = [name for row in rows for name in sorted(row.asserts)]
    return len(set(named)) < len(named)


def _keyword_reading(text: str, keywords: Sequence[Keyword]) -> tuple[set[str], set[str]]:
    asserted: set[str] = set()
    denied: set[str] = set()
    for clause in _SCOPE_END.split(text):
        hits = _hits(clause, keywords)
        for place, (start, end, keyword) in enumerate(hits):
            previous = hits[place - 1][1] if place else 0
            following = hits[place + 1][0] if place + 1 < len(hits) else len(clause)
            negated = bool(_NEGATION_BEFORE.search(clause[:start]) or _NEGATION_AFTER.search(clause[end:following]))
            names = _names(keyword, clause, (previous, start, end, following), negated)
            (denied if negated else asserted).update(names)
    return asserted, denied


def _hits(clause: str, keywords: Sequence[Keyword]) -> list[tuple[int, int, Keyword]]:
    found = [(m.start(), m.end(), keyword) for keyword in keywords for m in re.finditer(keyword.pattern, clause)]
    return sorted(found, key=lambda hit: hit[:2])


def _names(keyword: Keyword, clause: str, span: tuple[int, int, int, int], negated: bool) -> list[str]:
    """The finding with its sides: those named before the keyword, else after it, else earlier in the clause."""
    if not keyword.sided:
        return [keyword.finding]
    previous, start, end, following = span
    for stretch in (clause[previous:start], clause[end:following], clause[:previous]):
        if words := _SIDE_WORD.findall(stretch):
            return [f"{keyword.finding}_{side}" for word in words for side in _SIDES[word]]
    return [f"{keyword.finding}_{side}" for side in ("right", "left")] if negated else []
