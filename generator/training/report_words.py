"""A report tokenizer learned from reports, in any language: byte-level BPE that no single patient can shape.

Whatever stands in a few reports only, a name above all, must not become a piece: a model with a piece for it would
write it. So pieces are learned from those words alone that the reports of `PATIENTS` patients or more have in common;
every other text still has an encoding, by its bytes.
Source: Sennrich 2016 (arXiv 1508.07909); Radford 2019 (GPT-2: bytes as the alphabet).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors, trainers

from medim_forge.generator.errors import InputError
from medim_forge.model.text import SPECIALS, UNK_ID, ReportTokenizer

PATIENTS = 3
BYTES = 256
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]")  # all but the line feed


def learn_report_tokenizer(
    reports: Iterable[tuple[str, str]], vocabulary: int, openings: Sequence[str] = ()
) -> ReportTokenizer:
    """A tokenizer whose pieces stand in the reports of at least `PATIENTS` patients each.

    Args:
        reports: patient and report, of the training side alone; read once, in any order.
        vocabulary: the most ids it may have, specials and bytes included.
        openings: first words that all reports of a domain have; each is one piece where it can be, and nothing is
            learned from it.

    Raises:
        InputError: the vocabulary has no room for specials, bytes and openings.
    """
    openings = list(dict.fromkeys(filter(None, openings)))
    least = len(SPECIALS) + BYTES + len(openings)
    if vocabulary < least:
        raise InputError(
            f"a vocabulary of {vocabulary} has no room for {len(SPECIALS)} specials, {BYTES} bytes and "
            f"{len(openings)} openings; give it {least} or more"
        )
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary - len(openings),
        special_tokens=list(SPECIALS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        min_frequency=2,
        show_progress=False,
    )
    backend = Tokenizer(models.BPE())
    # Words are cut already: cutting them again would only cost time.
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    backend.train_from_iterator(_common_words(reports, openings), trainer)
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    backend.post_processor = processors.TemplateProcessing(single="$A:0", pair="$A:0 $B:1", special_tokens=[])
    backend.add_tokens([AddedToken(opening, normalized=False) for opening in openings if _comes_back(opening)])
    return ReportTokenizer(backend)


def unused_ids(text: ReportTokenizer) -> tuple[int, ...]:
    """The ids that no report holds, ascending, for `TokenLayout.unused_ids`: the unknown one, and control characters.

    The bytes of control characters have ids as all bytes have; a report that holds one cannot be written as DICOM.
    """
    pieces = ((number, text.piece(number) or "") for number in range(len(text)))
    return (UNK_ID, *(number for number, piece in pieces if _CONTROL.search(piece)))


def _comes_back(opening: str) -> bool:
    """Whether a piece that is written out is not taken for the letters that stand for bytes, as `Röntgen:` would be."""
    return opening.isascii() or not set(opening) <= set(pre_tokenizers.ByteLevel.alphabet())


def _common_words(reports: Iterable[tuple[str, str]], openings: Sequence[str]) -> Iterator[str]:
    """The words of at least `PATIENTS` patients' reports, each as often as it occurs, sorted.

    A word is what the tokenizer never joins with its neighbours: letters, digits or signs, with one blank before them.
    """
    cut = pre_tokenizers.ByteLevel(add_prefix_space=False)
    seen: Counter[str] = Counter()
    # The patients of a word, until there are enough of them: the others need not be known.
    owners: dict[str, set[str]] = {}
    for patient, report in reports:
        body = _without_opening(report, openings)
        for _, (start, end) in cut.pre_tokenize_str(body):
            word = body[start:end]
            seen[word] += 1
            known = owners.setdefault(word, set())
            if len(known) < PATIENTS:
                known.add(patient)
    for word in sorted(seen):
        if len(owners[word]) >= PATIENTS:
            yield from [word] * seen[word]


def _without_opening(report: str, openings: Sequence[str]) -> str:
    """The report behind the longest opening that it begins with."""
    begun = [opening for opening in openings if report.startswith(opening)]
    return report[len(max(begun, key=len)) :] if begun else report
