"""The official sampler, slowly: one position after the other, straight from its description.

It shares nothing with `model.official` but the network, and is read beside the specification, not beside our code.
Source: medim-spec sections 3.4, 3.5 and 5 (official MeDiM at commit ce1ea99).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch

Matrix = list[list[int]]


@dataclass(frozen=True, kw_only=True)
class Ids:
    """The numbers that the description has hard-coded."""

    text_slots: int
    image_slots: int
    mask: int
    vocab: int
    boi: int
    eoi: int
    eos: int


def network_input(x: list[int], cond: list[int], ids: Ids) -> tuple[list[int], list[bool]]:
    """`[boi] image [eoi] cond text [eos]`, and which of it is attended: text ids of 0 are not."""
    text, image = x[: ids.text_slots], x[ids.text_slots :]
    tokens = [ids.boi, *image, ids.eoi, *cond, *text, ids.eos]
    attended = [True] * (1 + len(image) + 1 + len(cond)) + [token != 0 for token in text] + [True]
    return tokens, attended


def read_logits(outputs: torch.Tensor, ids: Ids) -> torch.Tensor:
    """Logits [S, V] from outputs [L, V]: image ones from positions 2 .. I + 1, text ones from L - T - 2 .. L - 3."""
    length = len(outputs)
    text = [outputs[length - ids.text_slots - 2 + j] for j in range(ids.text_slots)]
    image = [outputs[2 + k] for k in range(ids.image_slots)]
    return torch.stack(text + image)


def schedule(masked: int, steps: int) -> list[int]:
    """How many tokens each step reveals (arccos), rounded half to even; the last one takes what is left.

    With one step the share is 0 / 0, and as an integer that is a negative number: nothing is revealed.
    """
    if steps == 1:
        return [0]
    r = torch.linspace(1, 0, steps)
    v = torch.arccos(r) / (math.pi * 0.5)
    s = [round(float(value)) for value in v / v.sum() * masked]
    s = [1 if value == 0 else value for value in s]
    s[-1] = max(s[-1] + masked - sum(s), 0)
    return s


def sigma(t: float) -> float:
    """Total noise of the log-linear schedule."""
    return float(-torch.log1p(-(1 - 1e-3) * torch.tensor(t)))


def restrict(logits: torch.Tensor, position: int, ids: Ids) -> torch.Tensor:
    """Log-probabilities [V] of one position: text ids for text, image ids for image, never MASK."""
    logits = logits.clone()
    logits[ids.mask] += -1e6
    is_image_id = torch.arange(ids.vocab) > ids.mask
    logits[is_image_id == (position < ids.text_slots)] = -1e6
    return logits - logits.logsumexp(0)


def reveal(
    x: list[int], weights: list[torch.Tensor], candidates: list[int], noise: torch.Tensor, count: int, ids: Ids
) -> list[int]:
    """One row after its most confident candidates were revealed; known positions rank last, equal ones go together."""
    confidence = [
        float(weights[i][candidates[i]].log().double() + noise[i]) if x[i] == ids.mask else -math.inf
        for i in range(len(x))
    ]
    threshold = sorted(confidence, reverse=True)[count - 1] if count > 0 else math.inf
    return [candidates[i] if confidence[i] >= threshold else x[i] for i in range(len(x))]


def sample(
    network: Callable[[Matrix, float], torch.Tensor],
    x0: Matrix,
    given: list[list[bool]],
    ids: Ids,
    *,
    steps: int,
    cfg: float | None,
    exponential: torch.Tensor,
    gumbel: torch.Tensor,
    draw: Callable[[torch.Tensor, int, int, int], int] | None = None,
) -> Matrix:
    """The finished states.

    Args:
        network: (states, sigma) -> raw logits [B, S, V] in state order.
        x0: given tokens.
        given: where they are.
        ids: of the model.
        steps: asked for.
        cfg: guidance; None for none.
        exponential: Exp(1) noise [N, B, S, V] by step; a draw of weights p is argmax p / noise.
        gumbel: Gumbel noise [N, B, S], float64.
        draw: another way to draw an id from weights, step, row and position.
    """
    draw = draw or (lambda p, step, b, i: int((p / exponential[step, b, i]).argmax()))
    rows, slots = range(len(x0)), range(len(x0[0]))
    x = [[x0[b][i] if given[b][i] else ids.mask for i in slots] for b in rows]
    masked = [row.count(ids.mask) for row in x]
    count = min(steps, *masked)
    plan = [schedule(n, count) for n in masked]
    times = torch.linspace(1, 1e-5, count + 1)
    for step in range(count):
        t = times[step]
        n = [min(plan[b][step], x[b].count(ids.mask)) for b in rows]
        if max(n) <= 0:
            continue
        w = 0.0 if cfg is None else float(cfg * (1 - t))
        conditional = network(x, sigma(float(t)))
        guided = w > 0 and any(any(row) for row in given)
        if guided:
            blind = [[ids.mask if given[b][i] else x[b][i] for i in slots] for b in rows]
            mixed = (1 + w) * conditional - w * network(blind, sigma(float(t)))
        new = []
        for b in rows:
            weights = [restrict(mixed[b, i], i, ids).exp() if guided else conditional[b, i].exp() for i in slots]
            weights = [torch.where(torch.isfinite(p) & (p > 0), p, 0.0) for p in weights]
            candidates = [draw(weights[i], step, b, i) for i in slots]
            new.append(reveal(x[b], weights, candidates, 10 * gumbel[step, b] * t, n[b], ids))
        x = [[x0[b][i] if given[b][i] else new[b][i] for i in slots] for b in rows]
    last = network(x, sigma(1e-5))
    for b in rows:
        for i in slots:
            if x[b][i] == ids.mask:
                x[b][i] = int(restrict(last[b, i], i, ids).argmax())
    return x
