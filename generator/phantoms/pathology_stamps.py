"""The fixed shapes a stylised H&E patch is assembled from, as coverage and stain maps computed once per process.

A stamp is a small square of pixels; its values are coverage in [0, 1] or stain amounts (dimensionless, 1 = a full
nucleus). Every stamp fills whole 8 px cells, so the same shape always yields the same image tokens.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Field = NDArray[np.float32]

CELL = 8
CELLS = 12
SIZE = CELL * CELLS


@dataclass(frozen=True)
class Stamp:
    """A patch of tissue: `alpha` says how much it replaces what lies under it, the rest is what it puts there."""

    alpha: Field
    hematoxylin: Field
    eosin: Field
    grey: Field
    clear: Field


def axes(size: int) -> tuple[Field, Field]:
    """Pixel centres of a square of `size` px relative to its middle, as (x, y) grids [size, size] in px."""
    line = (np.arange(size, dtype=np.float32) + 0.5) - size / 2
    x, y = np.meshgrid(line, line)
    return x, y


def soft(distance: Field, width: float = 1.2) -> Field:
    """Coverage of the region where `distance` (px, negative inside) is below zero, with an edge `width` px wide."""
    coverage: Field = np.clip(0.5 - distance / np.float32(width), 0, 1).astype(np.float32)
    return coverage


def ellipse(size: int, half: tuple[float, float], degrees: float, shift: tuple[float, float] = (0, 0)) -> Field:
    """Coverage [size, size] of an ellipse with half axes `half` px, turned by `degrees` and moved by `shift` px."""
    x, y = axes(size)
    x, y = x - shift[0], y - shift[1]
    turn = np.deg2rad(degrees)
    u, v = x * np.cos(turn) + y * np.sin(turn), -x * np.sin(turn) + y * np.cos(turn)
    return soft((np.hypot(u / half[0], v / half[1]) - 1) * min(half))


def blob(size: int, radius: float, wobble: tuple[float, float, float]) -> Field:
    """Coverage [size, size] of a disc of `radius` px with a boundary of 2, 3 and 5 lobes; `wobble` in radians."""
    x, y = axes(size)
    angle = np.arctan2(y, x)
    lobes = sum(a * np.cos(k * angle + w) for k, a, w in zip((2, 3, 5), (0.13, 0.11, 0.05), wobble, strict=True))
    return soft((np.hypot(x, y) - radius * (1 + lobes)).astype(np.float32))


@lru_cache(maxsize=1)
def small_nuclei() -> tuple[Field, ...]:
    """Hematoxylin maps [8, 8] of the uniform nuclei: some orientations, moved by about a pixel off the cell centre."""
    oval, plump, even = (3.0, 1.9), (3.0, 2.3), (2.4, 2.3)
    shapes = (
        (oval, 20, (0.8, 1.1)),
        (oval, 65, (-1.0, 0.5)),
        (oval, 100, (1.2, -0.5)),
        (oval, 160, (-0.4, -1.4)),
        (plump, 145, (0.4, -1.0)),
        (plump, 75, (-0.9, -0.6)),
        (even, 0, (1.2, 0.9)),
        (even, 0, (-0.8, 1.2)),
    )
    return tuple(_rimmed(ellipse(CELL, *shape)) * np.float32(0.64) for shape in shapes)


@lru_cache(maxsize=4)
def spindle_nuclei(degrees: int) -> tuple[Field, ...]:
    """Hematoxylin maps [8, 8] of the thin nuclei that lie along collagen running at `degrees`."""
    turn = np.deg2rad(degrees)
    shifts = ((0.9 * np.cos(turn + k), 0.9 * np.sin(turn + k)) for k in (0.6, 3.9))
    return tuple(ellipse(CELL, (3.2, 1.4), degrees, shift) * np.float32(0.74) for shift in shifts)


@lru_cache(maxsize=1)
def odd_nuclei() -> tuple[Field, ...]:
    """Hematoxylin maps [8, 8] of the smaller dark, irregular nuclei of a pleomorphic patch."""
    wobbles = ((0.4, 2.0, 2.0), (2.2, 4.2, 0.5), (3.6, 0.1, 1.5))
    return tuple(_rimmed(blob(CELL, 3.1, wobble)) * np.float32(0.98) for wobble in wobbles)


@lru_cache(maxsize=1)
def giant_nuclei() -> tuple[Field, ...]:
    """Hematoxylin maps [16, 16] of the giant nuclei of a pleomorphic patch, with clumped chromatin and nucleoli."""
    x, y = axes(2 * CELL)
    clumps = 1 + 0.16 * np.cos(1.25 * x + 0.4) * np.cos(1.25 * y)
    found = []
    for wobble, eye in (((0.5, 2.6, 2.4), (1.5, -1.0)), ((2.6, 4.6, 0.3), (-1.5, 1.0)), ((4.4, 0.2, 1.1), (0.5, 1.8))):
        body = _rimmed(blob(2 * CELL, 6.1, wobble)) * clumps * 0.92
        found.append((body + 0.55 * ellipse(2 * CELL, (1.5, 1.5), 0, eye)).astype(np.float32))
    return tuple(found)


def _rimmed(body: Field) -> Field:
    """The same nucleus with a paler middle, the way a nuclear membrane looks under the microscope."""
    x, y = axes(body.shape[0])
    core = np.exp(-(x**2 + y**2) / (0.06 * body.shape[0] ** 2))
    rimmed: Field = (body * (1.08 - 0.3 * core)).astype(np.float32)
    return rimmed


@lru_cache(maxsize=2)
def gland(cells: int) -> Stamp:
    """A gland of `cells` x `cells` cells: white lumen, pale cytoplasm, a ring of dark nuclei, basement membrane."""
    size = cells * CELL
    x, y = axes(size)
    radius, angle = np.hypot(x, y), np.arctan2(y, x)
    outer = size / 2 - 0.6
    ring, lumen = outer - 2.9, outer - (7.2 if cells == 4 else 6.4)
    count = 16 if cells == 4 else 12
    along = (np.mod(angle * count / (2 * np.pi), 1) - 0.5) * 2 * np.pi / count * ring
    nuclei = soft((np.hypot((radius - ring) / 2.5, along / 1.75) - 1).astype(np.float32) * 1.75)
    rim = np.exp(-(((radius - outer + 0.3) / 0.7) ** 2))
    return Stamp(
        alpha=soft((radius - outer).astype(np.float32)),
        hematoxylin=(0.10 + 0.92 * nuclei).astype(np.float32),
        eosin=(0.26 + 0.16 * rim - 0.1 * nuclei).astype(np.float32),
        grey=np.zeros((size, size), np.float32),
        clear=soft((radius - lumen).astype(np.float32), 1.6),
    )


@lru_cache(maxsize=2)
def necrosis(shape: int) -> Stamp:
    """Dead tissue over 6 x 6 cells: a dusty blue-grey field with ghosts of nuclei and a smooth outline."""
    size = 6 * CELL
    body = soft(_outline(size, 20.5, ((0.3, 1.2, 2.0), (2.0, 2.9, 0.6))[shape]), 3.0)
    ghosts = np.tile(ellipse(CELL, (2.4, 2.4), 0), (6, 6))
    return Stamp(
        alpha=body,
        hematoxylin=(0.15 + 0.07 * ghosts).astype(np.float32),
        eosin=np.full((size, size), 0.10, np.float32),
        grey=np.full((size, size), 0.10, np.float32),
        clear=np.zeros((size, size), np.float32),
    )


def _outline(size: int, radius: float, wobble: tuple[float, float, float]) -> Field:
    """Signed distance (px, negative inside) to a large smooth outline, [size, size]."""
    x, y = axes(size)
    angle = np.arctan2(y, x)
    lobes = sum(a * np.cos(k * angle + w) for k, a, w in zip((2, 3, 4), (0.06, 0.06, 0.03), wobble, strict=True))
    distance: Field = (np.hypot(x, y) - radius * (1 + lobes)).astype(np.float32)
    return distance


@lru_cache(maxsize=2)
def lymphocytes(shape: int) -> Stamp:
    """An aggregate of small round dark cells over 4 x 4 cells, packed at a pitch of 4 px."""
    size = 4 * CELL
    field = np.zeros((size, size), np.float32)
    x, y = axes(size)
    for row in range(8):
        for column in range(8):
            wobble = np.sin(2.4 * row + 1.7 * column + shape), np.cos(1.9 * row - 2.3 * column + shape)
            cx, cy = (column - 3.5) * 4 + 0.5 * wobble[0], (row - 3.5) * 4 + 0.5 * wobble[1]
            if np.hypot(cx, cy) <= 15.2 + 0.8 * np.cos(3 * np.arctan2(cy, cx) + 2 * shape):
                field = np.maximum(field, soft((np.hypot(x - cx, y - cy) - 1.75).astype(np.float32), 1.0))
    return Stamp(
        alpha=soft((np.hypot(x, y) - 14.5).astype(np.float32), 4.0),
        hematoxylin=(0.10 + 1.1 * field).astype(np.float32),
        eosin=np.full((size, size), 0.14, np.float32),
        grey=(0.12 * field).astype(np.float32),
        clear=np.zeros((size, size), np.float32),
    )


@lru_cache(maxsize=2)
def mitosis(degrees: int) -> Stamp:
    """A dividing cell in one lattice cell: a black chromosome plate across a cleared white halo."""
    bar = ellipse(CELL, (3.2, 1.2), degrees)
    return Stamp(
        alpha=ellipse(CELL, (4.3, 4.3), 0),
        hematoxylin=(1.3 * bar).astype(np.float32),
        eosin=np.full((CELL, CELL), 0.02, np.float32),
        grey=(0.75 * bar).astype(np.float32),
        clear=np.zeros((CELL, CELL), np.float32),
    )


@lru_cache(maxsize=4)
def stroma(collagen: int) -> Field:
    """Eosin map [96, 96] of the matrix: `collagen` 0 is loose and pale, 1 to 3 are bands at 0, 45 and 135 degrees."""
    y, x = np.mgrid[0:SIZE, 0:SIZE].astype(np.float32) + np.float32(0.5)
    step = np.float32(2 * np.pi / 16)
    if collagen == 0:
        weave = np.sin(step * (x + 3 * np.sin(step * y))) * np.sin(step * (y + 2 * np.sin(step * x)))
        loose: Field = (0.215 + 0.022 * weave).astype(np.float32)
        return loose
    across = {
        1: y + 1.8 * np.sin(step * x),
        2: x - y + 1.4 * np.sin(step * (x + y)),
        3: x + y + 1.4 * np.sin(step * (x - y)),
    }[collagen]
    bands = np.tanh(1.6 * np.sin(step * across)) + 0.3 * np.sin(3 * step * across)
    dense: Field = (0.37 + 0.13 * bands).astype(np.float32)
    return dense
