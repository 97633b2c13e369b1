"""The ranges that training data keep to, measured on held-out phantoms; see `medim_forge.model.familiarity`."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from medim_forge.generator.phantoms import OPENING
from medim_forge.generator.training.data import VALIDATION_SEEDS, Corpus, draw_corpus
from medim_forge.model.familiarity import Range, measured, reconstruction_error
from medim_forge.model.medim import Medim
from medim_forge.model.network import to_uint8
from medim_forge.model.values import Given

LEAST, MOST = 8, 256  # held-out pairs of a domain
SHARE = 100  # of the images that are trained on, one in so many as held-out pairs
_BATCH = 32


def measure_ranges(model: Medim, images: int) -> dict[str, Range]:
    """What held-out phantoms of every domain of the model keep to.

    Args:
        model: loaded.
        images: of a domain that it was trained on; the more, the more pairs are looked at.
    """
    rows = min(MOST, max(LEAST, images // SHARE))
    return {domain: _range(model, draw_corpus(domain, rows, VALIDATION_SEEDS)) for domain in model.layout.domains}


@torch.inference_mode()
def _range(model: Medim, corpus: Corpus) -> Range:
    errors: list[float] = []
    embeddings: list[NDArray[np.floating]] = []
    fluencies: list[float] = []
    for start in range(0, len(corpus.reports), _BATCH):
        images, reports = corpus.images[start : start + _BATCH], corpus.reports[start : start + _BATCH]
        codes = [model.layout.to_codes(model.encode_image(image, corpus.domain), corpus.domain) for image in images]
        decoded = to_uint8(model.image_tokenizer(corpus.domain).decode(torch.stack(codes))).cpu().numpy()
        errors += [reconstruction_error(image, again) for image, again in zip(images, decoded, strict=True)]
        rows = [Given(domain=corpus.domain, seed=start + place, report=report) for place, report in enumerate(reports)]
        openings = [OPENING[corpus.domain]] * len(rows)
        scores = model.scorer(rows, [code.to(torch.int32).numpy() for code in codes], openings).score()
        embeddings += list(scores.embedding.cpu().numpy())
        fluencies += scores.fluency.tolist()
    return measured(errors, np.stack(embeddings), fluencies)
