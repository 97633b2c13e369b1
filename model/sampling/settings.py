"""What a sampler is set to, what it is given, and what it gives back.

Legend: B batch, S state slots, R rows, D width, V ids.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from torch import Tensor

from medim_forge.model.layout import TokenLayout
from medim_forge.model.sampling.noise import CounterDraws

Order = Literal["text_first", "image_first", "joint"]
Reveal = Literal["random", "sequential", "confidence"]


class SamplingError(ValueError):
    """A row that cannot be sampled; `rows` says which.

    Args:
        rows: indices in the batch.
        message: what went wrong, where.
    """

    def __init__(self, rows: Sequence[int], message: str) -> None:
        super().__init__(message)
        self.rows = tuple(rows)


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """How the reverse process runs. Its defaults are those of a job file, so there are none here.

    Attributes:
        order: which modality is revealed when.
        method: `maskgit` reveals fixed numbers of slots per step (arccos schedule); `ancestral` gives every slot its
            own uniform unmasking time.
        text_reveal, image_reveal: which slots a maskgit step reveals: any, the next in reading order, or the most
            confident; `joint` follows `image_reveal`. A sequential report is revealed one slot a step, its end in turn.
        steps: of the image phase, or of the joint one.
        text_steps: of the report phase.
        guidance: classifier-free weight w of an image phase that sees its report, and of a joint phase: logits are
            (1 + w) conditional - w unconditional.
        text_guidance: the same for a report phase that sees its image.
        text_temperature, image_temperature: of the token draw.
        confidence_noise: weight of Gumbel noise on log-probabilities in a confidence ranking; decays with the share
            that is masked.
    """

    order: Order
    method: Literal["maskgit", "ancestral"]
    text_reveal: Reveal
    image_reveal: Reveal
    steps: int
    text_steps: int
    guidance: float
    text_guidance: float
    text_temperature: float
    image_temperature: float
    confidence_noise: float


class Denoiser(Protocol):
    """A network as the sampler sees it."""

    layout: TokenLayout

    def read(self, state_BS: Tensor, t_B: Tensor) -> Tensor:
        """Hidden states [B, S, D] from which the logits of the state slots are made, at times t_B."""

    def read_alone(self, state_BS: Tensor, t_B: Tensor) -> Tensor:
        """The same of rows that feel no neighbour, not even in the last bit, whatever the number of rows."""

    def logits(self, hidden_RD: Tensor, ids_V: Tensor) -> Tensor:
        """Logits [R, V] of the given ids, at least float32."""


@dataclass(frozen=True, kw_only=True)
class Batch:
    """What to sample.

    Attributes:
        state: int64 [B, S]; MASK where something is to be revealed.
        domains: per row.
        draws: numbers of every row.
    """

    state: Tensor
    domains: tuple[str, ...]
    draws: CounterDraws


@dataclass(frozen=True, kw_only=True)
class Sampled:
    """What came out.

    Attributes:
        state: int64 [B, S], without MASK.
        logprob: float32 [B, S], log-probability of each token in the distribution it was drawn from, before
            temperature; 0 where given.
        passes: rows sent through the network.
    """

    state: Tensor
    logprob: Tensor
    passes: int
