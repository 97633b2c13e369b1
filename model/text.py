"""The report tokenizer: str <-> ids.

The embedded checkpoint's pieces are whole sentences of its training reports, then their words, then characters, found
by a Unigram model's best segmentation: text it was trained on costs one id per sentence, any other ASCII text still
has an encoding. Official checkpoints bring their own tokenizer in the same format.
"""

from __future__ import annotations

import string
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

SPECIALS = ("<pad>", "<s>", "</s>", "<boi>", "<eoi>", "<eos>", "<unk>")
BOS_ID, UNK_ID = 1, 6


class TextError(ValueError):
    """Text that the tokenizer cannot represent, or that does not fit."""


class ReportTokenizer:
    """Text <-> ids, over a transformers fast tokenizer.

    Args:
        fast: the tokenizer; bos is added here, not by its post-processor.
    """

    def __init__(self, fast: PreTrainedTokenizerFast) -> None:
        self._fast = fast

    def __len__(self) -> int:
        """Number of ids, specials included."""
        return len(self._fast)

    def encode(self, text: str) -> list[int]:
        """Ids of the text, bos first, no end.

        Raises:
            TextError: a character has no id, or the text spells out a special id; the message shows it.
        """
        ids: list[int] = self._fast.encode(text, add_special_tokens=False)
        if UNK_ID in ids:
            unknown = sorted(char for char in set(text) if UNK_ID in self._fast.encode(char, add_special_tokens=False))
            raise TextError(
                f"report text {text!r} holds characters this tokenizer does not know: {unknown}; write them in ASCII"
            )
        if reserved := [SPECIALS[i] for i in ids if i < len(SPECIALS)]:
            raise TextError(f"report text {text!r} spells out {reserved[0]}, which is no text; leave it out")
        return [BOS_ID, *ids]

    def decode(self, ids: Iterable[int]) -> str:
        """Text of the ids; special ids are left out."""
        text = self._fast.decode([i for i in ids if i >= len(SPECIALS)], skip_special_tokens=True)
        assert isinstance(text, str)
        return text.strip()

    def pieces(self, text: str) -> list[str]:
        """The pieces the text is cut into, for looking at."""
        return [str(piece) for piece in self._fast.tokenize(text)]

    def save(self, path: Path) -> None:
        """Write `tokenizer.json`."""
        path.write_text(self._fast.backend_tokenizer.to_str(pretty=False) + "\n", encoding="utf-8")

    @staticmethod
    def load(path: Path) -> ReportTokenizer:
        """The tokenizer that `save` wrote.

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
        return ReportTokenizer(_fast(backend))


def _fast(backend: object) -> PreTrainedTokenizerFast:
    from transformers import PreTrainedTokenizerFast

    # The class ships without types.
    build: Callable[..., PreTrainedTokenizerFast] = PreTrainedTokenizerFast
    return build(
        tokenizer_object=backend,
        pad_token=SPECIALS[0],
        bos_token=SPECIALS[BOS_ID],
        eos_token=SPECIALS[2],
        unk_token=SPECIALS[UNK_ID],
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
    return ReportTokenizer(_fast(backend))
