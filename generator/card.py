"""The dataset card: a README that Hugging Face reads too, and whose first line says that everything is synthetic."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from generator.data_view import DataView
from generator.provenance import INTENDED_USE, SOFTWARE, SOFTWARE_VERSION, Provenance
from generator.schema import columns
from generator.spec import GenerateSpec
from generator.tally import Tally

_TEMPLATES = Path(__file__).parent / "templates"
_SIZES = {1_000: "n<1K", 10_000: "1K<n<10K", 100_000: "10K<n<100K", 1_000_000: "100K<n<1M", 10_000_000: "1M<n<10M"}


def dataset_card(
    spec: GenerateSpec,
    provenance: Provenance,
    tally: Tally,
    view: DataView,
    privacy: Mapping[str, Any] | None = None,
) -> str:
    """The card as Markdown; the same dataset always gives the same text.

    Args:
        spec: of the job.
        provenance: of the job.
        tally: over the shards.
        view: what `data/` holds.
        privacy: what a test against training data found; None where there was none.
    """
    # Markdown, not HTML: escaping of <, > and & would show.
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        undefined=StrictUndefined,
        autoescape=False,  # noqa: S701
        keep_trailing_newline=True,
    )
    environment.filters["cell"] = _cell
    return environment.get_template("dataset_card.md.j2").render(
        provenance=provenance,
        sampling=spec.sampling,
        dicom=spec.output.dicom,
        tally=tally,
        view=view,
        domains=tally.by_domain(),
        privacy=privacy,
        columns=columns(provenance),
        license=_license(provenance),
        size_category=_size_category(view.rows),
        software=f"{SOFTWARE} {SOFTWARE_VERSION}",
        intended_use=INTENDED_USE,
    )


def _license(provenance: Provenance) -> str:
    """Phantom pairs come under the license of this software; of others only the checkpoint's terms are known."""
    return "apache-2.0" if provenance.phantom else "other"


def _size_category(rows: int) -> str:
    """The size in Hugging Face's words."""
    return next((name for limit, name in _SIZES.items() if rows < limit), "n>10M")


def _cell(text: str) -> str:
    """Text that stays within a cell of a Markdown table."""
    return " ".join(text.split()).replace("|", "\\|")
