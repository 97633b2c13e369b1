"""The dataset card: a README that Hugging Face reads too, and whose first lines say what of it is synthetic."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from medim_forge.generator.dataset import Provenance
from medim_forge.generator.dataset.claims import headline, side, synthetic_sides
from medim_forge.generator.dataset.provenance import INTENDED_USE, SOFTWARE, SOFTWARE_VERSION
from medim_forge.generator.dataset.schema import columns
from medim_forge.generator.domains import DOMAINS
from medim_forge.generator.finalise.tally import Acceptance, Tally, acceptance
from medim_forge.generator.finalise.view import DataView
from medim_forge.generator.finalise.warnings import warnings
from medim_forge.generator.jobspec import GenerateSpec
from medim_forge.generator.plan import Plan
from medim_forge.generator.plan.strata import quota_results
from medim_forge.generator.selection import Calibration
from medim_forge.generator.templates import render

_SIZES = {
    1_000: Markup("n<1K"),
    10_000: Markup("1K<n<10K"),
    100_000: Markup("10K<n<100K"),
    1_000_000: Markup("100K<n<1M"),
    10_000_000: Markup("1M<n<10M"),
}


def dataset_card(
    plan: Plan,
    ruled: Plan,
    provenance: Provenance,
    tally: Tally,
    view: DataView,
    calibration: Mapping[str, Calibration],
    privacy: Mapping[str, Any] | None = None,
) -> str:
    """The card as Markdown; the same dataset always gives the same text.

    Args:
        plan: of the job.
        ruled: the same with the filters and quotas that are in force.
        provenance: of the job.
        tally: over the shards.
        view: what `data/` holds.
        calibration: what mismatched pairs say, by domain.
        privacy: what a test against training data found; None where there was none.
    """
    return render(
        "dataset_card.md.j2",
        filters={"cell": _cell},
        provenance=provenance,
        headline=headline(provenance),
        origins={"image": side(provenance.image), "report": side(provenance.report)},
        kept_of_inputs=_kept_of_inputs(plan.spec),
        origin_tag=f"synthetic-{synthetic_sides(provenance)}s" if provenance.given else "synthetic",
        sampling=plan.spec.sampling,
        dicom=plan.spec.output.dicom,
        tally=tally,
        view=view,
        plan=plan,
        asked=_asked(plan),
        tags=[tag for domain in DOMAINS if domain in tally.by_domain() for tag in DOMAINS[domain].tags],
        refiltered=ruled is not plan,
        strata=_tables(acceptance(plan, tally, view.strata), provenance),
        quotas=quota_results(ruled, view.strata),
        calibration=calibration,
        warnings=warnings(ruled, view, calibration, tally, provenance),
        privacy=privacy,
        columns=columns(provenance),
        license=_license(provenance),
        license_name=_license_name(provenance),
        size_category=_size_category(view.rows),
        software=f"{SOFTWARE} {SOFTWARE_VERSION}",
        intended_use=INTENDED_USE,
    )


def _kept_of_inputs(spec: GenerateSpec) -> list[str]:
    """What the job keeps of its inputs beside their numbers and digests, in sentences: it may say who somebody is."""
    names = getattr(spec.inputs, "keep_names", False)
    columns = [f"`input_{name}`" for name in getattr(spec.inputs, "keep_columns", ())]
    return [
        *(["The column `source_name` holds the names of the inputs, which are often people's."] if names else []),
        *([f"Of the inputs' own table there are {_cell(', '.join(columns))}, as they were given."] if columns else []),
    ]


def _asked(plan: Plan) -> dict[str, str]:
    """What each entry of the prompts asks for, by position."""
    return {
        str(number): ", ".join(prompt.findings)
        or (prompt.text if prompt.text is not None else "its opening words")
        or "nothing"
        for number, prompt in enumerate(plan.spec.prompts)
    }


def _tables(rows: Sequence[Acceptance], provenance: Provenance) -> dict[str, list[Acceptance]]:
    """The strata by kind. Labels are left out for phantoms, of which findings say more."""
    kinds = ("prompt", "finding", *(() if provenance.phantom else ("label",)))
    tables = {kind: [row for row in rows if row.stratum.kind == kind] for kind in kinds}
    return {kind: table for kind, table in tables.items() if table}


def _license(provenance: Provenance) -> str:
    """Phantom pairs come under the license of this software, unless people gave a side, whose terms are not known."""
    return "apache-2.0" if provenance.phantom and not provenance.given else "other"


def _license_name(provenance: Provenance) -> str:
    """Whose terms decide where no license is known: first those of the side that people gave."""
    return "see-terms-of-given-data" if provenance.given else "see-training-data-terms"


def _size_category(rows: int) -> Markup:
    """The size in Hugging Face's words, which hold a `<` that is no markup."""
    return next((name for limit, name in _SIZES.items() if rows < limit), Markup("n>10M"))


def _cell(text: str) -> str:
    """Text that stays within a cell of a Markdown table."""
    return " ".join(text.split()).replace("|", "\\|")
