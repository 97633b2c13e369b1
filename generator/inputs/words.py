"""Words of the user's own, from a file: filters do no I/O, so it is read here, before they are built.

What the file says changes verdicts; therefore its sha256 is pinned in `plan.json`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from medim_forge.generator import filters
from medim_forge.generator.errors import SpecError
from medim_forge.generator.files import sha256_hex
from medim_forge.generator.filters.lexicon import words_of
from medim_forge.generator.filters.nonwords import LEXICON, LEXICON_KEY
from medim_forge.generator.filters.nonwords import NAME as NONWORDS
from medim_forge.generator.filters.threshold import DefaultRule, FilterRule

LARGEST = 16 * 2**20  # bytes; English word lists of half a million words take a third of it
_WANTED = "Give a UTF-8 text file with one word or term per line."


@dataclass(frozen=True, kw_only=True)
class _Rules:
    filters: Sequence[FilterRule]


def build_judge(spec: filters.Filtered) -> filters.Judge:
    """The judgement of all filters together, the words of files among what they know.

    Raises:
        SpecError: an unknown filter, one named twice, a wrong option, or a file that is no list of words.
    """
    return filters.build_judge(with_words(spec))


def with_words(spec: filters.Filtered) -> filters.Filtered:
    """The same filters, with the words of a file in place of its path.

    Raises:
        SpecError: a file is no list of words.
    """
    return _Rules(filters=tuple(_with_words(rule) for rule in spec.filters))


def vocabulary_sha256(spec: filters.Filtered) -> dict[str, str]:
    """Hex sha256 of the file of words that a job names, by the key that does; empty without one.

    Raises:
        SpecError: it cannot be read.
    """
    paths = [_path(rule) for rule in spec.filters if _reads(rule)]
    return {LEXICON_KEY: sha256_hex(_content(paths[0]))} if paths else {}


def _reads(rule: FilterRule) -> bool:
    return rule.name == NONWORDS and LEXICON in rule.options


def _with_words(rule: FilterRule) -> FilterRule:
    """The rule, with the words of a file in place of its path where it names one."""
    if not _reads(rule):
        return rule
    return DefaultRule(
        name=rule.name,
        drop_below=rule.drop_below,
        drop_above=rule.drop_above,
        action=rule.action,
        options={**rule.options, LEXICON: _words(_path(rule))},
    )


def _words(path: str) -> frozenset[str]:
    """The words of a file; comments run from `#` to the end of a line.

    Raises:
        SpecError: there are none.
    """
    content = _content(path)
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise SpecError(f"{LEXICON_KEY} = {path!r} is no UTF-8 text (byte {error.start}). {_WANTED}") from error
    if "\0" in text:
        raise SpecError(f"{LEXICON_KEY} = {path!r} is no text (byte {content.index(0)} is 0). {_WANTED}")
    kept = "\n".join(line.partition("#")[0] for line in text.splitlines())
    if not kept.strip():
        raise SpecError(f"{LEXICON_KEY} = {path!r} is empty but for comments. {_WANTED}")
    found = words_of(kept)
    if not found:
        raise SpecError(f"{LEXICON_KEY} = {path!r} holds no word. {_WANTED}")
    return found


def _path(rule: FilterRule) -> str:
    """The path that the job gives.

    Raises:
        SpecError: it gives none.
    """
    path = rule.options[LEXICON]
    if not isinstance(path, str) or not path.strip():
        raise SpecError(f"{LEXICON_KEY} is {path!r:.80}; give the path of a text file.")
    return path


def _content(path: str) -> bytes:
    """The bytes of the file; a relative path starts in the working directory.

    Raises:
        SpecError: there is no such file, it cannot be read, or it is too long.
    """
    file = Path(path)
    if not file.is_file():
        kind = "is a folder" if file.is_dir() else "names no file"
        raise SpecError(f"{LEXICON_KEY} = {path!r} {kind}; a relative path starts in {Path.cwd()}. {_WANTED}")
    try:
        with file.open("rb") as stream:
            content = stream.read(LARGEST + 1)
    except OSError as error:
        raise SpecError(f"{LEXICON_KEY} = {path!r} cannot be read ({error.strerror}). Mend the file.") from error
    if len(content) > LARGEST:
        raise SpecError(
            f"{LEXICON_KEY} = {path!r} is larger than {LARGEST // 2**20} MiB, which is hardly a list of words. Keep "
            "the words that reports use."
        )
    return content
