"""Stylised chest radiographs: what is drawn, how often, and where findings may stand together.

Image left is the patient's right. `anatomy` holds the fixed body, `chest_image` draws the findings into it,
`chest_report` writes and reads them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

import numpy as np

_T = TypeVar("_T")
Side = Literal["right", "left"]
SIDES: tuple[Side, ...] = ("right", "left")
ZONES = ("upper", "mid", "lower")

# Any draw that holds one of these sets is kept from training: they measure composition of known parts.
HELD_OUT = (
    frozenset({"pacemaker", "pneumothorax_left"}),
    frozenset({"nodule", "effusion_left", "tube"}),
    frozenset({"cardiomegaly", "tube", "edema"}),
)

# Chances before incompatible draws are dropped; they leave each finding in 16-26 % of training images.
_NORMAL = 0.08
_CHANCE = {
    "cardiomegaly": 0.24,
    "effusion": 0.24,
    "pneumothorax": 0.30,
    "nodule": 0.38,
    "consolidation": 0.28,
    "edema": 0.24,
    "pacemaker": 0.27,
    "tube": 0.25,
}
_MOST_FINDINGS = 5
_HEART_RATIO = {"mild": 0.54, "moderate": 0.60, "severe": 0.66}


@dataclass(frozen=True, kw_only=True)
class ChestParams:
    """One chest; "" stands for absent.

    Attributes:
        view: "PA" or "AP".
        heart_grade: "", "mild", "moderate" or "severe" cardiomegaly.
        ctr: cardiothoracic ratio, heart width over inner chest width.
        effusion_right, effusion_left: "", "small", "moderate" or "large".
        pneumothorax_right, pneumothorax_left: "", "small" or "large"; never on the side of an effusion.
        nodule: "" or "size side zone", e.g. "mass left upper".
        consolidation: "" or "side zone".
        edema, pacemaker, tube: present or not.
        inspiration: how much lower than usual the diaphragm stands, cm.
        girth: chest width over the usual one.
        shift_right, shift_down: placement of the body, whole pixels.
    """

    view: str
    heart_grade: str
    ctr: float
    effusion_right: str
    effusion_left: str
    pneumothorax_right: str
    pneumothorax_left: str
    nodule: str
    consolidation: str
    edema: bool
    pacemaker: bool
    tube: bool
    inspiration: float
    girth: float
    shift_right: int
    shift_down: int

    def claims(self) -> dict[str, str]:
        """The findings present, each with the detail its report sentence must claim."""
        details = {
            "cardiomegaly": self.heart_grade,
            "effusion_right": self.effusion_right,
            "effusion_left": self.effusion_left,
            "pneumothorax_right": self.pneumothorax_right,
            "pneumothorax_left": self.pneumothorax_left,
            "nodule": self.nodule,
            "consolidation": self.consolidation,
            "edema": "perihilar" if self.edema else "",
            "pacemaker": "left" if self.pacemaker else "",
            "tube": "endotracheal" if self.tube else "",
        }
        return {name: detail for name, detail in details.items() if detail}


def findings(params: ChestParams) -> frozenset[str]:
    """The names of the findings present."""
    return frozenset(params.claims())


def is_held_out(present: frozenset[str]) -> bool:
    """Whether this combination of findings is kept from training."""
    return any(combination <= present for combination in HELD_OUT)


def sample(rng: np.random.Generator) -> ChestParams:
    """A chest with at most five findings that do not hide each other."""
    params = _sample_once(rng)
    while len(params.claims()) > _MOST_FINDINGS:
        params = _sample_once(rng)
    return params


def _sample_once(rng: np.random.Generator) -> ChestParams:
    abnormal = rng.random() >= _NORMAL

    def present(name: str) -> bool:
        return bool(rng.random() < _CHANCE[name]) and abnormal

    grade = _choice(rng, tuple(_HEART_RATIO)) if present("cardiomegaly") else ""
    ctr = _HEART_RATIO[grade] + rng.uniform(-0.01, 0.01) if grade else rng.uniform(0.42, 0.48)
    effusions, pneumothoraces = {}, {}
    for side in SIDES:
        effusions[side] = _choice(rng, ("small", "moderate", "large")) if present("effusion") else ""
        air = _choice(rng, ("small", "large")) if present("pneumothorax") else ""
        pneumothoraces[side] = "" if effusions[side] else air
    edema, pacemaker, tube = present("edema"), present("pacemaker"), present("tube")
    free = [
        (side, zone)
        for side in SIDES
        for zone in _free_zones(side, effusions[side], pneumothoraces[side], grade, edema, pacemaker)
    ]
    consolidation = _choice(rng, free) if present("consolidation") and free else None
    # the other lung, so that a round and a patchy shadow never touch
    free = [(side, zone) for side, zone in free if consolidation is None or side != consolidation[0]]
    nodule = _choice(rng, free) if present("nodule") and free else None
    size = _choice(rng, ("nodule", "mass"))
    return ChestParams(
        view="AP" if rng.random() < 0.35 else "PA",
        heart_grade=grade,
        ctr=round(float(ctr), 3),
        effusion_right=effusions["right"],
        effusion_left=effusions["left"],
        pneumothorax_right=pneumothoraces["right"],
        pneumothorax_left=pneumothoraces["left"],
        nodule=f"{size} {nodule[0]} {nodule[1]}" if nodule else "",
        consolidation=f"{consolidation[0]} {consolidation[1]}" if consolidation else "",
        edema=edema,
        pacemaker=pacemaker,
        tube=tube,
        inspiration=round(float(rng.uniform(-0.4, 0.4)), 3),
        girth=round(float(rng.uniform(0.98, 1.02)), 3),
        shift_right=int(rng.integers(-1, 2)),
        shift_down=int(rng.integers(-1, 2)),
    )


def _choice(rng: np.random.Generator, options: Sequence[_T]) -> _T:
    return options[int(rng.integers(len(options)))]


def _free_zones(side: Side, effusion: str, air: str, grade: str, edema: bool, pacemaker: bool) -> list[str]:
    """The zones of a lung where a nodule or a consolidation would be seen and could not be mistaken."""
    free = {"": ZONES, "small": ("upper", "mid"), "moderate": ("upper",), "large": ()}[effusion]
    blocked = {"mid"} if edema else set()
    if air:
        blocked |= set(ZONES)
    if side == "left":
        blocked |= {"upper"} if pacemaker else set()
        blocked |= {"lower"} if grade else set()
        blocked |= {"mid"} if grade in ("moderate", "severe") else set()
    elif grade == "severe":
        blocked.add("lower")
    return [zone for zone in free if zone not in blocked]
