"""Which words of a report are none."""

from __future__ import annotations

from dataclasses import dataclass, field

from medim_forge.generator.errors import SpecError
from medim_forge.generator.filters.kind import FilterKind
from medim_forge.generator.filters.lexicon import SHORT, is_word
from medim_forge.generator.filters.options import words_option
from medim_forge.generator.filters.text import words
from medim_forge.generator.filters.threshold import FilterRule, Threshold
from medim_forge.generator.records import Pair, Verdict

NAME = "nonwords"
LEXICON = "lexicon"
LEXICON_KEY = f"filters.{NAME}.options.{LEXICON}"


@dataclass(frozen=True, kw_only=True)
class Nonwords:
    """Share of the report's longer words that no lexicon knows; 0 for a report without words.

    Attributes:
        threshold: kept range.
        added: words that the job adds to the lexicon, by itself or by a file that has been read.
    """

    threshold: Threshold
    added: frozenset[str] = field(default_factory=frozenset)
    name: str = NAME

    @classmethod
    def of(cls, rule: FilterRule) -> Nonwords:
        """The filter a job file asks for.

        Raises:
            SpecError: `words` is no list of words, or `lexicon` has not been read.
        """
        listed = words_option(NAME, "words", rule.options.get("words", []))
        read = rule.options.get(LEXICON, frozenset())
        if not isinstance(read, frozenset):
            raise SpecError(
                f"{LEXICON_KEY} = {read!r:.80} has not been read; do so with `medim_forge.generator.inputs.with_words`."
            )
        return cls(threshold=Threshold.of(rule), added=listed | read)

    def judge(self, pair: Pair) -> Verdict:
        """The share of words that are none."""
        longer = [word for word in words(pair.report) if len(word) > SHORT]
        unknown = [word for word in longer if not is_word(word, self.added)]
        return self.threshold.verdict({NAME: len(unknown) / max(1, len(longer))})


KIND = FilterKind(
    name=NAME,
    scores={NAME: "share of words of four letters or more that no lexicon knows"},
    build=Nonwords.of,
    sees="report",
    options=("words", LEXICON),
    unit=True,
    options_measure=True,
)
