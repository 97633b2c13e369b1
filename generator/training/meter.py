"""How fast a training is, and how much of its device it uses."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import torch

from medim_forge.generator.training.metrics import Metrics, peak_memory
from medim_forge.generator.training.order import Order
from medim_forge.model.config import BackboneConfig
from medim_forge.model.cost import row_flops

# Floating point operations per second of dense bfloat16 products, as their makers state them.
PEAKS = MappingProxyType({"H200": 989e12, "H100": 989e12, "A100": 312e12, "L40S": 362e12, "L4": 121e12})
_GEMM = 768


@dataclass(frozen=True, kw_only=True)
class Work:
    """What a step of one worker is.

    Attributes:
        rows: of the worker.
        length: positions of a row.
        device: that it runs on.
        precision: of the products.
    """

    rows: int
    length: int
    device: torch.device
    precision: torch.dtype


class Meter:
    """How fast steps are, and how much of the device they use.

    Args:
        sizes: of the backbone.
        order: of the rows.
        metrics: what the figures are written into.
        work: what a step is.
    """

    def __init__(self, sizes: BackboneConfig, order: Order, metrics: Metrics, work: Work) -> None:
        self._order, self._metrics, self._work = order, metrics, work
        forward = row_flops(
            length=work.length,
            hidden_size=sizes.hidden_size,
            intermediate_size=sizes.intermediate_size,
            layers=sizes.layers,
            heads=sizes.heads,
            kv_heads=sizes.kv_heads,
            head_dim=sizes.head_dim,
        )
        # A backward pass costs two forward passes; what is computed again is no use.
        self._flops = 3 * forward * work.rows
        self._peak, what = achievable(work.device, work.precision)
        metrics.write(0, {"mfu_of": what, "flops_per_s": self._peak})

    def note(self, step: int, values: Mapping[str, float], seconds: float, waited: float) -> None:
        """A step's losses and speed are in the metrics."""
        self._metrics.write(
            step + 1,
            {
                **values,
                "rows_per_s": self._work.rows / seconds,
                "tokens_per_s": self._work.rows * self._work.length / seconds,
                "data_wait": waited / seconds,
                "mfu": self._flops / seconds / self._peak,
                "peak_memory_bytes": peak_memory(self._work.device),
                "epoch": self._order.epochs(step + 1),
            },
        )


def achievable(device: torch.device, dtype: torch.dtype) -> tuple[float, str]:
    """Floating point operations per second that utilisation is measured against, and what they are.

    A device whose peak is known has that; any other is measured by a product of two matrices, here and now.
    """
    if device.type == "cuda":
        name = torch.cuda.get_device_name(device)
        for known, peak in PEAKS.items():
            if known in name.replace("-", " ").split():
                return peak, f"bfloat16 peak of {known}"
    left = torch.ones(_GEMM, _GEMM, device=device, dtype=dtype)
    best = float("inf")
    for _ in range(3):
        began = time.perf_counter()
        _wait(left @ left)
        best = min(best, time.perf_counter() - began)
    return 2 * _GEMM**3 / best, f"{dtype} product of {_GEMM} x {_GEMM} matrices measured at the start".removeprefix(
        "torch."
    )


def _wait(product: torch.Tensor) -> None:
    """The product is there."""
    float(product[0, 0])
