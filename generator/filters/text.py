"""How reports are cut into sentences and words."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

LONGEST = 600  # characters of a sentence
# Soft hyphens, zero-width characters and byte order marks are not seen, so that they must not part a word.
_UNSEEN = re.compile("\u00ad[ \t]*\r?\n[ \t]*|[\u00ad\u200b-\u200d\u2060\ufeff]")
_MARKS = str.maketrans("\u2018\u2019\u00b4\u201c\u201d\u2010\u2011\u2013\u2014", "'''\"\"----")
_PARTED_WORD = re.compile(r"(?<=[a-z])-[ \t]*\n[ \t]*(?=[a-z])")
# A full stop without a blank behind it ends a sentence where it stands between two words ("seen.Small effusion"). A
# question with its answer ("Effusion? No.") is one.
_SENTENCE_END = re.compile(
    r"(?<!\bvs)(?<!\bdr)(?<!\bmr)(?<!\bms)(?<!\bmrs)(?<!\bapprox)(?<!\be\.g)(?<!\bi\.e)(?<!\bst)(?<!\bcf)"
    r"(?:(?<=[^\s?])[.!?]+[\"')\]]*(?=\s|$)"
    r"(?!(?<=\?)\s*(?:no|none|negative|absent|yes|present)\s*(?:[.!;\n]|$))|(?<=[a-z\d)]{2})[.!](?=[a-z]{2}))|;",
    re.IGNORECASE,
)
_ITEM = re.compile(r"\s*(?:[-*•·>]+\s*|\(?\d{1,2}[.):]\s*(?=\D))")
_HEADING = re.compile(r"\s*[A-Za-z][A-Za-z/,&() -]{1,48}:")
_OPEN_END = re.compile(
    r"(?:[,/-]|\b(?:no|not|without|of|the|an?|and|or|nor|with|in|on|at|to|for|from|by|is|are|was|were|has|have|be|been"
    r"|may|evidence|definite|focal|acute|pleural|pulmonary|small|large|mild|moderate|right|left|bilateral|new"
    r"|pneumothorax,|which|that|but|than|between|either|neither|lower|upper|lobe,))$",
    re.IGNORECASE,
)
_GOES_ON = re.compile(
    r"(?:and|or|nor|of|in|on|with|without|at|to|for|from|by|is|are|was|were|has|have|but|which|that|than)\b",
    re.IGNORECASE,
)
_WORD = re.compile(r"[^\W\d_]+(?:['\u2019][^\W\d_]+)*")
_TOKEN = re.compile(r"[^\W_]+(?:['\u2019/-][^\W_]+)*")
_HEADING_END = re.compile(r":\s+")


def cleaned(report: str) -> str:
    """The report with plain blanks, hyphens and quotation marks, and without characters that nobody sees."""
    plain = _UNSEEN.sub("", unicodedata.normalize("NFKC", report)).translate(_MARKS)
    return _PARTED_WORD.sub("", plain.replace("\r\n", "\n").replace("\r", "\n").replace("_", " "))


def sentences(report: str) -> list[str]:
    """The sentences of a report in lower case, stripped, each with the mark that it ends in.

    A line end alone ends a sentence only where the next line begins like one: an item, a heading, or a capital letter
    behind a line that is not left open.
    """
    return [sentence.lower() for sentence in _sentences(cleaned(report))]


def end_of_sentence(text: str, start: int) -> int:
    """Where the sentence ends that begins at `start` of a cleaned text."""
    stop = _SENTENCE_END.search(text, start)
    rest = text[start:]
    run = start + len(rest) - len(rest.lstrip()) + len(next(_pieces(rest), ""))
    return min(stop.end(), run) if stop else run


def words(text: str) -> list[str]:
    """The words of a text in any script, in lower case: letters, with an apostrophe between them at most."""
    return _WORD.findall(unicodedata.normalize("NFC", text).lower())


def tokens(text: str) -> list[str]:
    """The words of a text in lower case, numbers and compounds such as `left-sided` and `3/4` among them."""
    return _TOKEN.findall(unicodedata.normalize("NFC", text).lower())


def statements(report: str) -> list[str]:
    """The statements of a report as tokens that are joined by spaces, headings apart; those without tokens are not."""
    parts = (tokens(part) for sentence in sentences(report) for part in _HEADING_END.split(sentence))
    return [" ".join(part) for part in parts if part]


def _sentences(text: str) -> Iterator[str]:
    for piece in _pieces(text):
        start = 0
        for stop in _SENTENCE_END.finditer(piece):
            yield from _bounded(piece[start : stop.end()].strip())
            start = stop.end()
        yield from _bounded(piece[start:].strip())


def _bounded(sentence: str) -> Iterator[str]:
    """The sentence, in parts if it is longer than any that somebody wrote: reading takes the square of its length."""
    while len(sentence) > LONGEST:
        place = sentence.rfind(" ", 0, LONGEST) + 1 or LONGEST
        yield sentence[:place].strip()
        sentence = sentence[place:]
    if sentence:
        yield sentence


def _pieces(text: str) -> Iterator[str]:
    """Runs of lines that belong together, each as one line."""
    lines = text.split("\n")
    width = max(map(len, lines))
    caseless = text.upper() == text or text.lower() == text
    run = ""
    for line in (line.strip() for line in lines):
        if not line:
            if run and not _OPEN_END.search(run):
                yield run
                run = ""
            continue
        if run and _begins(run, line, width=width, caseless=caseless):
            yield run
            run = ""
        run = f"{run} {line}" if run else line
    if run:
        yield run


def _begins(before: str, line: str, *, width: int, caseless: bool) -> bool:
    """Whether a new sentence begins with this line."""
    if _ITEM.match(line) or (_HEADING.match(line) and (":" in before or not _OPEN_END.search(before))):
        return True
    if _OPEN_END.search(before) or _GOES_ON.match(line) or before.endswith(":"):
        return False
    word = line.split(maxsplit=1)[0]
    if caseless or (word.isupper() and len(word) > 1):
        # Without capitals to go by: a line is wrapped where its next word would not have fitted.
        return len(before) + 1 + len(word) <= width
    return line[0].isupper()
