"""Phantoms: parametric chest radiographs and H&E patches with exact labels (numpy only).

`draw(domain, seed)` makes an image and its report; `read_findings` and `read_report` read any report back.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from medim_forge.generator.domains import DOMAINS as TABLE
from medim_forge.generator.phantoms import (
    anatomy,
    chest,
    chest_image,
    chest_report,
    grammar,
    pathology,
    pathology_report,
)
from medim_forge.generator.phantoms.grammar import Grammar, ReportReading, Sentence

__all__ = [
    "DOMAINS",
    "FIELD_CM",
    "FINDINGS",
    "GRAMMARS",
    "OPENING",
    "Grammar",
    "Phantom",
    "ReportReading",
    "Sentence",
    "draw",
    "read_findings",
    "read_report",
    "sentences",
]


@dataclass(frozen=True, kw_only=True)
class Phantom:
    """An image, the report that describes it, and the findings both hold.

    Attributes:
        domain: one of `DOMAINS`.
        seed: what `draw` was given; domain, seed and `held_out` determine every byte.
        image: uint8 [96, 96] (chest) or [96, 96, 3] (pathology).
        report: sentences of the domain's grammar, joined by single spaces.
        findings: names out of `FINDINGS[domain]`.
        attributes: the drawing's parameters, e.g. `{"view": "PA", "ctr": 0.58}`.
    """

    domain: str
    seed: int
    image: NDArray[np.uint8]
    report: str
    findings: frozenset[str]
    attributes: Mapping[str, str | float]


_Made = tuple[NDArray[np.uint8], str, frozenset[str], dict[str, str | float]]
_Maker = Callable[[np.random.Generator, bool | None], _Made]
_P = TypeVar("_P")


def _maker(
    sample: Callable[[np.random.Generator], _P],
    findings: Callable[[_P], frozenset[str]],
    is_held_out: Callable[[frozenset[str]], bool],
    render: Callable[[_P, np.random.Generator], NDArray[np.uint8]],
    write: Callable[[_P, np.random.Generator], str],
) -> _Maker:
    """The steps of one domain joined: parameters, image and report are drawn from a generator."""

    def make(rng: np.random.Generator, held_out: bool | None) -> _Made:
        params = sample(rng)
        while held_out is not None and is_held_out(findings(params)) != held_out:
            params = sample(rng)
        said = {name: value for name, value in vars(params).items() if isinstance(value, str | float) and value != ""}
        return render(params, rng), write(params, rng), findings(params), said

    return make


_MAKERS: Mapping[str, _Maker] = {
    chest_report.DOMAIN: _maker(
        chest.sample, chest.findings, chest.is_held_out, chest_image.render, chest_report.write
    ),
    pathology_report.DOMAIN: _maker(
        pathology.sample, pathology.findings, pathology.is_held_out, pathology.render, pathology_report.write
    ),
}
# Domains that phantoms are drawn of. A domain may have a grammar and no drawings, or neither.
DOMAINS = tuple(_MAKERS)
GRAMMARS: Mapping[str, Grammar] = {
    chest_report.DOMAIN: chest_report.GRAMMAR,
    pathology_report.DOMAIN: pathology_report.GRAMMAR,
}
FINDINGS: Mapping[str, tuple[str, ...]] = {domain: grammar.findings for domain, grammar in GRAMMARS.items()}
OPENING: Mapping[str, str] = {domain: TABLE[domain].opening for domain in DOMAINS}
# The side of the drawn field where images are radiographs: what makes their scale known.
FIELD_CM: Mapping[str, float] = {chest_report.DOMAIN: anatomy.FIELD}


def draw(domain: str, seed: int, *, held_out: bool | None = False) -> Phantom:
    """The phantom of (`domain`, `seed`), the same bytes in every process.

    Args:
        domain: one of `DOMAINS`.
        seed: any integer.
        held_out: False draws only combinations of findings that training may see, True only those it may not,
            None either.

    Raises:
        ValueError: no phantoms are drawn of the domain.
    """
    if domain not in _MAKERS:
        raise ValueError(f"there is no phantom of domain {domain!r}; use one of {', '.join(_MAKERS)}")
    key = int.from_bytes(hashlib.sha256(f"phantom/{domain}/{seed}".encode()).digest()[:16], "big")
    rng = np.random.Generator(np.random.Philox(key=key))
    image, report, findings, attributes = _MAKERS[domain](rng, held_out)
    return Phantom(domain=domain, seed=seed, image=image, report=report, findings=findings, attributes=attributes)


def read_findings(report: str) -> frozenset[str]:
    """The findings `report` asserts: exact on grammatical text, by keyword and negation on any other."""
    return grammar.read_findings(tuple(GRAMMARS.values()), report)


def read_report(report: str) -> ReportReading:
    """The domain, the findings, and whether form and content of `report` hold together."""
    return grammar.read_report(tuple(GRAMMARS.values()), report)


def sentences(domain: str) -> tuple[str, ...]:
    """Every sentence a report of `domain` may hold, in the order of its grammar."""
    return tuple(row.text for row in GRAMMARS[domain].sentences)
