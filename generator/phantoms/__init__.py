"""Phantoms: parametric chest radiographs and H&E patches with exact labels (numpy only).

`draw(domain, seed)` makes an image and its report; `read_findings` and `read_report` read any report back.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from medim_forge.generator.phantoms import chest, chest_image, chest_report, grammar, pathology, pathology_report
from medim_forge.generator.phantoms.grammar import Grammar, ReportReading

__all__ = [
    "DOMAINS",
    "FINDINGS",
    "OPENING",
    "Phantom",
    "ReportReading",
    "draw",
    "read_findings",
    "read_report",
    "sentences",
]


@dataclass(frozen=True, kw_only=True)
class Phantom:
    """An image, the report that describes it, and the findings both hold.

    Attributes:
        domain: `chest_xray` or `pathology`.
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


@dataclass(frozen=True, kw_only=True)
class _Room:
    """A domain behind one door: `make` draws parameters, image and report from a generator."""

    make: Callable[[np.random.Generator, bool | None], "_Made"]
    grammar: Grammar
    opening: str


_Made = tuple[NDArray[np.uint8], str, frozenset[str], dict[str, str | float]]
_P = TypeVar("_P")


def _maker(
    sample: Callable[[np.random.Generator], _P],
    findings: Callable[[_P], frozenset[str]],
    is_held_out: Callable[[frozenset[str]], bool],
    render: Callable[[_P, np.random.Generator], NDArray[np.uint8]],
    write: Callable[[_P, np.random.Generator], str],
) -> Callable[[np.random.Generator, bool | None], _Made]:
    """The steps of one domain joined, its parameter type kept inside."""

    def make(rng: np.random.Generator, held_out: bool | None) -> _Made:
        params = sample(rng)
        while held_out is not None and is_held_out(findings(params)) != held_out:
            params = sample(rng)
        said = {name: value for name, value in vars(params).items() if isinstance(value, str | float) and value != ""}
        return render(params, rng), write(params, rng), findings(params), said

    return make


_ROOMS: Mapping[str, _Room] = {
    "chest_xray": _Room(
        make=_maker(chest.sample, chest.findings, chest.is_held_out, chest_image.render, chest_report.write),
        grammar=chest_report.GRAMMAR,
        opening=chest_report.OPENING,
    ),
    "pathology": _Room(
        make=_maker(
            pathology.sample, pathology.findings, pathology.is_held_out, pathology.render, pathology_report.write
        ),
        grammar=pathology_report.GRAMMAR,
        opening=pathology_report.OPENING,
    ),
}
DOMAINS = tuple(_ROOMS)
FINDINGS: Mapping[str, tuple[str, ...]] = {domain: room.grammar.findings for domain, room in _ROOMS.items()}
OPENING: Mapping[str, str] = {domain: room.opening for domain, room in _ROOMS.items()}
_GRAMMARS = tuple(room.grammar for room in _ROOMS.values())


def draw(domain: str, seed: int, *, held_out: bool | None = False) -> Phantom:
    """The phantom of (`domain`, `seed`), the same bytes in every process.

    Args:
        domain: `chest_xray` or `pathology`.
        seed: any integer.
        held_out: False draws only combinations of findings that training may see, True only those it may not,
            None either.
    """
    room = _room(domain)
    key = int.from_bytes(hashlib.sha256(f"phantom/{domain}/{seed}".encode()).digest()[:16], "big")
    rng = np.random.Generator(np.random.Philox(key=key))
    image, report, findings, attributes = room.make(rng, held_out)
    return Phantom(domain=domain, seed=seed, image=image, report=report, findings=findings, attributes=attributes)


def read_findings(report: str) -> frozenset[str]:
    """The findings `report` asserts: exact on grammatical text, by keyword and negation on any other."""
    return grammar.read_findings(_GRAMMARS, report)


def read_report(report: str) -> ReportReading:
    """The domain, the findings, and whether form and content of `report` hold together."""
    return grammar.read_report(_GRAMMARS, report)


def sentences(domain: str) -> tuple[str, ...]:
    """Every sentence a report of `domain` may hold, in table order."""
    return tuple(row.text for row in _room(domain).grammar.sentences)


def _room(domain: str) -> _Room:
    if domain not in _ROOMS:
        raise ValueError(f"there is no phantom of domain {domain!r}; use one of {', '.join(_ROOMS)}")
    return _ROOMS[domain]
