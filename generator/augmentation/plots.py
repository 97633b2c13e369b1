"""The plot of an augmentation experiment: macro F1 by arm, and what synthetic pairs change for each finding."""

from __future__ import annotations

from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from medim_forge.generator.augmentation.tables import TITLES, Outcome
from medim_forge.generator.metrics import Estimate, macro_f1

INK, DOT, GAIN = "#22313f", "#9fb3c8", "#b5442e"


def write_plot(path: Path, outcome: Outcome, title: str) -> None:
    """A PNG with the same bytes for the same outcome and library versions."""
    figure = Figure(figsize=(11, 0.4 * len(outcome.findings) + 1.8), layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2)
    figure.suptitle(title)
    plot_arms(left, outcome)
    if "real_synthetic" in outcome.arms:
        plot_gains(right, outcome)
    else:
        right.set_axis_off()
    figure.savefig(path, dpi=110, metadata={"Software": None})


def plot_arms(axes: Axes, outcome: Outcome) -> None:
    """Macro F1 by arm: interval in ink, repetitions as dots."""
    for at, (arm, result) in enumerate(outcome.arms.items()):
        dots = [macro_f1(outcome.true, predicted) for predicted in result.predicted]
        axes.plot(dots, [at + 0.15] * len(dots), "o", color=DOT, markersize=4)
        bar(axes, at, outcome.macro(arm), INK)
    axes.set_yticks(range(len(outcome.arms)), [TITLES[arm] for arm in outcome.arms])
    axes.invert_yaxis()
    axes.set_xlabel("macro F1, 95 % interval; dots: repetitions")
    axes.grid(axis="x", alpha=0.3)


def plot_gains(axes: Axes, outcome: Outcome) -> None:
    """Change of F1 by finding from real only to real + synthetic, and of their mean."""
    gain = outcome.gain("real_synthetic", "real")
    names = [*outcome.findings, "macro"]
    values = [*(gain.finding(at) for at in range(len(outcome.findings))), gain.macro()]
    for at, one in enumerate(values):
        bar(axes, at, one, GAIN if names[at] == "macro" else INK)
    axes.axvline(0, color=DOT, linewidth=1)
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.set_xlabel("change of F1 by synthetic pairs, 95 % interval")
    axes.grid(axis="x", alpha=0.3)


def bar(axes: Axes, at: int, one: Estimate, colour: str) -> None:
    """A point with its interval on line `at`."""
    axes.plot([one.low, one.high], [at, at], "-", color=colour, linewidth=2)
    axes.plot([one.value], [at], "D", color=colour, markersize=5)
