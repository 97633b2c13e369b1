"""Is the report a finished text, free of repetition and identifiers; what does it find, and does it hold together."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from medim_forge.generator.errors import SpecError
from medim_forge.generator.filters.kind import FilterKind
from medim_forge.generator.filters.options import flag_option, number_option
from medim_forge.generator.filters.text import statements, tokens
from medim_forge.generator.filters.threshold import FilterRule, Threshold, stored
from medim_forge.generator.phantoms import read_findings, read_report
from medim_forge.generator.records import Pair, Verdict

NAME = "report_form"
NGRAM = 8  # words; shorter runs recur in sound reports, whose impression echoes their findings
UNFINISHED, UNCLEAN = 0.4, 0.25  # factors of the main score, each alone under the usual threshold of .5
END = re.compile(r"[.!?][\"')\]]*$")
PRIVATE = re.compile(
    r"_{2,}"  # blanks of de-identified reports, which a model learns to write
    r"|\[\*\*|\*\*\]|\bX{3,}\b"
    r"|\b\d{1,4}[/-]\d{1,2}[/-]\d{1,4}\b"  # a date
    r"|\b\d{6,}\b"  # an accession or record number
    r"|\b(?:MRN|DOB|SSN)\b"
)


@dataclass(frozen=True, kw_only=True)
class ReportForm:
    """How well formed the report is.

    Main score in [0, 1]: the product of length (words in bounds), end (.4 without closing punctuation, or without a
    word behind the prompt), 1 - repeats, and cleanness (.25 with a blank or an identifier); 0 for an empty report. With
    `grammar`, a report scores 0 that the embedded domain's grammar does not know, that is of another domain, or whose
    impression contradicts its findings.

    Attributes:
        threshold: kept range of the main score.
        min_words: fewer lower the score in proportion.
        max_words: more lower the score in proportion.
        grammar: whether `in_grammar` and `consistent` count; only sensible for the embedded domain.
    """

    threshold: Threshold
    min_words: float = 3.0
    max_words: float = 400.0
    grammar: bool = False
    name: str = NAME

    @classmethod
    def of(cls, rule: FilterRule) -> ReportForm:
        """The filter a job file asks for.

        Raises:
            SpecError: an option is of the wrong type, or the length bounds exclude each other.
        """
        least = number_option(NAME, "min_words", rule.options.get("min_words", cls.min_words))
        most = number_option(NAME, "max_words", rule.options.get("max_words", cls.max_words))
        if not 0 < least <= most:
            raise SpecError(
                f"filters: {NAME}: options.min_words is {least:g}, max_words {most:g}; need 0 < min <= max."
            )
        grammar = flag_option(NAME, "grammar", rule.options.get("grammar", cls.grammar))
        return cls(threshold=Threshold.of(rule), min_words=least, max_words=most, grammar=grammar)

    def judge(self, pair: Pair) -> Verdict:
        """Scores of the report, and `findings_report` (comma separated, sorted) as a label."""
        given = pair.request.given_report is not None
        scores = form_scores(pair.report, written=given or bool(tokens(pair.report[pair.prompt_chars :])))
        if given and scores["report_words"]:
            scores["report_finished"] = 1.0  # it is as finished as whoever wrote it left it
        reading = read_report(pair.report)
        scores["in_grammar"] = float(reading.in_grammar and reading.domain == pair.request.prompt.domain)
        scores["consistent"] = float(reading.consistent)
        labels = {"findings_report": ",".join(sorted(read_findings(pair.report)))}
        return replace(self.decide({name: stored(value) for name, value in scores.items()}), labels=labels)

    def decide(self, scores: Mapping[str, float]) -> Verdict:
        """The verdict on a report of these scores."""
        parts = {name: scores[name] for name in KIND.scores if name != NAME}
        return self.threshold.verdict({NAME: self.main_score(parts)} | parts)

    def main_score(self, scores: dict[str, float]) -> float:
        """The parts of `scores` as one number in [0, 1]."""
        words = scores["report_words"]
        if words == 0:
            return 0.0
        length = min(1.0, words / self.min_words, self.max_words / words)
        end = 1.0 if scores["report_finished"] else UNFINISHED
        clean = 1.0 if scores["report_clean"] else UNCLEAN
        grammar = scores["in_grammar"] * scores["consistent"] if self.grammar else 1.0
        return length * end * clean * (1 - scores["report_repeats"]) * grammar


def form_scores(report: str, *, written: bool = True) -> dict[str, float]:
    """Words, share of repetition, whether the text ends as a sentence, whether it is free of identifiers.

    Args:
        report: whole text.
        written: whether there is a word behind what was given; a report that ends with its prompt is not finished.
    """
    return {
        "report_words": float(len(tokens(report))),
        "report_repeats": repeats(report),
        "report_finished": float(written and END.search(report.rstrip()) is not None),
        "report_clean": float(PRIVATE.search(report) is None),
    }


def repeats(report: str) -> float:
    """Largest share in [0, 1] of: repeated sentences, repeated runs of eight words, words said twice in a row."""
    words = tokens(report)
    runs = [tuple(words[start : start + NGRAM]) for start in range(len(words) - NGRAM + 1)]
    doubled: int = sum(first == second for first, second in pairwise(words))
    return max(repeated_share(statements(report)), repeated_share(runs), doubled / max(1, len(words)))


def repeated_share(items: Sequence[object]) -> float:
    """Share of items that occurred before; 0 for none."""
    return sum(count - 1 for count in Counter(items).values()) / max(1, len(items))


KIND = FilterKind(
    name=NAME,
    scores={
        NAME: "main score: how well formed the report is, in [0, 1]",
        "report_words": "words",
        "report_repeats": "largest share of repeated sentences, eight-word runs or doubled words",
        "report_finished": (
            "1 when the report goes on behind its prompt and ends with closing punctuation, and for a given one"
        ),
        "report_clean": "1 when it holds no blank of de-identification, date or record number",
        "in_grammar": "1 when the embedded grammar knows every sentence, the form is complete and the domain is right",
        "consistent": "1 when the impression agrees with the findings and nothing is contradicted",
    },
    build=ReportForm.of,
    sees="report",
    options=("min_words", "max_words", "grammar"),
    drop_below=0.5,
    unit=True,
)
