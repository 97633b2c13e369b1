"""A row as a job gets it: a pair that is kept, or one that is left out, with the reason."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from medim_forge.generator.corpus.phi import PhiKind
from medim_forge.generator.corpus.record import Picture, row_name
from medim_forge.generator.corpus.split import Split


@dataclass(frozen=True, kw_only=True)
class CorpusRow:
    """A pair that is kept. It is small and can be sent to another process.

    Attributes:
        source: name.
        row: number in its source, from 0.
        key: digest that messages and caches call it by, 16 hex digits.
        domain: what kind of image.
        picture: where its image lies.
        opening: words that its report begins with; empty for none.
        report: what of its report is learned, behind the opening.
        patient: digest, 16 bytes.
        study: digest, 16 bytes.
        view: as the holding says it; empty where it does not.
        split: where it stands.
        labels: columns that the job takes along.
        weight: share of a whole image that it counts in training.
        phi: what was masked in its report, by kind.
    """

    source: str
    row: int
    key: str
    domain: str
    picture: Picture
    opening: str
    report: str
    patient: bytes
    study: bytes
    view: str
    split: Split
    labels: Mapping[str, str] = field(default_factory=dict)
    weight: float = 1.0
    phi: Mapping[PhiKind, int] = field(default_factory=dict)
    removed: bool = False

    @property
    def name(self) -> str:
        """What messages call it; it names nobody."""
        return row_name(self.source, self.row, self.key)

    @property
    def text(self) -> str:
        """The whole text: the opening, unless the report begins with it already, and the report."""
        if not self.opening or self.report.startswith(self.opening):
            return self.report
        return f"{self.opening} {self.report}"


@dataclass(frozen=True, kw_only=True)
class LeftOut:
    """A row that is left out.

    Attributes:
        source: name.
        row: number in its source, from 0.
        key: digest.
        reason: why; the same words for all rows of a kind.
        phi: what its report holds that looks as if it named a person, by kind.
        stops: whether the job says that it must not go on with such a row.
    """

    source: str
    row: int
    key: str
    reason: str
    phi: Mapping[PhiKind, int] = field(default_factory=dict)
    stops: bool = False

    @property
    def name(self) -> str:
        """What messages call it; it names nobody."""
        return row_name(self.source, self.row, self.key)
