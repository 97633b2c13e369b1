"""What is written down of every step: `metrics.jsonl`, TensorBoard's events where it is installed, and a plot.

One line per step, and one per look at held-out pairs. A run that goes on cuts the file back to its restart point, so
that no step stands in it twice.
"""

from __future__ import annotations

import io
import json
import os
import resource
import sys
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Self

import torch

from medim_forge.generator.training.placing import place_file

METRICS, PLOT = "metrics.jsonl", "metrics.png"


class Metrics:
    """The metrics of one training.

    Args:
        folder: of the training.
        kept: bytes of `metrics.jsonl` that are of the restart point; what is behind them is cut off.
        step: finished steps of the restart point.
    """

    def __init__(self, folder: Path, kept: int, step: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._file = (folder / METRICS).open("ab")
        if self._file.tell() > kept:
            self._file.truncate(kept)
            self._file.seek(0, os.SEEK_END)
        self._events: Any = None
        if find_spec("tensorboard"):
            from torch.utils.tensorboard import SummaryWriter

            self._events = SummaryWriter(str(folder / "tensorboard"), purge_step=step)

    def write(self, step: int, values: Mapping[str, Any]) -> None:
        """The values of a step are in the file, a line of its own, and out of this process."""
        self._file.write(json.dumps({"step": step, **values}).encode() + b"\n")
        self._file.flush()
        if self._events is not None:
            for name, value in _numbers(values):
                self._events.add_scalar(name, value, step)

    def kept(self) -> int:
        """Bytes written so far, all of them on disk."""
        os.fsync(self._file.fileno())
        return self._file.tell()

    def __enter__(self) -> Self:
        """These metrics, whose files are closed afterwards."""
        return self

    def __exit__(self, *_: object) -> None:
        """The files are closed."""
        self._file.close()
        if self._events is not None:
            self._events.close()


def _numbers(values: Mapping[str, Any], prefix: str = "") -> list[tuple[str, float]]:
    found: list[tuple[str, float]] = []
    for name, value in values.items():
        if isinstance(value, Mapping):
            found += _numbers(value, f"{prefix}{name}/")
        elif isinstance(value, int | float):
            found.append((prefix + name, float(value)))
    return found


def read_metrics(folder: Path) -> list[dict[str, Any]]:
    """The lines of a training's metrics; a last one that is being written is left out."""
    path = folder / METRICS
    if not path.exists():
        return []
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    return [json.loads(line) for line in lines if line.endswith("\n")]


def peak_memory(device: torch.device) -> int:
    """The most bytes that were in use: of the device, or of this process."""
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def draw_plot(folder: Path) -> None:
    """`metrics.png` in the folder shows the losses of both sides, of held-out pairs, and the norm of the gradient."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    lines = read_metrics(folder)
    steps = [line for line in lines if "loss" in line]
    looks = [line for line in lines if "held_out" in line]
    figure, (losses, norms) = pyplot.subplots(2, 1, figsize=(8, 7), sharex=True, constrained_layout=True)
    for name in ("report", "image"):
        losses.plot([line["step"] for line in steps], [line[name] for line in steps], linewidth=0.6, label=name)
    for name in sorted({name for line in looks for name in line["held_out"]}):
        losses.plot(*_column(looks, name), marker=".", label=f"{name}, held out")
    norms.plot([line["step"] for line in steps], [line["gradient_norm"] for line in steps], linewidth=0.6)
    losses.set_ylabel("nats per token")
    norms.set_ylabel("norm of the gradient")
    norms.set_xlabel("step")
    losses.legend()
    drawn = io.BytesIO()
    figure.savefig(drawn, format="png", dpi=100, metadata={"Software": None})
    pyplot.close(figure)
    place_file(folder / PLOT, lambda file: file.write(drawn.getvalue()))


def _column(lines: Sequence[Mapping[str, Any]], name: str) -> tuple[list[int], list[float]]:
    return [line["step"] for line in lines], [line["held_out"][name] for line in lines]
