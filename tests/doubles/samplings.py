"""Settings of the corrected sampler for tests: every value is stated here, for the sampler has no defaults."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from medim_forge.model.sampling import Sampling

PLAIN = Sampling(
    order="text_first",
    method="maskgit",
    text_reveal="random",
    image_reveal="random",
    steps=16,
    text_steps=24,
    guidance=2.0,
    text_guidance=0.0,
    text_temperature=1.0,
    image_temperature=1.0,
    confidence_noise=1.0,
)


def sampling(**changes: Any) -> Sampling:
    """`PLAIN` with some settings changed."""
    return replace(PLAIN, **changes)
