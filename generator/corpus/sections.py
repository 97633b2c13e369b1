"""Parts of a free-text report, found by their headings in several languages.

A heading stands at the beginning of a line, or behind the end of a sentence, and a colon follows it, or the end of its
line. A part ends where the next heading of any kind stands. Text before the first heading belongs to no part.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType

from medim_forge.generator.jobspec.data import ReportPart

# Known headings. English, German, Spanish, French, Italian, Portuguese, Dutch, Korean, Japanese, Chinese.
HEADINGS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "findings": (
            *("findings", "finding", "findings and impression", "observations", "report"),
            *("befund", "befunde", "befundung", "röntgenbefund"),
            *("hallazgos", "descripción", "descripcion", "informe"),
            *("résultats", "resultats", "description", "constatations"),
            *("reperti", "referto", "descrizione", "achados", "relatório", "bevindingen", "verslag"),
            *("소견", "판독 소견", "판독소견", "영상 소견", "所見", "画像所見", "影像所见", "检查所见", "影像所見"),
        ),
        "impression": (
            *("impression", "impressions", "conclusion", "conclusions", "opinion", "summary", "imp"),
            *("beurteilung", "zusammenfassung", "zusammenfassende beurteilung", "bewertung"),
            *("impresión", "impresion", "conclusión", "conclusion diagnóstica", "juicio diagnóstico"),
            *("interprétation", "synthèse", "conclusioni", "impressione", "conclusão", "impressão", "conclusie"),
            *("결론", "판독 결론", "인상", "진단", "診断", "印象", "诊断意见", "诊断", "结论"),
        ),
        "other": (
            *("indication", "indications", "history", "clinical history", "clinical information", "reason for exam"),
            *("reason for examination", "comparison", "comparisons", "technique", "examination", "exam", "study"),
            *("procedure", "views", "view", "recommendation", "recommendations", "notification", "addendum"),
            *("final report", "wet read", "date", "accession number", "narrative", "clinical data"),
            *("fragestellung", "indikation", "klinische angaben", "klinik", "anamnese", "technik", "methode"),
            *("voraufnahmen", "vergleich", "voruntersuchung", "untersuchung", "empfehlung"),
            *("rechtfertigende indikation", "indication clinique", "renseignements cliniques"),
            *("indicación", "motivo", "datos clínicos", "técnica", "comparación", "antecedentes", "recomendación"),
            *("comparaison", "antécédents", "recommandation"),
            *("indicazione", "quesito", "tecnica", "confronto", "indicação", "técnica de exame", "comparação"),
            *("klinische gegevens", "vraagstelling", "techniek", "vergelijking"),
            *("임상 정보", "임상정보", "검사 방법", "검사방법", "비교", "권고", "臨床情報", "检查方法", "临床资料"),
        ),
    }
)
_ASIDE = r"[\s*_#>\-\u2022]*(?:\d{1,2}[.)]\s*)?"  # list marks, numbers and markdown in front of a heading


def split_report(text: str, headings: Mapping[str, tuple[str, ...]] | None = None) -> dict[str, str]:
    """The findings and the impression of a report, those that it has; white space becomes single blanks.

    Args:
        text: the whole report.
        headings: by part; None for the known ones.
    """
    pattern, parts = _pattern(_frozen(headings))
    text = unicodedata.normalize("NFC", text)
    found = list(pattern.finditer(text))
    gathered: dict[str, list[str]] = {}
    for number, heading in enumerate(found):
        end = found[number + 1].start() if number + 1 < len(found) else len(text)
        part = parts[_folded(heading[heading.lastgroup or 0])]
        body = tidy(text[heading.end() : end]).strip("*_ ")
        if part != "other" and body:
            gathered.setdefault(part, []).append(body)
    return {part: " ".join(bodies) for part, bodies in gathered.items()}


def choose(section: ReportPart, whole: str | None, parts: Mapping[str, str]) -> str | None:
    """What of a report is learned; None where it has no such part.

    Args:
        section: which part.
        whole: the whole report; None where the holding has its parts only.
        parts: its findings and its impression, those that there are.
    """
    findings, impression = parts.get("findings"), parts.get("impression")
    if section == "whole":
        return tidy(whole) if whole else " ".join(filter(None, (findings, impression))) or None
    if section == "findings":
        return findings
    if section == "impression":
        return impression
    if section == "findings_or_impression":
        return findings or impression
    return " ".join(filter(None, (findings, impression))) or None


def tidy(text: str) -> str:
    """The text composed as Unicode NFC, with single blanks between its words and none around them."""
    return " ".join(unicodedata.normalize("NFC", text).replace("\0", " ").split())


def _folded(heading: str) -> str:
    return " ".join(unicodedata.normalize("NFC", heading).casefold().split())


def _frozen(headings: Mapping[str, tuple[str, ...]] | None) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """The headings by part; those that the job gives stand in the place of the known ones, but for `other`."""
    chosen = dict(HEADINGS) | {name: tuple(words) for name, words in (headings or {}).items()}
    if headings and "other" in headings:
        chosen["other"] = (*HEADINGS["other"], *headings["other"])
    return tuple(chosen.items())


@lru_cache(maxsize=32)
def _pattern(headings: tuple[tuple[str, tuple[str, ...]], ...]) -> tuple[re.Pattern[str], dict[str, str]]:
    """What finds a heading, and which part each begins."""
    parts = {_folded(word): part for part, words in reversed(headings) for word in words}
    longest = sorted(parts, key=lambda word: (-len(word), word))
    words = "|".join(r"\s+".join(map(re.escape, word.split())) for word in longest)
    colon = r"\**[ \t]*[:\uff1a]\**"
    # A line of its own, or the beginning of one; behind the end of a sentence; or in capitals within a line.
    line = rf"(?:(?<=\n)|\A){_ASIDE}(?P<line>(?i:{words}))(?:{colon}|\**[ \t]*(?=\r?\n|\Z))"
    inside = rf"(?<=[.!?;)\]。])\s*(?P<inside>(?i:{words})){colon}"
    capitals = "|".join(r"\s+".join(map(re.escape, word.upper().split())) for word in longest)
    shouted = rf"(?<=\s)(?P<shouted>{capitals}){colon}"
    return re.compile(f"{line}|{inside}|{shouted}"), parts
