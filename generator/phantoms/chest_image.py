"""The drawing of one stylised chest radiograph: fixed anatomy, a heart, two lungs, and the findings."""

import numpy as np
from numpy.typing import NDArray

from medim_forge.generator.phantoms import anatomy, drawing
from medim_forge.generator.phantoms.anatomy import ON_LEFT, SIZE, U, V, W
from medim_forge.generator.phantoms.chest import ChestParams
from medim_forge.generator.phantoms.drawing import Field, Plane

# Grey levels 0..1 of the display.
_TISSUE, _LUNG, _FLUID, _AIR, _METAL = 0.62, 0.24, 0.80, 0.03, 1.0
_NOISE = 0.004
_CHEST_HALF_WIDTH = 12.6
_DOMES = {"right": 7.2, "left": 8.2}
_EFFUSION_TOP = {"small": 5.6, "moderate": 1.2, "large": -5.4}
_ZONE_AT = {"upper": (6.6, -7.6), "mid": (8.2, -1.2), "lower": (9.2, 4.0)}
_RADIUS = {"nodule": 1.6, "mass": 2.6}


def render(params: ChestParams, rng: np.random.Generator) -> NDArray[np.uint8]:
    """The radiograph of `params`, uint8 [96, 96]."""
    lung = _lungs(params)
    field = drawing.inside(lung, 0.7)
    image = _TISSUE * anatomy.BODY
    image = _blend(image, field, _lung_level(lung))
    image = image + field * (0.14 * anatomy.RIBS + 0.16 * anatomy.VESSELS)
    image = image + (1 - field) * anatomy.BODY * 0.03 * anatomy.RIBS
    image = _opacities(image, field, params, rng)
    image = _pneumothoraces(image, lung, field, params)
    image = _middle(image, params)
    image = image + 0.08 * anatomy.SCAPULAE[params.view] * anatomy.BODY
    image = _effusions(image, lung, params)
    image = image + 0.18 * anatomy.CLAVICLES[params.view]
    image = _devices(image, params)
    image = drawing.shifted(drawing.plane(image), params.shift_down, params.shift_right)
    image = np.maximum(image, 0.9 * anatomy.MARKERS[params.view])
    image = image + _NOISE * rng.standard_normal((SIZE, SIZE), dtype=np.float32)
    return drawing.to_bytes(image)


def _blend(image: Field, weight: Field, level: Field | float) -> Plane:
    return drawing.plane(image + weight * (level - image))


def _on(side: str) -> Plane:
    return drawing.plane(ON_LEFT if side == "left" else ~ON_LEFT)


def _lungs(params: ChestParams) -> Plane:
    """The distance inside either lung, cm."""
    right = anatomy.lung_distance(W, V, _DOMES["right"] + params.inspiration, girth=params.girth)
    left = anatomy.lung_distance(W, V, _DOMES["left"] + params.inspiration, girth=params.girth)
    return np.where(ON_LEFT, left, right)


def _lung_level(lung: Plane) -> Plane:
    """Darker where the lung is thick, with a slow gradient from top to bottom."""
    return drawing.plane(_LUNG + 0.10 * np.exp(-np.clip(lung, 0, None) / 1.2) + 0.0025 * (V + 3))


def _middle(image: Plane, params: ChestParams) -> Plane:
    """Mediastinum, heart, spine, airway and the stomach bubble."""
    image = _blend(image, anatomy.MEDIASTINUM * anatomy.BODY, 0.70)
    width = 2.0 * params.ctr * _CHEST_HALF_WIDTH * params.girth
    half, centre = width / 2, 0.16 * width
    tall = 2.6 + 0.26 * width
    middle = 8.3 + params.inspiration - 0.72 * tall
    sheared = V - middle - 0.30 * (U - centre)
    egg = 1.0 - np.hypot((U - centre) / half, sheared / tall)
    image = _blend(image, drawing.inside(egg * half, 0.7), 0.75)
    image = image + 0.08 * anatomy.SPINE * anatomy.BODY
    gas = 1.0 - np.hypot((U - 6.2) / 2.6, V - 11.9 - params.inspiration)
    bubble = drawing.inside(gas, 0.5)
    return drawing.plane(image - 0.24 * anatomy.AIRWAY * anatomy.BODY - 0.22 * bubble)


def _opacities(image: Plane, field: Plane, params: ChestParams, rng: np.random.Generator) -> Plane:
    """Edema, consolidation and nodule, each inside the lungs."""
    if params.edema:
        # the wings of a bat: densest at the hila, clear at apex, base and rim
        wing = np.hypot((W - 5.4) / 4.3, (V + 0.6) / 5.6)
        mottle = 1.0 + 0.10 * np.cos(2.3 * W) * np.cos(2.1 * V)
        image = _blend(image, field * (0.85 * np.exp(-(wing**4)) * mottle), 0.70)
    if params.consolidation:
        side, zone = params.consolidation.split()
        du, dv = _offset(side, zone, rng)
        texture = drawing.smooth_noise(rng, SIZE, 14)
        radius = 4.1 + float(rng.uniform(-0.3, 0.3)) + 1.1 * texture
        patch = np.exp(-((np.hypot(du * 1.05, dv) / radius) ** 4))
        image = _blend(image, field * (patch * (0.86 + 0.14 * texture)), 0.76)
    if params.nodule:
        size, side, zone = params.nodule.split()
        du, dv = _offset(side, zone, rng)
        disc = _RADIUS[size] * float(rng.uniform(0.96, 1.04)) - np.hypot(du, dv)
        image = _blend(image, drawing.inside(disc, 0.45), 0.86)
    return image


def _offset(side: str, zone: str, rng: np.random.Generator) -> tuple[Plane, Plane]:
    """Where each pixel lies from a zone's centre, itself moved by less than a pixel and a half."""
    w, v = _ZONE_AT[zone]
    sign = 1.0 if side == "left" else -1.0
    move_u, move_v = rng.uniform(-0.5, 0.5, size=2)
    return drawing.plane(U - sign * w - move_u), drawing.plane(V - v - move_v)


def _pneumothoraces(image: Plane, lung: Plane, field: Plane, params: ChestParams) -> Plane:
    """Black air outside a shrunken lung whose edge is a bright line."""
    for side, size in (("right", params.pneumothorax_right), ("left", params.pneumothorax_left)):
        if not size:
            continue
        shrunk = _collapsed(side, size, params)
        here = field * _on(side)
        image = _blend(image, here * drawing.inside(-shrunk, 0.4), _AIR)
        if size == "large":
            image = _blend(image, here * drawing.inside(shrunk, 0.4), 0.38)
        image = _blend(image, here * drawing.bump(shrunk, 0.34) * drawing.inside(lung - 0.3, 0.4), 0.88)
    return image


def _collapsed(side: str, size: str, params: ChestParams) -> Plane:
    """The distance inside the shrunken lung, cm: a smaller lung, or a stump around the hilum."""
    if size == "small":
        dome = _DOMES[side] + params.inspiration
        return anatomy.lung_distance(W, V, dome, anatomy.APEX + 2.4, params.girth, 0.74)
    stump = 1.0 - np.hypot((W - 3.4) / 3.7, (V - 0.4 - 0.25 * (W - 3.4)) / 6.2)
    return drawing.plane(3.7 * stump)


def _effusions(image: Plane, lung: Plane, params: ChestParams) -> Plane:
    """Fluid up to a level that climbs towards the chest wall."""
    for side, size in (("right", params.effusion_right), ("left", params.effusion_left)):
        if not size:
            continue
        level = _EFFUSION_TOP[size] + 0.028 * np.clip(12.6 - W, 0, None) ** 2
        below = drawing.inside(V - level, 0.9)
        chest = drawing.inside(lung + 0.6, 0.8)
        image = _blend(image, below * chest * _on(side), _FLUID)
    return image


def _devices(image: Plane, params: ChestParams) -> Plane:
    if params.pacemaker:
        image = _blend(_blend(image, anatomy.LEAD, 0.98), anatomy.CAN, _METAL)
    if params.tube:
        image = _blend(image, anatomy.TUBE, _METAL)
    return image
