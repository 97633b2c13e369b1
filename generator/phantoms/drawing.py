"""Raster primitives in plain numpy: soft masks from signed distances, strokes, smooth textures, packing to bytes."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

Plane = NDArray[np.float32]
Field = NDArray[np.floating[Any]]


def plane(values: Field | NDArray[np.bool_]) -> Plane:
    """The values as a float32 plane."""
    return np.asarray(values, dtype=np.float32)


def grid(size: int, extent: float) -> tuple[Plane, Plane]:
    """Pixel-centre coordinates (u to the right, v downwards) of a `size`-pixel square `extent` wide, centred on 0."""
    axis = ((np.arange(size) + 0.5) / size - 0.5) * extent
    u, v = np.meshgrid(axis.astype(np.float32), axis.astype(np.float32))
    return u, v


def inside(distance: Field, softness: float) -> Plane:
    """1 where the signed distance is positive, 0 where negative, a ramp `softness` wide between."""
    return plane(np.clip(distance / softness + np.float32(0.5), 0.0, 1.0))


def bump(distance: Field, width: float) -> Plane:
    """A Gaussian ridge along the zero line of `distance`."""
    scaled = distance / width
    return plane(np.exp(-scaled * scaled))


def stroke_distance(u: Field, v: Field, points: Sequence[tuple[float, float]]) -> Plane:
    """The distance of every pixel to the polyline through `points`, in the units of the grid."""
    nearest = np.full(u.shape, np.inf, dtype=np.float32)
    for (u0, v0), (u1, v1) in pairwise(points):
        du, dv = u1 - u0, v1 - v0
        along = np.clip(((u - u0) * du + (v - v0) * dv) / max(du * du + dv * dv, 1e-6), 0.0, 1.0)
        nearest = np.minimum(nearest, np.hypot(u - u0 - along * du, v - v0 - along * dv))
    return plane(nearest)


def bezier(points: Sequence[tuple[float, float]], count: int = 16) -> list[tuple[float, float]]:
    """`count` points along the cubic Bezier curve of four control points."""
    (a, b), (c, d), (e, f), (g, h) = points
    curve = []
    for step in range(count):
        t = step / (count - 1)
        w0, w1, w2, w3 = (1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t * t * (1 - t), t**3
        curve.append((w0 * a + w1 * c + w2 * e + w3 * g, w0 * b + w1 * d + w2 * f + w3 * h))
    return curve


def smooth_noise(rng: np.random.Generator, size: int, cells: int) -> Plane:
    """A smooth periodic texture in about -1..1 with features `size / cells` pixels wide."""
    coarse = rng.standard_normal((cells, cells)).astype(np.float32)
    place = np.arange(size) * cells / size
    low = place.astype(np.int64)
    part = (place - low).astype(np.float32)
    part = part * part * (3 - 2 * part)
    high = (low + 1) % cells
    rows = coarse[low] * (1 - part)[:, None] + coarse[high] * part[:, None]
    texture = rows[:, low] * (1 - part) + rows[:, high] * part
    return plane(np.clip(texture / 1.6, -1.0, 1.0))


def shifted(image: Plane, down: int, right: int) -> Plane:
    """The image moved by whole pixels, its border repeated into the gap."""
    rows = np.clip(np.arange(image.shape[0]) - down, 0, image.shape[0] - 1)
    columns = np.clip(np.arange(image.shape[1]) - right, 0, image.shape[1] - 1)
    return image[rows[:, None], columns[None, :]]


def to_bytes(image: Field) -> NDArray[np.uint8]:
    """Grey levels 0..1 as bytes."""
    return np.asarray(np.rint(np.clip(image, 0.0, 1.0) * 255.0), dtype=np.uint8)
