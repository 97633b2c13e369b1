"""The fixed parts of a stylised chest on a 96-pixel, 38 cm field: computed once, shared by every drawing.

Coordinates in cm: u to the right of the image, v downwards, w the distance from the midline.
"""

import numpy as np

from medim_forge.generator.phantoms import drawing
from medim_forge.generator.phantoms.drawing import Field, Plane

SIZE = 96
FIELD = 38.0  # cm, the side of the drawn field
U, V = drawing.grid(SIZE, FIELD)
W = np.abs(U)
ON_LEFT = U > 0
APEX = -13.4
HILUM = (4.2, -1.2)

_GLYPHS = {"P": ("110", "101", "110", "100", "100"), "A": ("010", "101", "111", "101", "101")}


def lung_distance(w: Field, v: Field, dome: float, apex: float = APEX, girth: float = 1.0, reach: float = 1.0) -> Plane:
    """About how far inside a lung a point lies, cm; `reach` < 1 draws the outer border in towards the hilum."""
    height = np.clip((v - apex) / (dome + 3.6 - apex), 1e-4, 1.0)
    outer = girth * (5.0 + reach * 7.6 * (1 - (1 - height) ** 2.9) ** 0.58 - (1 - reach) * 1.5)
    inner = 5.0 - 2.7 * (1 - (1 - np.clip(height * 1.3, 0, 1)) ** 5) ** 0.5
    lateral = np.clip(w - 5.5, 0, None)
    medial = np.clip(5.5 - w, 0, None)
    floor = dome + 0.066 * lateral**2 + 0.05 * medial**2
    sides = np.minimum(outer - w, w - inner)
    return drawing.plane(np.minimum(np.minimum(sides, floor - v), (v - apex) * 1.1))


def _body() -> Plane:
    """Soft tissue of neck, shoulders and trunk, 0..1, darker towards the skin."""
    shoulder = -17.6 + 6.8 * np.clip((W - 4.2) / 13.0, 0, None) ** 1.25
    neck = 4.4 - W
    trunk = np.where(shoulder < V, np.minimum(V - shoulder, 5.0), -1.0)
    armpit = 15.3 + 5.0 * np.clip((-3.5 - V) / 7.0, 0, 1) ** 1.5 + 0.5 * np.clip(V / 19.0, 0, 1)
    depth = np.minimum(np.maximum(trunk, neck * 0.9), armpit - W)
    return drawing.plane(drawing.inside(depth, 0.8) * (0.40 + 0.60 * np.clip(depth / 3.6, 0, 1) ** 0.6))


def _ribs() -> Plane:
    """Ten pairs of posterior ribs falling to the side, and fainter anterior ones."""
    turn = 2.0 * np.pi / 2.45
    posterior = np.cos((V - 0.020 * (W - 3.0) ** 2 + 0.5) * turn)
    anterior = np.cos((V + 0.45 * W - 1.4) * (turn * 0.72))
    cage = drawing.inside(W - 1.8, 1.5) * drawing.inside(13.6 - W, 1.2) * drawing.inside(V + 13.0, 2.0)
    front = 0.35 * np.clip(anterior - 0.2, 0, None) * drawing.inside(W - 5, 4)
    bands = np.clip(posterior - 0.1, 0, None) ** 1.2 + front
    return drawing.plane(bands * cage * drawing.inside(11.0 - V, 4.0))


def _spine() -> Plane:
    blocks = 0.6 + 0.4 * np.clip(1.3 * np.cos(V * (2.0 * np.pi / 2.5)) + 0.4, -1, 1)
    return drawing.plane(drawing.inside(1.75 - W, 0.9) * blocks)


def _clavicles(view: str) -> Plane:
    """Two gently bent bars; an AP view throws them higher and flatter, above the apices."""
    lift, slope = (-1.9, 0.10) if view == "AP" else (0.6, 0.20)
    line = -10.6 + lift - slope * (W - 1.5) - 0.55 * np.sin((W - 1.5) * 0.45)
    distance = np.abs(V - line)
    along = drawing.inside(W - 1.5, 0.8) * drawing.inside(14.5 - W, 1.5)
    bar = 0.7 * drawing.inside(0.62 - distance, 0.5) + 0.3 * drawing.bump(distance - 0.55, 0.25)
    return drawing.plane(bar * along)


def _scapulae(view: str) -> Plane:
    """Shoulder blades: clear of the lungs in PA, over their outer upper part in AP."""
    inset = 9.6 if view == "AP" else 13.4
    edge = inset + 0.16 * (V + 4.0)
    tip = -0.2 - V - 0.3 * (W - inset)
    blade = drawing.inside(W - edge, 0.6) * drawing.inside(V + 10.5, 1.5) * drawing.inside(tip, 2.5)
    rim = drawing.bump(W - edge, 0.35) * drawing.inside(V + 10.0, 1.0) * drawing.inside(0.3 - V, 1.5)
    return drawing.plane(0.5 * blade * drawing.inside(17.5 - W, 1.0) + 0.7 * rim)


def _vessels() -> Plane:
    """Branches from both hila, tapering outwards: the same tree in every drawing."""
    rng = np.random.Generator(np.random.Philox(key=7))
    tree = np.zeros((SIZE, SIZE), dtype=np.float32)
    for side in (-1, 1):
        for angle in np.linspace(-1.25, 1.35, 8):
            u, v = side * HILUM[0], HILUM[1]
            heading, width = float(angle), 0.42
            for _ in range(5):
                heading += float(rng.normal(0, 0.16))
                step = 1.45
                points = [(u, v), (u + side * step * np.cos(heading), v + step * 1.15 * np.sin(heading))]
                tree = np.maximum(tree, width * drawing.bump(drawing.stroke_distance(U, V, points), width))
                (u, v), width = points[1], width * 0.84
    hila = drawing.bump(np.hypot((W - 3.6) / 1.3, (V - HILUM[1]) / 2.1), 1.0)
    return drawing.plane(tree * (0.8 / 0.42) + 0.9 * hila)


def _mediastinum() -> Plane:
    """The column between the lungs with the aortic knob on the left."""
    column = 2.5 + 0.9 * np.clip((V - 1.0) / 8.0, 0, 1) + 0.7 * np.clip((-9.0 - V) / 4.0, 0, 1) - W
    knob = 1.9 - np.hypot(U - 2.2, (V + 5.2) * 0.95)
    return drawing.inside(np.maximum(column, knob), 0.9)


def _airway() -> Plane:
    """Trachea and main bronchi as a dark line, carina at v = -3.6 cm."""
    trachea = drawing.bump(drawing.stroke_distance(U, V, [(0, -19), (0.15, -3.8)]), 1.05)
    bronchi = [drawing.stroke_distance(U, V, [(0.1, -3.8), (side * 2.9, -1.4)]) for side in (-1, 1)]
    return drawing.plane(np.maximum(trachea, 0.7 * drawing.bump(np.minimum(*bronchi), 0.75)))


def _lead() -> Plane:
    """The pacemaker's lead: from the can over the superior vena cava to the right ventricle."""
    sweep = drawing.bezier([(8.2, -8.9), (4.5, -11.4), (-1.6, -10.5), (-1.9, -4.5)])
    fall = drawing.bezier([(-1.9, -4.5), (-2.1, 0.5), (-0.6, 5.4), (4.0, 6.4)])
    return drawing.inside(0.46 - drawing.stroke_distance(U, V, [*sweep, *fall]), 0.4)


def _can() -> Plane:
    """The pacemaker's rounded case below the left clavicle."""
    du, dv = np.abs(U - 9.9), np.abs(V + 7.6)
    rounded = 1.0 - np.hypot(np.clip(du - 0.95, 0, None), np.clip(dv - 0.7, 0, None))
    return drawing.inside(rounded, 0.4)


def _tube() -> Plane:
    """An endotracheal tube two pixels wide, its tip 2 cm above the carina."""
    return drawing.inside(0.42 - drawing.stroke_distance(U, V, [(0.1, -20), (0.15, -6.0)]), 0.3)


def marker(view: str) -> Plane:
    """The view's letters, PA in the upper left corner and AP in the upper right one."""
    plane = np.zeros((SIZE, SIZE), dtype=np.float32)
    rows = [f"{first}0{second}" for first, second in zip(*(_GLYPHS[letter] for letter in view), strict=True)]
    block = np.array([[int(dot) for dot in row] for row in rows], dtype=np.float32)
    left = 1 if view == "PA" else SIZE - 8
    plane[2:7, left : left + 7] = block
    return plane


BODY = _body()
RIBS = _ribs()
SPINE = _spine()
VESSELS = _vessels()
MEDIASTINUM = _mediastinum()
AIRWAY = _airway()
LEAD = _lead()
CAN = _can()
TUBE = _tube()
CLAVICLES = {view: _clavicles(view) for view in ("PA", "AP")}
SCAPULAE = {view: _scapulae(view) for view in ("PA", "AP")}
MARKERS = {view: marker(view) for view in ("PA", "AP")}
