"""The report tokenizer: str <-> ids.

The embedded checkpoint's pieces are whole sentences of its training reports, then their words, then characters, found
by a Unigram model's best segmentation: text it was trained on costs one id per sentence, any other ASCII text still
has an encoding. Official checkpoints bring their own tokenizer in the same format. Free
of torch, so that plans can ask.
"""

from __future__ import annotations

import string
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from medim_forge.model.quoting import quoted, shown
from medim_forge.model.strict_json import JsonError, read_text

if TYPE_CHECKING:
    from tokenizers import Tokenizer

SPECIALS = ("<pad>", "<s>", "</s>", "<boi>", "<eoi>", "<eos>", "<unk>")
BOS_ID, UNK_ID = 1, 6
_PROBE = "The lungs are clear."


class TextError(ValueError):
    """Text that the tokenizer cannot represent, or that does not fit.

    Args:
        message: with `{text}` in the place of the text.
        text: that cannot be used.

    Attributes:
        plain: the message without the text, which may be about somebody.
    """

    def __init__(self, message: str, text: str | None = None) -> None:
        super().__init__(message if text is None else message.replace("{text}", quoted(text)))
        self.plain = message.replace(": {text}", "").replace(" {text}", "")


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
    """Text <-> ids.

    Args:
        backend: the tokenizer; bos is added here, not by its post-processor.
        rules: what its special tokens are.

    Raises:
        TextError: it lacks one of them.
    """

    def __init__(self, backend: Tokenizer, rules: TextRules | None = None) -> None:
        self._backend, self._rules = backend, rules or TextRules()
        known = backend.get_vocab()
        if absent := [token for token in self._rules.specials if token not in known]:
            raise TextError(f"the report tokenizer lacks the special tokens {', '.join(absent)}")
        _mark_specials(backend, self._rules)
        self._specials = {known[token]: token for token in self._rules.specials}
        self._bos, self._unknown = known[self._rules.bos], known[self._rules.unknown]

    def __len__(self) -> int:
        """Number of ids, specials included."""
        return int(self._backend.get_vocab_size())

    def encode(self, text: str) -> list[int]:
        """Ids of the text, bos first, no end.

        Raises:
            TextError: a character has no id, or the text spells out a special id; the message shows it.
        """
        ids = self._pieces(text)
        if reserved := [token for token in self._rules.specials if token in text]:
            raise TextError(f"report text {{text}} spells out {reserved[0]}, which is no text; leave it out", text)
        if self._unknown in ids:
            lacking = quoted(self.unknown(text))
            raise TextError(
                f"report text {{text}} holds characters this tokenizer does not know: {lacking}; write them in ASCII",
                text,
            )
        if reserved := [self._specials[i] for i in ids if i in self._specials]:
            raise TextError(f"report text {{text}} spells out {reserved[0]}, which is no text; leave it out", text)
        return [self._bos, *ids]

    def encode_prompt(self, text: str) -> list[int]:
        """Ids of words that a report begins with, bos first: the report that goes on behind them shows the same words.

        Raises:
            TextError: as `encode`, or the ids do not come back as the text; the message shows what differs.
        """
        ids = self.encode(text)
        back = self.decode(ids[1:])
        if back != text:
            changed = sorted(set(text) - set(back))
            shown = f"characters {quoted(changed)} change" if changed else "white space changes"
            raise TextError(
                f"prompt {quoted(text)} comes back from this tokenizer as {quoted(back)}: {shown}; write it with "
                "plain characters and single blanks"
            )
        return ids

    def unknown(self, text: str) -> list[str]:
        """The characters of the text that have no id, sorted."""
        return sorted(char for char in set(text) if self._unknown in self._pieces(char))

    def _pieces(self, text: str) -> list[int]:
        """Ids of the text alone.

        Raises:
            TextError: it is no text.
        """
        if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
            raise TextError("report text {text} holds half of a surrogate pair, which is no character", text)
        ids: list[int] = self._backend.encode(text, add_special_tokens=False).ids
        return ids

    def decode(self, ids: Iterable[int]) -> str:
        """Text of the ids: specials are left out, or kept where the rules say so; ids beyond the tokenizer are no text.

        The official code turns the latter into MASK first, which its tokenizer does not know either.
        """
        kept = [i for i in ids if i < len(self)]
        if self._rules.special_text == "kept":
            text: str = self._backend.decode(kept, skip_special_tokens=False)
            for removed in self._rules.removed_text:
                text = text.replace(removed, "")
            return text
        text = self._backend.decode([i for i in kept if i not in self._specials], skip_special_tokens=True)
        return text.strip()

    def piece(self, number: int) -> str | None:
        """The text of one id, blanks included; None for a special, and for a part of a character."""
        if number in self._specials:
            return None
        text: str = self._backend.decode([number], skip_special_tokens=False)
        return text if text and "\ufffd" not in text else None

    def save(self, path: Path) -> None:
        """Write `tokenizer.json`."""
        path.write_text(self._backend.to_str(pretty=False) + "\n", encoding="utf-8")

    @staticmethod
    def load(path: Path, rules: TextRules | None = None) -> ReportTokenizer:
        """The tokenizer that `save` wrote.

        Args:
            path: `tokenizer.json`.
            rules: what its special tokens are.

        Raises:
            TextError: no such file, or not a tokenizer.
        """
        if not path.is_file():
            raise TextError(f"{path} does not exist; a checkpoint folder holds tokenizer.json")
        try:
            backend = _backend(read_text(path))
        except JsonError as error:
            raise TextError(str(error)) from error
        except BaseException as error:
            # A library in Rust ends some errors as a panic, which is no Exception.
            if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
                raise
            raise TextError(f"{path} is not a tokenizer: {shown(error)}") from error
        rules = rules or TextRules()
        if absent := [token for token in rules.specials if backend.token_to_id(token) is None]:
            raise TextError(f"{path} lacks the special tokens {', '.join(absent)}")
        return ReportTokenizer(backend, rules)


def _backend(text: str) -> Tokenizer:
    """The tokenizer that JSON describes, known to work: it neither pads nor cuts, which is done elsewhere."""
    from tokenizers import Tokenizer

    backend = Tokenizer.from_str(text)
    backend.no_padding()
    backend.no_truncation()
    backend.decode(backend.encode(_PROBE, add_special_tokens=False).ids)
    return backend


def _mark_specials(backend: Tokenizer, rules: TextRules) -> None:
    """The tokenizer knows which of its pieces are no text."""
    from tokenizers import AddedToken

    names = (rules.pad, rules.bos, rules.end, rules.unknown)
    backend.add_special_tokens([AddedToken(name, normalized=False, special=True) for name in names])


def build_report_tokenizer(openings: Sequence[str], sentences: Sequence[str]) -> ReportTokenizer:
    """A tokenizer with one piece per sentence, falling back to words and characters.

    Args:
        openings: first sentences of reports.
        sentences: every other sentence; in a report each is preceded by one space.
    """
    from tokenizers import Tokenizer, decoders, models, processors

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
    backend.post_processor = processors.TemplateProcessing(single="$A:0", pair="$A:0 $B:1", special_tokens=[])
    return ReportTokenizer(backend)
