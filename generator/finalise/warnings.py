"""What a person should know before using a dataset, in one line each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

from medim_forge.generator.dataset import Provenance
from medim_forge.generator.finalise.tally import Tally
from medim_forge.generator.finalise.uneven import uneven_losses
from medim_forge.generator.finalise.view import DataView
from medim_forge.generator.plan import Plan
from medim_forge.generator.plan.strata import quota_results
from medim_forge.generator.selection import Calibration
from medim_forge.generator.selection.policy import least_controls


def warnings(
    plan: Plan, view: DataView, calibration: Mapping[str, Calibration], tally: Tally, provenance: Provenance
) -> list[str]:
    """All of them, in the order in which they are shown.

    Args:
        plan: with the filters and quotas that are in force.
        view: what `data/` holds.
        calibration: what mismatched pairs say, by domain.
        tally: over the shards.
        provenance: of the job.
    """
    return [
        *_unbounded(calibration),
        *(
            f"quota {quota.name}: {quota.data} of {quota.kept} pairs"
            for quota in quota_results(plan, view.strata)
            if not quota.met
        ),
        # What the shards dropped does not count where other filters decide anew.
        *uneven_losses(tally.judged, view.dropped if view.decided_anew else tally.dropped + Counter(view.dropped)),
        *_missing(plan, view),
        *_unlike_training(plan, tally, provenance),
        *_of_somebody(plan),
    ]


def _of_somebody(plan: Plan) -> Iterator[str]:
    """Given images that say of themselves that they may be somebody's, unless the job allows them."""
    words = {
        "burned_in": "say that words are burned into them, and what was made of them may show names",
        "identified": "say that they name their patient, so what was made of them is about somebody",
    }
    for key, said in words.items():
        count = (plan.inputs or {}).get(key, 0)
        if count and getattr(plan.spec.inputs, key, "allow") != "allow":
            yield f"{count} given images {said}"


def _unlike_training(plan: Plan, tally: Tally, provenance: Provenance) -> Iterator[str]:
    """Given sides that the checkpoint knows nothing of."""
    side = "images" if provenance.image != "generated" else "reports"
    if tally.novel:
        judged = any(section.name == "novelty" and section.drop_above is not None for section in plan.spec.filters)
        hint = "" if judged else "; the filter novelty with drop_above: 1 drops such pairs"
        yield (
            f"{tally.novel} of {tally.measured} given {side} are unlike all that the checkpoint was trained on "
            f"(novelty above 1), and what it made of them means little{hint}"
        )
    if provenance.given and not tally.measured and tally.counts.kept + tally.counts.dropped:
        yield (
            f"whether the given {side} are like what the checkpoint was trained on was not measured, because its "
            "folder has no familiarity.json"
        )


def _unbounded(calibration: Mapping[str, Calibration]) -> Iterator[str]:
    """False-positive rates that too few controls leave without a bound."""
    for domain, found in calibration.items():
        if found.bound is None:
            yield (
                f"agreement: options.max_false_positives sets no bound for {domain}: {found.controls} mismatched pairs "
                f"could be scored, and a share of {found.rate:g} needs {least_controls(found.rate)}"
            )


def _missing(plan: Plan, view: DataView) -> Iterator[str]:
    """Pairs that should be there and are not."""
    again = any(section.action == "regenerate" for section in plan.spec.filters)
    quotas = plan.spec.balance.quotas if plan.spec.balance else ()
    # Where quotas say how many pairs are wanted, a planned pair of its own is not asked for.
    wanted = again and all(quota.kept is None for quota in quotas)
    if wanted and view.places < plan.planned:
        yield (
            f"data/ lacks {plan.planned - view.places} of {plan.planned} planned pairs: every try at them was dropped, "
            "left out or quarantined, or the budget ended"
        )
    if view.rows == 0:
        yield (
            "data/ is empty: every pair was dropped, left out or quarantined; datasets.load_dataset takes it with "
            "streaming=True alone"
        )
    if view.unwritable > 0:
        yield f"{view.unwritable} pairs that the filters would take back cannot be written as DICOM and stay out"
