"""Which parts of a report speak of the image, and which of the patient's history or of the request."""

from __future__ import annotations

import re

from medim_forge.generator.filters.text import cleaned, end_of_sentence

_SILENT = (
    r"(?:(?:clinical|brief|patient|relevant|medical)\s+)*(?:indications?|history|information|data|details|question)"
    r"(?:\s+of\s+present\s+illness)?|hx|hpi|reasons?(?:\s+for\s+(?:the\s+)?[a-z]+(?:\s+[a-z]+)?)?|comparisons?"
    r"|compared\s+(?:to|with)|priors?(?:\s+(?:stud(?:y|ies)|exams?))?|techniques?|procedures?|exam(?:ination)?s?|study|views?|protocol|symptoms?"
    r"|(?:admitting|clinical|pre-?operative|working)\s+diagnos[ie]s|diagnosis\s+code|icd(?:-?\d+)?(?:\s+codes?)?|order"
    r"|requested\s+by|signs?\s+and\s+symptoms|addressed\s+question|rule\s+out|r/o"
)
_SPEAKING = (
    r"findings?|impressions?|conclusions?|interpretation|opinion|results?|report|summary|assessment|observations?"
    r"|(?:cardio)?mediastinum|heart|cardiac|lungs?|pleurae?|pleural\s+spaces?|bones?|osseous|(?:soft\s+tissues?)"
    r"|airways?|lines?|tubes?|support\s+devices?|devices?|chest|cardiovascular|diaphragm|abdomen|other|skeletal|hila"
    r"|final\s+report|comments?|lines?\s*(?:and|/|&)\s*tubes?|pulmonary|musculoskeletal"
)
# A heading stands where a line or a sentence begins; one in capitals, or one of the two main ones, anywhere.
_SECTION = re.compile(
    r"(?:^|(?<=[.!?;])[ \t]+|\n|(?<=\s)(?=(?-i:[A-Z]{3}[A-Z ,/&-]*|Findings?|Impressions?)\s*:))"
    rf"[ \t]*(?:(?P<silent>{_SILENT})|(?P<speaking>{_SPEAKING})"
    r"(?:\s*(?:,|and|/|&)\s*[a-z]+(?:\s[a-z]+)?)?)[ \t]*:",
    re.IGNORECASE,
)


def speaking(report: str) -> str:
    """The report without the sections that assert nothing: history, indication, comparison, technique.

    Such a section lasts until a heading that is none of them; where no other heading follows, until the paragraph or
    else the sentence ends.
    """
    text = cleaned(report)
    found = list(_SECTION.finditer(text))
    kept, start = [], 0
    for place, heading in enumerate(found):
        if heading["silent"] is None:
            continue
        kept.append(text[start : heading.start()])
        start = max(start, _end_of_silence(text, heading.end(), [other.start() for other in found[place + 1 :]]))
    return "\n\n".join(part for part in (*kept, text[start:]) if part.strip())


def _end_of_silence(text: str, start: int, headings: list[int]) -> int:
    """Where a section ends that begins at `start` and after which these headings follow."""
    if headings:
        return headings[0]
    paragraph = text.find("\n\n", start)
    return paragraph if paragraph >= 0 and text[start:paragraph].strip() else end_of_sentence(text, start)
