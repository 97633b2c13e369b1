"""The report of a stylised H&E patch: a fixed order of sentences, each out of a short closed list."""

import numpy as np

from medim_forge.generator.domains import DOMAINS
from medim_forge.generator.phantoms.grammar import Grammar, Keyword, Sentence
from medim_forge.generator.phantoms.pathology import NECROSIS_CELLS, TissueParams, findings
from medim_forge.generator.phantoms.pathology_stamps import CELLS

DOMAIN = "pathology"
OPENING = DOMAINS[DOMAIN].opening
FINDINGS: tuple[str, ...] = (
    "glands",
    "hypercellular",
    "pleomorphism",
    "mitoses",
    "necrosis",
    "lymphocytes",
    "fibrosis",
)

# How often a report leaves out that something is absent.
OMITTED_NEGATIVE = 0.15

_NUMBER = {1: "a single", 2: "two", 3: "three"}
_QUADRANTS = ("upper left", "upper right", "lower left", "lower right")

# Finding: (sentences of presence, of absence). Presence with a detail (count, place) is in `_detailed_rows`.
_BODY: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "glands": (
        (),
        ("No gland formation is seen.", "The architecture is solid without glandular lumina."),
    ),
    "hypercellular": (
        ("Cellularity is high with closely packed nuclei.", "The tissue is hypercellular."),
        ("Cellularity is low with widely spaced nuclei.", "The tissue is sparsely cellular."),
    ),
    "pleomorphism": (
        ("Nuclear pleomorphism is marked.", "The nuclei are large, hyperchromatic and irregular in shape."),
        ("Nuclear pleomorphism is mild.", "The nuclei are small, uniform and pale."),
    ),
    "mitoses": (
        (),
        ("No mitotic figures are identified.", "Mitotic activity is not seen."),
    ),
    "necrosis": (
        (),
        ("No necrosis is seen.", "There is no evidence of tumor necrosis."),
    ),
    "lymphocytes": (
        ("A dense lymphocytic aggregate is present.", "There is a focal cluster of small round lymphocytes."),
        ("No significant lymphocytic infiltrate is seen.", "Inflammatory cells are inconspicuous."),
    ),
    "fibrosis": (
        ("The stroma is fibrotic with dense collagen bands.", "There is a marked desmoplastic stromal reaction."),
        ("The stroma is loose.", "The stroma is delicate without fibrosis."),
    ),
}

_IMPRESSION: dict[str, str] = {
    "glands": "Gland forming tissue.",
    "hypercellular": "Hypercellularity.",
    "pleomorphism": "Marked nuclear atypia.",
    "mitoses": "Increased mitotic activity.",
    "necrosis": "Focal necrosis.",
    "lymphocytes": "Lymphocytic inflammation.",
    "fibrosis": "Stromal fibrosis.",
}
_NORMAL = ("No significant histopathologic abnormality.", "Unremarkable tissue without atypia.")

_KEYWORDS = (
    Keyword("glands", r"\bglands?\b|\bglandular\b|\bgland[- ]form"),
    Keyword("hypercellular", r"\bhypercellular|\bcellularity is (?:high|increased)\b|\bhigh cellularity\b"),
    Keyword("pleomorphism", r"\b(?:marked|severe)(?: nuclear)? (?:pleomorphism|atypia)\b|\bpleomorphism is marked\b"),
    Keyword("pleomorphism", r"\bpleomorphic\b|\bhyperchromatic\b"),
    Keyword("mitoses", r"\bmitos[ei]s\b|\bmitotic\b"),
    Keyword("necrosis", r"\bnecrosis\b|\bnecrotic\b"),
    Keyword("lymphocytes", r"\blymphocyt|\blymphoid\b"),
    Keyword("fibrosis", r"\bfibrosis\b|\bfibrotic\b|\bdesmoplas|\bdense collagen"),
)


def _detailed_rows() -> list[Sentence]:
    """The sentences of presence that also say how many or where; the detail is a claim of its own."""
    texts: dict[tuple[str, str], tuple[str, ...]] = {}
    for count, word in _NUMBER.items():
        noun, lumen, verb = ("gland", "an open lumen", "is") if count == 1 else ("glands", "open lumina", "are")
        texts["glands", f"gland_count/{count}"] = (
            f"{word.capitalize()} well formed {noun} with {lumen} {verb} present.",
            f"There {verb} {word} {noun} lined by columnar epithelium.",
        )
    for count in (2, 3, 4):
        texts["mitoses", f"mitosis_count/{count}"] = (
            f"{count} mitotic figures are present.",
            f"Mitotic activity is brisk with {count} mitoses.",
        )
    for place in _QUADRANTS:
        texts["necrosis", f"necrosis_place/{place}"] = (
            f"An area of necrosis occupies the {place} part of the patch.",
            f"There is ghostly necrotic tissue in the {place} quadrant.",
        )
    return [Sentence(text, claims[0], "body", claims) for claims, pair in texts.items() for text in pair]


def _table() -> tuple[Sentence, ...]:
    """Every sentence a report may contain, in slot order."""
    detailed = _detailed_rows()
    rows = [Sentence(OPENING, "opening", "opening")]
    for name in FINDINGS:
        present, absent = _BODY[name]
        rows += [row for row in detailed if row.slot == name]
        rows += [Sentence(text, name, "body", (name,)) for text in present]
        rows += [Sentence(text, name, "body", denies=frozenset({name})) for text in absent]
    rows.append(Sentence("Impression:", "heading", "heading"))
    rows += [Sentence(_IMPRESSION[name], f"impression_{name}", "impression", (name,)) for name in FINDINGS]
    rows += [Sentence(text, "normal", "impression", denies=frozenset(FINDINGS)) for text in _NORMAL]
    return tuple(rows)


GRAMMAR = Grammar(
    domain=DOMAIN,
    findings=FINDINGS,
    slots=("opening", *FINDINGS, "heading", *(f"impression_{name}" for name in FINDINGS), "normal"),
    required=frozenset({"opening", "hypercellular", "pleomorphism", "heading"}),
    sentences=_table(),
    keywords=_KEYWORDS,
)


def write(params: TissueParams, rng: np.random.Generator) -> str:
    """The report of the patch: opening, one sentence per slot (some negatives left out), impression."""
    found = findings(params)
    details = _details(params)
    sentences = [OPENING]
    for name in FINDINGS:
        if name in found:
            sentences.append(GRAMMAR.pick(rng, name, name, *details.get(name, ())))
        elif name in GRAMMAR.required or rng.random() >= OMITTED_NEGATIVE:
            sentences.append(GRAMMAR.pick(rng, name))
    sentences.append("Impression:")
    sentences += [_IMPRESSION[name] for name in FINDINGS if name in found] or [GRAMMAR.pick(rng, "normal")]
    return " ".join(sentences)


def _details(params: TissueParams) -> dict[str, tuple[str, ...]]:
    """What the body says beyond presence, as claims by finding."""
    details: dict[str, tuple[str, ...]] = {
        "glands": (f"gland_count/{len(params.glands)}",),
        "mitoses": (f"mitosis_count/{len(params.mitoses)}",),
    }
    if params.necrosis is not None:
        row, column = params.necrosis
        middle = (CELLS - NECROSIS_CELLS) / 2
        details["necrosis"] = (f"necrosis_place/{_QUADRANTS[2 * (row > middle) + (column > middle)]}",)
    return details
