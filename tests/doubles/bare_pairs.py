"""What filters see, made by hand and without the rest of the factory: noise for an image, bare rules for a job."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medim_forge.generator.records import Action, Domain, Pair, PairRequest, Prompt

REPORT = "The heart is normal in size. There is no pleural effusion or pneumothorax."


def noise(seed: int = 0, shape: tuple[int, ...] = (32, 32)) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, shape).astype(np.uint8)


def a_pair(
    index: int = 0,
    *,
    image: NDArray[np.uint8] | None = None,
    report: str = REPORT,
    agreement: float = 0.1,
    domain: Domain = "chest_xray",
) -> Pair:
    prompt = Prompt(domain=domain, text="")
    return Pair(
        request=PairRequest(pair_id=f"0000abcd-{index:07d}", pair_index=index, seed=index, prompt=prompt),
        image=noise(index) if image is None else image,
        image_codes=np.arange(4, dtype=np.int32),
        report=report,
        prompt_chars=0,
        report_logprob=-1.0,
        image_logprob=-2.0,
        agreement=agreement,
        embedding=np.zeros(2, dtype=np.float16),
    )


@dataclass(frozen=True, kw_only=True)
class Rule:
    name: str
    drop_below: float | None = None
    drop_above: float | None = None
    action: Action = "drop"
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Job:
    filters: tuple[Rule, ...] = ()
