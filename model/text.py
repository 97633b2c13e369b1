"""The report tokenizer: str <-> ids.

The embedded checkpoint's pieces are whole sentences of its training reports, then their words, then characters, found
by a Unigram model's best segmentation: text it was trained on costs one id per sentence, any other ASCII text still
has an encoding. Official checkpoints bring their own tokenizer in the same format.
"""

from __future__ import annotations

import string
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

SPECIALS = ("<pad>", "<s>", "</s>", "<boi>", "<eoi>", "<eos>", "<unk>")
BOS_ID, UNK_ID = 1, 6


class TextError(ValueError):
    """Text that the tokenizer cannot represent, or that does not fit."""


@dataclass(frozen=True, kw_only=True)
class TextRules:
    """A report tokenizer's special tokens, and what becomes of them in a decoded report.

    Attributes:
        specials: tokens that are no text: given text may not spell them out.
        pad, bos, end, unknown: which of them is which.
        special_text: whether decoded reports keep their specials, spelled out (official files do), or drop them.
        removed_text: strings taken out of decoded reports that keep their specials.
    """

    specials: tuple[str, ...] = SPECIALS
    pad: str = "<pad>"
    bos: str = "<s>"
    end: str = "</s>"
    unknown: str = "<unk>"
    special_text: Literal["dropped", "kept"] = "dropped"
    removed_text: tuple[str, ...] = ()


class ReportTokenizer:
    """Text <-> ids, over a transformers fast tokenizer.

    Args:
        fast: the tokenizer; bos is added here, not by its post-processor.
        rules: what its special tokens are.
    """

    def __init__(self, fast: PreTrainedTokenizerFast, rules: TextRules | None = None) -> None:
        self._fast, self._rules = fast, rules or TextRules()
        known = fast.get_vocab()
        if absent := [token for token in self._rules.specials if token not in known]:
            raise TextError(f"the report tokenizer lacks the special tokens {', '.join(absent)}")
        self._specials = {known[token]: token for token in self._rules.specials}
        self._bos, self._unknown = known[self._rules.bos], known[self._rules.unknown]

    def __len__(self) -> int:
        """Number of ids, specials included."""
        return len(self._fast)

    def encode(self, text: str) -> list[int]:
        """Ids of the text, bos first, no end.

        Raises:
            TextError: a character has no id, or the text spells out a special id; the message shows it.
        """
        ids: list[int] = self._fast.encode(text, add_special_tokens=False)
        if reserved := [token for token in self._rules.specials if token in text]:
            raise TextError(f"report text {text!r} spells out {reserved[0]}, which is no text; leave it out")
        if self._unknown in ids:
            unknown = sorted(
                char for char in set(text) if self._unknown in self._fast.encode(char, add_special_tokens=False)
            )
            raise TextError(
                f"report text {text!r} holds characters this tokenizer does not know: {unknown}; write them in ASCII"
            )
        if reserved := [self._specials[i] for i in ids if i in self._specials]:
            raise TextError(f"report text {text!r} spells out {reserved[0]}, which is no text; leave it out")
        return [self._bos, *ids]

    def decode(self, ids: Iterable[int]) -> str:
        """Text of the ids: specials are left out, or kept where the rules say so; ids beyond the tokenizer are no text.

        The official code turns the latter into MASK first, which its tokenizer does not know either.
        """
        kept = [i for i in ids if i < len(self)]
        if self._rules.special_text == "kept":
            text = self._fast.decode(kept, skip_special_tokens=False)
            assert isinstance(text, str)
            for removed in self._rules.removed_text:
                text = text.replace(removed, "")
            return text
        text = self._fast.decode([i for i in kept if i not in self._specials], skip_special_tokens=True)
        assert isinstance(text, str)
        return text.strip()

    def save(self, path: Path) -> None:
        """Write `tokenizer.json`."""
        path.write_text(self._fast.backend_tokenizer.to_str(pretty=False) + "\n", encoding="utf-8")

    @staticmethod
    def load(path: Path, rules: TextRules | None = None) -> ReportTokenizer:
        """The tokenizer that `save` wrote.

        Args:
            path: `tokenizer.json`.
            rules: what its special tokens are.

        Raises:
            TextError: no such file, or not a tokenizer.
        """
        from tokenizers import Tokenizer

        if not path.is_file():
            raise TextError(f"{path} does not exist; a checkpoint folder holds tokenizer.json")
        try:
            backend = Tokenizer.from_str(path.read_text(encoding="utf-8"))
        except Exception as error:
            raise TextError(f"{path} is not a tokenizer: {error}") from error
        rules = rules or TextRules()
        if absent := [token for token in rules.specials if backend.token_to_id(token) is None]:
            raise TextError(f"{path} lacks the special tokens {', '.join(absent)}")
        return ReportTokenizer(fast_tokenizer(backend, rules), rules)


def fast_tokenizer(backend: object, rules: TextRules) -> PreTrainedTokenizerFast:
    """The transformers tokenizer over a backend that has all special tokens of the rules."""
    from transformers import PreTrainedTokenizerFast

    # The class ships without types.
    build: Callable[..., PreTrainedTokenizerFast] = PreTrainedTokenizerFast
    return build(
        tokenizer_object=backend,
        pad_token=rules.pad,
        bos_token=rules.bos,
        eos_token=rules.end,
        unk_token=rules.unknown,
        clean_up_tokenization_spaces=False,
    )


def build_report_tokenizer(openings: Sequence[str], sentences: Sequence[str]) -> ReportTokenizer:
    """A tokenizer with one piece per sentence, falling back to words and characters.

    Args:
        openings: first sentences of reports.
        sentences: every other sentence; in a report each is preceded by one space.
    """
    from tokenizers import Tokenizer, decoders, models

    words = sorted({word for sentence in (*openings, *sentences) for word in sentence.split()})
    ranked: list[tuple[str, float]] = [(piece, -1e4) for piece in SPECIALS]
    ranked += [(sentence, -1.0) for sentence in dict.fromkeys(openings)]
    ranked += [(f" {sentence}", -1.0) for sentence in dict.fromkeys(sentences)]
    ranked += [(f"{space}{word}", -20.0) for word in words for space in ("", " ") if len(word) > 1]
    ranked += [(char, -60.0) for char in string.printable[:95]]
    vocab = list(dict(reversed(ranked)).items())[::-1]
    if len(vocab) != len(dict(ranked)):
        raise TextError("pieces are not unique")
    backend = Tokenizer(models.Unigram(vocab, unk_id=UNK_ID, byte_fallback=False))
    backend.decoder = decoders.Fuse()
    return ReportTokenizer(fast_tokenizer(backend, TextRules()))
