"""The comparison that an augmentation experiment ends with, as tables and one sentence."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from medim_forge.generator.jobspec.augment import Arm
from medim_forge.generator.metrics import ArmDraws, Estimate, Labels, label_scores, resamples

MACRO = "macro"
TITLES: Mapping[Arm, str] = {
    "real": "real only",
    "real_synthetic": "real + synthetic",
    "real_shuffled": "real + shuffled synthetic",
    "real_duplicated": "real, duplicated",
}
REFERENCES: tuple[Arm, ...] = ("real", "real_duplicated")
# Fewer of either give intervals that are too narrow to be believed.
LEAST_REPETITIONS, LEAST_TEST_PAIRS = 4, 100
ON_PHANTOMS = "Here real images are phantoms that were acquired differently, not images of patients."
CSV_COLUMNS = ("arm", "train_pairs", "measure", "versus", "value", "low", "high")


@dataclass(frozen=True, kw_only=True)
class ArmResult:
    """All repetitions of one arm.

    Attributes:
        arm: which.
        train_pairs: what each classifier was trained on.
        predicted: bool [S, N, F], by repetition.
        draws: F1 by finding, on the data and in every bootstrap draw.
    """

    arm: Arm
    train_pairs: int
    predicted: NDArray[np.bool_]
    draws: ArmDraws


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """The arms of an experiment, with their predictions and what follows from them.

    Attributes:
        findings: names of the columns.
        true: bool [N, F], of the test set.
        arms: in the order of the spec.
    """

    findings: tuple[str, ...]
    true: Labels
    arms: Mapping[Arm, ArmResult]

    @classmethod
    def of(
        cls,
        findings: tuple[str, ...],
        true: Labels,
        predicted: Mapping[Arm, tuple[int, NDArray[np.bool_]]],
        *,
        draws: int,
        seed: int,
    ) -> Comparison:
        """The comparison of training sizes and predictions [S, N, F] by arm, all with the same bootstrap draws."""
        shape = next(iter(predicted.values()))[1].shape
        drawn = resamples(shape[0], shape[1], draws=draws, seed=seed)
        arms = {
            arm: ArmResult(arm=arm, train_pairs=pairs, predicted=made, draws=ArmDraws.of(true, made, drawn))
            for arm, (pairs, made) in predicted.items()
        }
        return cls(findings=findings, true=true, arms=arms)

    def macro(self, arm: Arm) -> Estimate:
        """Macro F1 of an arm."""
        return self.arms[arm].draws.macro()

    def gain(self, arm: Arm, versus: Arm) -> ArmDraws:
        """The paired difference of two arms."""
        return self.arms[arm].draws.minus(self.arms[versus].draws)


def write_runs(path: Path, comparison: Comparison) -> None:
    """`runs.parquet`: one row per arm and repetition."""
    rows = []
    for result in comparison.arms.values():
        for repetition, predicted in enumerate(result.predicted):
            scores = label_scores(comparison.true, predicted, comparison.findings)
            head = {"arm": result.arm, "repetition": repetition, "train_pairs": result.train_pairs}
            figures = {"macro_f1": scores.macro_f1, "micro_f1": scores.micro_f1, "exact": scores.exact}
            rows.append(head | figures | {f"f1_{name}": value for name, value in scores.f1.items()})
    pq.write_table(pa.Table.from_pylist(rows), path)


def estimates(comparison: Comparison) -> list[tuple[Arm, str, str, Estimate]]:
    """Arm, measure, what it is compared with (empty for the figure itself), and the estimate, in table order."""
    found: list[tuple[Arm, str, str, Estimate]] = []
    for arm in comparison.arms:
        references = [other for other in REFERENCES if other in comparison.arms and other != arm]
        compared = {"": comparison.arms[arm].draws} | {str(other): comparison.gain(arm, other) for other in references}
        for versus, draws in compared.items():
            found.append((arm, MACRO, versus, draws.macro()))
            found += [(arm, name, versus, draws.finding(at)) for at, name in enumerate(comparison.findings)]
    return found


def write_csv(path: Path, comparison: Comparison) -> None:
    """`summary.csv`: every estimate on a row of its own."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(CSV_COLUMNS)
        for arm, measure, versus, estimate in estimates(comparison):
            figures = [f"{figure:.4f}" for figure in (estimate.value, estimate.low, estimate.high)]
            writer.writerow([arm, comparison.arms[arm].train_pairs, measure, versus, *figures])


def markdown(comparison: Comparison, title: str, facts: Sequence[str]) -> str:
    """`summary.md`: the verdict, what was compared, macro F1 by arm and F1 by finding."""
    lines = [f"# {title}", "", verdict(comparison), "", *(f"- {fact}" for fact in facts), ""]
    found = {(arm, measure, versus): estimate for arm, measure, versus, estimate in estimates(comparison)}
    lines += ["| trained on | pairs | macro F1 | minus real only | minus duplicated real |", "|---|---|---|---|---|"]
    for arm, result in comparison.arms.items():
        cells = [shown(found.get((arm, MACRO, versus)), signed=bool(versus)) for versus in ("", *REFERENCES)]
        lines.append(f"| {TITLES[arm]} | {result.train_pairs} | {' | '.join(cells)} |")
    lines += ["", "| F1 | in test set | " + " | ".join(TITLES[arm] for arm in comparison.arms) + " |"]
    lines.append("|---" * (2 + len(comparison.arms)) + "|")
    for at, name in enumerate(comparison.findings):
        cells = [shown(found[arm, name, ""], signed=False) for arm in comparison.arms]
        lines.append(f"| {name} | {comparison.true[:, at].mean():.0%} | {' | '.join(cells)} |")
    note = "Brackets: 95 % bootstrap intervals over repetitions and test pairs, paired between arms; one synthetic set."
    return "\n".join([*lines, "", note, ""])


def shown(estimate: Estimate | None, *, signed: bool) -> str:
    """The estimate with its interval, as in `0.71 [0.68, 0.74]`; empty for none."""
    if estimate is None:
        return ""
    sign = "+" if signed else ""
    return f"{estimate.value:{sign}.3f} [{estimate.low:{sign}.3f}, {estimate.high:{sign}.3f}]"


def verdict(comparison: Comparison) -> str:
    """What was found, by a fixed rule, and on what kind of data.

    Synthetic pairs help when the 95 % intervals of their gains over every reference at hand (real only, duplicated
    real) lie above 0, and hurt when all of them lie below. Neither is said where the mismatched pairs do the same, or
    where there are too few repetitions or test pairs.
    """
    if "real_synthetic" not in comparison.arms:
        alone = shown(comparison.macro("real"), signed=False)
        return f"No arm holds synthetic pairs; real pairs alone score a macro F1 of {alone}. {ON_PHANTOMS}"
    references = [arm for arm in REFERENCES if arm in comparison.arms]
    gains = {arm: comparison.gain("real_synthetic", arm).macro() for arm in references}
    listed = ", ".join(f"{shown(gain, signed=True)} against {TITLES[arm]}" for arm, gain in gains.items())
    reached = shown(comparison.macro("real_synthetic"), signed=False)
    found = finding(comparison, list(gains.values()))
    return f"Synthetic pairs {found}: macro F1 {reached}, {listed}{shuffled_clause(comparison)}. {ON_PHANTOMS}"


def finding(comparison: Comparison, gains: Sequence[Estimate]) -> str:
    """What synthetic pairs do, in words, by their gains over the references."""
    repetitions, test_pairs = comparison.arms["real_synthetic"].predicted.shape[:2]
    if repetitions < LEAST_REPETITIONS or test_pairs < LEAST_TEST_PAIRS:
        return (
            f"are not judged, because {repetitions} repetitions and {test_pairs} test pairs are too few "
            f"({LEAST_REPETITIONS} and {LEAST_TEST_PAIRS} at least)"
        )
    helps, hurts = all(gain.low > 0 for gain in gains), all(gain.high < 0 for gain in gains)
    if not helps and not hurts:
        return "make no clear difference"
    if "real_shuffled" in comparison.arms:
        paired = comparison.gain("real_synthetic", "real_shuffled").macro()
        if paired.low <= 0 <= paired.high or (helps and paired.high < 0):
            return "make no difference that their pairing explains, because mismatched ones do the same"
    return "help" if helps else "hurt"


def shuffled_clause(comparison: Comparison) -> str:
    """What the negative control, the arm of mismatched pairs, adds to the verdict; empty without it."""
    if "real_shuffled" not in comparison.arms:
        return ""
    gain = comparison.gain("real_synthetic", "real_shuffled").macro()
    matters = "their pairing of image and report matters" if gain.low > 0 else "their pairing cannot be shown to matter"
    return f"; {matters} ({shown(gain, signed=True)} against shuffled reports)"
