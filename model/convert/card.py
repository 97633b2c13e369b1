"""The card of a converted checkpoint: what it was made from, and the terms that go with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from medim_forge.model.config import MedimConfig

# Short enough for the DICOM field that carries them; docs/model.md#the-published-weights has the details.
OFFICIAL_TERMS = (
    (
        "Weights trained on MIMIC-CXR (PhysioNet Credentialed Health Data Use Agreement 1.5.0): treat outputs as "
        "derived data, share them only as that agreement allows, never try to identify anyone."
    ),
    (
        "Weights trained on PathGen-1.6M (TCGA slides and generated captions, terms of their publishers); report "
        "tokenizer under the Llama 2 license, image tokenizer under the Chameleon research license (non-commercial), "
        "backbone from Gemma under the Gemma terms of use."
    ),
)


def card(
    config: MedimConfig,
    sources: Mapping[str, Sequence[Mapping[str, object]]],
    *,
    dtype: str,
    terms: Sequence[str],
    left_out: Sequence[str],
    left_out_losses: int,
) -> dict[str, Any]:
    """What card.json holds.

    Args:
        config: of the checkpoint.
        sources: files with bytes and sha256, by role.
        dtype: that the backbone was stored in.
        terms: of the training data.
        left_out: backbone tensors that the checkpoint does not need.
        left_out_losses: how many tensors of the image tokenizer's training losses are not in it.
    """
    return {
        "kind": "converted",
        "name": "MeDiM, converted from the official format",
        "dtype": dtype,
        "backbone": {
            "layers": config.backbone.layers,
            "hidden_size": config.backbone.hidden_size,
            "tied": config.backbone.tied,
        },
        "vocabulary": config.layout.vocab,
        "left_out": {"backbone": list(left_out), "image_tokenizer_losses": left_out_losses},
        "sources": {role: [dict(file) for file in files] for role, files in sources.items()},
        # The published weights come from hospital archives and public collections of them.
        "learned_from": "patients",
        "training_data_terms": list(terms),
    }


def readme(made: Mapping[str, Any]) -> str:
    """The card as Markdown."""
    rows = [
        f"| {role} | `{file['file']}` | {file['bytes']:,} | `{file['sha256']}` |"
        for role, files in made["sources"].items()
        for file in files
    ]
    sizes, left_out = made["backbone"], made["left_out"]
    lines = [
        f"# {made['name']}",
        "",
        f"{sizes['layers']} layers of width {sizes['hidden_size']}, {made['vocabulary']:,} ids, dtype {made['dtype']}.",
        "Every tensor of the sources is here but those under *left out*.",
        "",
        "| source | file | bytes | sha256 |",
        "|---|---|---|---|",
        *rows,
        "",
        f"Left out of the backbone: {', '.join(left_out['backbone']) or 'nothing'} (a head that equals the embedding).",
        f"Left out of the image tokenizer: {left_out['image_tokenizer_losses']} tensors of its training losses.",
        "",
        "## Terms of the training data",
        "",
        *(f"- {term}" for term in made["training_data_terms"]),
        "",
        "Not for diagnosis.",
        "",
    ]
    return "\n".join(lines)
