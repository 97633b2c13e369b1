"""The same anatomy from another machine: pose, blur, contrast and noise of an image changed as a spec says."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from medim_forge.generator.jobspec.augment import ShiftSection

Levels = NDArray[np.float64]


def acquire(image: NDArray[np.uint8], shift: ShiftSection, random: np.random.Generator) -> NDArray[np.uint8]:
    """The image as the shifted acquisition shows it; the findings stay what they were.

    Args:
        image: uint8 [H, W] or [H, W, C].
        shift: largest changes; pose is drawn uniformly within them.
        random: of pose and noise.

    Returns:
        uint8 of the same shape.
    """
    level = image.astype(np.float64)
    level = posed(level, shift, random)
    level = blurred(level, shift.blur)
    level = level.mean() + shift.contrast * (level - level.mean())
    level = level + shift.noise * random.standard_normal(level.shape)
    pixels: NDArray[np.uint8] = np.clip(np.rint(level), 0, 255).astype(np.uint8)
    return pixels


def posed(level: Levels, shift: ShiftSection, random: np.random.Generator) -> Levels:
    """Turned, moved and resized about the centre, bilinear; what comes from outside repeats the border."""
    height, width = level.shape[:2]
    # Where each pixel comes from: the inverse of the pose, about the centre of the image.
    turn, down, right, size = random.uniform(-1, 1, 4)
    angle = np.deg2rad(turn * shift.rotation)
    scale = 1 / (1 + size * shift.zoom)
    rows, columns = np.indices((height, width), dtype=np.float64)
    y = rows - (height - 1) / 2 - down * shift.translation * height
    x = columns - (width - 1) / 2 - right * shift.translation * width
    source_y = scale * (np.cos(angle) * y - np.sin(angle) * x) + (height - 1) / 2
    source_x = scale * (np.sin(angle) * y + np.cos(angle) * x) + (width - 1) / 2
    return bilinear(level, source_y.clip(0, height - 1), source_x.clip(0, width - 1))


def bilinear(level: Levels, y: Levels, x: Levels) -> Levels:
    """The image at fractional positions [H, W] inside it."""
    top, left = np.floor(y).astype(np.intp), np.floor(x).astype(np.intp)
    bottom, right = np.minimum(top + 1, level.shape[0] - 1), np.minimum(left + 1, level.shape[1] - 1)
    # Weights of the lower and the right neighbour, with an axis for channels where there are any.
    trailing = (1,) * (level.ndim - 2)
    down, across = (y - top).reshape(*y.shape, *trailing), (x - left).reshape(*x.shape, *trailing)
    upper = level[top, left] * (1 - across) + level[top, right] * across
    lower = level[bottom, left] * (1 - across) + level[bottom, right] * across
    mixed: Levels = upper * (1 - down) + lower * down
    return mixed


def blurred(level: Levels, sigma: float) -> Levels:
    """Convolved with a Gaussian of `sigma` pixels along rows and columns; the border repeats."""
    if sigma == 0:
        return level
    reach = int(np.ceil(3 * sigma))
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    kernel /= kernel.sum()
    for axis in (0, 1):
        pad = [(reach, reach) if padded == axis else (0, 0) for padded in range(level.ndim)]
        windows = np.lib.stride_tricks.sliding_window_view(np.pad(level, pad, mode="edge"), len(kernel), axis=axis)
        level = windows @ kernel
    return level
