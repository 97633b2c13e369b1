"""What a report says that it should not: no words, other examinations, and the opposite of itself."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field

from medim_forge.generator.domains import DOMAINS
from medim_forge.generator.errors import SpecError
from medim_forge.generator.filters.lexicon import SHORT, WORD, is_word
from medim_forge.generator.filters.observations import contradictions, mentions
from medim_forge.generator.filters.options import known_options, words_option
from medim_forge.generator.filters.threshold import DefaultRule, FilterRule, Threshold
from medim_forge.generator.phantoms import GRAMMARS, Grammar
from medim_forge.generator.records import Pair, Verdict

NONWORDS, REFERENCES, CONTRADICTIONS = "nonwords", "references", "contradictions"
REFERENCE_SCORES = (REFERENCES, "references_prior", "references_view")
LEXICON = "lexicon"
LEXICON_KEY = f"filters.{NONWORDS}.options.{LEXICON}"
OPTIONS = ("words", LEXICON)
SCORES = (NONWORDS, *REFERENCE_SCORES, CONTRADICTIONS)
DEFAULTS: dict[str, FilterRule] = {name: DefaultRule(name=name) for name in (NONWORDS, REFERENCES, CONTRADICTIONS)}
PRIOR = re.compile(
    r"\b(?:compar(?:ed|ison) (?:to|with|is made)|in comparison|previous(?:ly)?"
    r"|prior (?:study|exam\w*|radiograph|film|chest|ct|imaging)"
    r"|since (?:the )?(?:prior|previous|last)"
    r"|interval (?:change|increase|decrease|development|placement|removal|improvement)"
    r"|(?:has|have) (?:\w+ )?(?:been removed|resolved|improved|worsened|progressed|changed|increased|decreased)"
    r"|(?:un|not )changed|(?:has|have) not changed|again (?:seen|noted|demonstrated)|new(?:ly)? (?:since|from|compared)"
    r"|(?:remains?|stable|persistent|persists) (?:in (?:position|appearance)|unchanged|appearance|compared|since))\b"
)
OTHER_VIEW = re.compile(
    r"\b(?:(?:on|in|from) (?:the )?lateral (?:view|projection|radiograph|film|image)"
    r"|lateral (?:view|projection|radiograph|film)s?"
    r"|two views|(?:pa|frontal) and lateral|lateral and (?:pa|frontal)"
    r"|(?:recent|concurrent|same[- ]day|chest|abdominal) ct\b"
    r"|on (?:the )?(?:ct|mri|ultrasound)|immunohistochemi\w+|special stains?|other (?:sections?|slides?|levels?))\b"
)
# A new thing cannot be an old one: the sentence contradicts itself whatever it is about.
NEW_AND_OLD = re.compile(
    r"\bnew\b[^.]*\b(?:unchanged|not changed|stable)\b|\b(?:unchanged|stable)\b[^.]*\bnew\b(?! (?:focal|acute))"
)
_SENTENCE = re.compile(r"(?<=[.:;!?])\s+|\n+")


@dataclass(frozen=True, kw_only=True)
class Nonwords:
    """Share of the report's longer words that no lexicon knows; 0 for a report without words.

    Attributes:
        threshold: kept range.
        words: that the job adds to the lexicon, by itself or, read beforehand, by a file.
    """

    threshold: Threshold
    words: frozenset[str] = field(default_factory=frozenset)
    name: str = NONWORDS

    @classmethod
    def of(cls, rule: FilterRule) -> Nonwords:
        """The filter a job file asks for.

        Raises:
            SpecError: an option is unknown, `words` is no list of words, or `lexicon` has not been read.
        """
        known_options(NONWORDS, rule.options, OPTIONS)
        words = words_option(NONWORDS, "words", rule.options.get("words", []))
        read = rule.options.get(LEXICON, frozenset())
        if not isinstance(read, frozenset):
            raise SpecError(f"{LEXICON_KEY} = {read!r:.80} has not been read; do so with `vocabulary.with_words`.")
        return cls(threshold=Threshold.of(rule), words=words | read)

    def judge(self, pair: Pair) -> Verdict:
        """The share, and which words they are as a label."""
        words = [one for one in WORD.findall(pair.report.lower()) if len(one) > SHORT]
        unknown = [one for one in words if not is_word(one, self.words)]
        return self.threshold.verdict({NONWORDS: len(unknown) / max(1, len(words))})


@dataclass(frozen=True, kw_only=True)
class References:
    """How many sentences refer to what one image cannot show: earlier examinations, other views, other methods.

    Attributes:
        threshold: kept range.
    """

    threshold: Threshold
    name: str = REFERENCES

    @classmethod
    def of(cls, rule: FilterRule) -> References:
        """The filter a job file asks for.

        Raises:
            SpecError: an option is given; there is none.
        """
        known_options(REFERENCES, rule.options, ())
        return cls(threshold=Threshold.of(rule))

    def judge(self, pair: Pair) -> Verdict:
        """Sentences of either kind, and of each kind."""
        sentences = _SENTENCE.split(pair.report.lower())
        prior = {place for place, text in enumerate(sentences) if PRIOR.search(text)}
        view = {place for place, text in enumerate(sentences) if OTHER_VIEW.search(text)}
        counts = (len(prior | view), len(prior), len(view))
        return self.threshold.verdict(dict(zip(REFERENCE_SCORES, map(float, counts), strict=True)))


@dataclass(frozen=True, kw_only=True)
class Contradictions:
    """How many things the report both asserts and denies; NaN for an empty report.

    Attributes:
        threshold: kept range.
    """

    threshold: Threshold
    name: str = CONTRADICTIONS

    @classmethod
    def of(cls, rule: FilterRule) -> Contradictions:
        """The filter a job file asks for.

        Raises:
            SpecError: an option is given; there is none.
        """
        known_options(CONTRADICTIONS, rule.options, ())
        return cls(threshold=Threshold.of(rule))

    def judge(self, pair: Pair) -> Verdict:
        """The number of contradictions."""
        if not pair.report.strip():
            return self.threshold.verdict({CONTRADICTIONS: math.nan})
        domain = pair.request.prompt.domain
        if DOMAINS[domain].chexpert:
            clashing = contradictions(mentions(pair.report))
        else:
            clashing = grammar_contradictions(GRAMMARS[domain], pair.report) if domain in GRAMMARS else ()
        timely = sum(NEW_AND_OLD.search(text) is not None for text in _SENTENCE.split(pair.report.lower()))
        return self.threshold.verdict({CONTRADICTIONS: float(len(clashing) + timely)})


def grammar_contradictions(grammar: Grammar, report: str) -> tuple[str, ...]:
    """Findings of the grammar that the report asserts and denies, sorted."""
    reading = grammar.read(report)
    rows = (*reading.body, *reading.impression)
    denied = frozenset[str]().union(*(row.denies for row in rows))
    return tuple(sorted(denied & grammar.findings_of(rows)))
