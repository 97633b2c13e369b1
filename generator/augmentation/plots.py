"""The plot of an augmentation experiment: macro F1 by arm, and what synthetic pairs change for each finding."""

from __future__ import annotations

from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from medim_forge.generator.augmentation.tables import TITLES, Comparison
from medim_forge.generator.metrics import Estimate, macro_f1

INK, DOT, GAIN = "#22313f", "#9fb3c8", "#b5442e"


def write_plot(path: Path, comparison: Comparison, title: str) -> None:
    """A PNG with the same bytes for the same comparison and library versions."""
    figure = Figure(figsize=(11, 0.4 * len(comparison.findings) + 1.8), layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2)
    figure.suptitle(title)
    plot_arms(left, comparison)
    if "real_synthetic" in comparison.arms:
        plot_gains(right, comparison)
    else:
        right.set_axis_off()
    figure.savefig(path, format="png", dpi=110, metadata={"Software": None})


def plot_arms(axes: Axes, comparison: Comparison) -> None:
    """Macro F1 by arm: interval in ink, repetitions as dots."""
    for at, (arm, result) in enumerate(comparison.arms.items()):
        dots = [macro_f1(comparison.true, predicted) for predicted in result.predicted]
        axes.plot(dots, [at + 0.15] * len(dots), "o", color=DOT, markersize=4)
        bar(axes, at, comparison.macro(arm), INK)
    axes.set_yticks(range(len(comparison.arms)), [TITLES[arm] for arm in comparison.arms])
    axes.invert_yaxis()
    axes.set_xlabel("macro F1, 95 % interval; dots: repetitions")
    axes.grid(axis="x", alpha=0.3)


def plot_gains(axes: Axes, comparison: Comparison) -> None:
    """Change of F1 by finding from real only to real + synthetic, and of their mean."""
    gain = comparison.gain("real_synthetic", "real")
    names = [*comparison.findings, "macro"]
    values = [*(gain.finding(at) for at in range(len(comparison.findings))), gain.macro()]
    for at, estimate in enumerate(values):
        bar(axes, at, estimate, GAIN if names[at] == "macro" else INK)
    axes.axvline(0, color=DOT, linewidth=1)
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.set_xlabel("change of F1 by synthetic pairs, 95 % interval")
    axes.grid(axis="x", alpha=0.3)


def bar(axes: Axes, at: int, estimate: Estimate, colour: str) -> None:
    """A point with its interval on line `at`."""
    axes.plot([estimate.low, estimate.high], [at, at], "-", color=colour, linewidth=2)
    axes.plot([estimate.value], [at], "D", color=colour, markersize=5)
