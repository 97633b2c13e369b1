"""The report grammar of the chest radiographs: 10 findings, their severities and places, in radiology phrasing."""

from itertools import product

import numpy as np

from medim_forge.generator.domains import DOMAINS
from medim_forge.generator.phantoms.chest import SIDES, ZONES, ChestParams
from medim_forge.generator.phantoms.grammar import Grammar, Keyword, Section, Sentence

DOMAIN = "chest_xray"
OPENING = DOMAINS[DOMAIN].opening
FINDINGS = (
    "cardiomegaly", "effusion_right", "effusion_left", "pneumothorax_right", "pneumothorax_left",
    "nodule", "consolidation", "edema", "pacemaker", "tube",
)  # fmt: skip
DROPPED_NEGATIVE = 0.15
STATED_NO_DEVICES = 0.15

_EFFUSIONS = frozenset({"effusion_right", "effusion_left"})
_PNEUMOTHORACES = frozenset({"pneumothorax_right", "pneumothorax_left"})
_LUNG = frozenset({"nodule", "consolidation", "edema"})
_DEVICES = frozenset({"pacemaker", "tube"})
_ITEM_ORDER = (
    "pacemaker", "tube", "cardiomegaly", "edema", "consolidation", "nodule",
    "effusion_right", "effusion_left", "pneumothorax_right", "pneumothorax_left",
)  # fmt: skip
_SLOTS = (
    "opening", "view", "devices", "pacemaker", "tube", "heart", "lungs", "edema", "consolidation", "nodule", "pleura",
    "no_effusion", "effusion_right", "effusion_left", "no_pneumothorax", "pneumothorax_right", "pneumothorax_left",
    "heading", "negative_impression", *(f"{name}_item" for name in _ITEM_ORDER),
)  # fmt: skip


def _rows(
    slot: str,
    *texts: str,
    claims: tuple[str, ...] = (),
    denies: frozenset[str] = frozenset(),
    section: Section = "body",
) -> list[Sentence]:
    return [Sentence(text, slot, section, claims, denies) for text in texts]


def _item(name: str, detail: str, text: str) -> list[Sentence]:
    return _rows(f"{name}_item", text, claims=(f"{name}/{detail}",), section="impression")


def _frame_sentences() -> list[Sentence]:
    return [
        *_rows("opening", OPENING, section="opening"),
        *_rows("view", "PA view.", "Upright PA projection.", claims=("view/PA",)),
        *_rows("view", "AP view.", "Portable AP projection.", claims=("view/AP",)),
        *_rows("heading", "Impression:", section="heading"),
        *_rows(
            "negative_impression",
            "No acute cardiopulmonary process.",
            "No acute cardiopulmonary abnormality.",
            "Normal chest radiograph.",
            denies=frozenset(FINDINGS) - _DEVICES,
            section="impression",
        ),
    ]


def _device_sentences() -> list[Sentence]:
    return [
        *_rows("devices", "No support devices.", denies=_DEVICES),
        *_rows(
            "pacemaker",
            "A left chest pacemaker is present.",
            "Left-sided pacemaker with lead ending in the right ventricle.",
            claims=("pacemaker/left",),
        ),
        *_rows(
            "tube",
            "An endotracheal tube ends above the carina.",
            "Endotracheal tube is in standard position.",
            claims=("tube/endotracheal",),
        ),
        *_item("pacemaker", "left", "Pacemaker in place."),
        *_item("tube", "endotracheal", "Endotracheal tube in place."),
    ]


def _heart_sentences() -> list[Sentence]:
    rows = _rows(
        "heart",
        "The heart size is normal.",
        "Cardiac silhouette is within normal limits.",
        "Cardiomediastinal contours are normal.",
        denies=frozenset({"cardiomegaly"}),
    )
    words = {"mild": "mildly", "moderate": "moderately", "severe": "severely"}
    for grade, adverb in words.items():
        texts = (f"The heart is {adverb} enlarged.", f"There is {grade} enlargement of the cardiac silhouette.")
        rows += _rows("heart", *texts, claims=(f"cardiomegaly/{grade}",))
        rows += _item("cardiomegaly", grade, f"{grade.capitalize()} cardiomegaly.")
    return rows


def _lung_sentences() -> list[Sentence]:
    texts = ("The lungs are clear.", "Lungs are well expanded and clear.", "No focal airspace opacity.")
    rows = _rows("lungs", *texts, denies=_LUNG)
    texts = (
        "There is pulmonary edema.",
        "Bilateral perihilar opacities are consistent with edema.",
        "Diffuse perihilar haze suggests pulmonary edema.",
    )
    rows += _rows("edema", *texts, claims=("edema/perihilar",)) + _item("edema", "perihilar", "Pulmonary edema.")
    for side, zone in product(SIDES, ZONES):
        texts_in_zone = (
            f"There is consolidation in the {side} {zone} lung.",
            f"A patchy airspace opacity is seen in the {side} {zone} zone.",
        )
        rows += _rows("consolidation", *texts_in_zone, claims=(f"consolidation/{side} {zone}",))
        rows += _item("consolidation", f"{side} {zone}", f"Consolidation in the {side} {zone} lung zone.")
        for size in ("nodule", "mass"):
            texts_in_zone = (
                f"There is a {size} in the {side} {zone} lung.",
                f"A round {size} is seen in the {side} {zone} zone.",
            )
            rows += _rows("nodule", *texts_in_zone, claims=(f"nodule/{size} {side} {zone}",))
            rows += _item("nodule", f"{size} {side} {zone}", f"{side.capitalize()} {zone} lung {size}.")
    return rows


def _pleura_sentences() -> list[Sentence]:
    rows = [
        *_rows("pleura", "No pleural effusion or pneumothorax.", denies=_EFFUSIONS | _PNEUMOTHORACES),
        *_rows(
            "no_effusion",
            "There is no pleural effusion.",
            "No effusion is seen.",
            "Costophrenic angles are sharp.",
            denies=_EFFUSIONS,
        ),
        *_rows(
            "no_pneumothorax",
            "There is no pneumothorax.",
            "No pneumothorax is seen.",
            "No evidence of pneumothorax.",
            denies=_PNEUMOTHORACES,
        ),
    ]
    kinds = (
        ("effusion", "pleural effusion", ("small", "moderate", "large")),
        ("pneumothorax", "pneumothorax", ("small", "large")),
    )
    for finding, words, severities in kinds:
        for side, size in product(SIDES, severities):
            texts = (f"There is a {size} {side} {words}.", f"A {size} {words} is present on the {side}.")
            rows += _rows(f"{finding}_{side}", *texts, claims=(f"{finding}_{side}/{size}",))
            rows += _item(f"{finding}_{side}", size, f"{size.capitalize()} {side} {words}.")
    return rows


GRAMMAR = Grammar(
    domain=DOMAIN,
    findings=FINDINGS,
    slots=_SLOTS,
    required=frozenset({"opening", "view", "heading"}),
    sentences=(
        *_frame_sentences(),
        *_device_sentences(),
        *_heart_sentences(),
        *_lung_sentences(),
        *_pleura_sentences(),
    ),
    keywords=(
        Keyword("cardiomegaly", r"\bcardiomegaly\b|\b(?:enlarged|enlargement of the) (?:heart|cardiac silhouette)\b"),
        Keyword("cardiomegaly", r"\b(?:heart|cardiac silhouette)(?: size)? is (?:\w+ )?enlarged\b"),
        Keyword("effusion", r"\beffusions?\b", sided=True),
        Keyword("pneumothorax", r"\bpneumothora(?:x|ces)\b", sided=True),
        Keyword("nodule", r"\b(?:nodules?|mass(?:es)?)\b"),
        Keyword("consolidation", r"\bconsolidations?\b|\bairspace opacit(?:y|ies)\b"),
        Keyword("edema", r"\bo?edema\b"),
        Keyword("pacemaker", r"\bpacemaker\b"),
        Keyword("tube", r"\b(?:endotracheal|et) tube\b|\bintubated\b"),
    ),
)


def write(params: ChestParams, rng: np.random.Generator) -> str:
    """The report of `params`: opening, view, body in slot order, then the impression."""
    claims = params.claims()
    sentences = [OPENING, GRAMMAR.pick(rng, "view", f"view/{params.view}"), *_body(claims, rng), "Impression:"]
    items = [GRAMMAR.pick(rng, f"{name}_item", f"{name}/{claims[name]}") for name in _ITEM_ORDER if name in claims]
    return " ".join(sentences + (items or [GRAMMAR.pick(rng, "negative_impression")]))


def _body(claims: dict[str, str], rng: np.random.Generator) -> list[str]:
    """One sentence per finding in slot order; a negative where none is found, sometimes left unsaid."""

    def stated(*names: str) -> list[str]:
        # cardiomegaly is the only finding whose sentences share the slot of their negatives
        slots = {"cardiomegaly": "heart"}
        return [GRAMMAR.pick(rng, slots.get(n, n), f"{n}/{claims[n]}") for n in names if n in claims]

    def unless_dropped(slot: str, probability: float = 1 - DROPPED_NEGATIVE) -> list[str]:
        said = rng.random() < probability
        return [GRAMMAR.pick(rng, slot)] if said else []

    devices = stated("pacemaker", "tube") or unless_dropped("devices", STATED_NO_DEVICES)
    heart = stated("cardiomegaly") or unless_dropped("heart")
    lungs = stated("edema", "consolidation", "nodule") or unless_dropped("lungs")
    effusions = stated("effusion_right", "effusion_left")
    pneumothoraces = stated("pneumothorax_right", "pneumothorax_left")
    if not effusions and not pneumothoraces and rng.random() < 0.5:
        return [*devices, *heart, *lungs, *unless_dropped("pleura")]
    effusions = effusions or unless_dropped("no_effusion")
    pneumothoraces = pneumothoraces or unless_dropped("no_pneumothorax")
    return [*devices, *heart, *lungs, *effusions, *pneumothoraces]
