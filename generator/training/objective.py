"""What is learned: corrupted rows whose losses are weighted beforehand, and the network's loss on them.

The weights follow from what was drawn, before any forward pass. They are divided by the sums of the whole batch, so the
loss of a batch is the sum over its slots, in whatever pieces and by however many workers it is computed.
Legend: B rows, T report slots, I image slots, S = T + I, D width, V vocabulary, C conditioning ids.
Source: medim-spec section 4 (official); `medim_forge.model.loss` (both corruptions).
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal, Protocol, get_args

import numpy as np
import torch
import torch.nn.functional as functional
from numpy.typing import NDArray
from torch import Tensor, nn

from medim_forge.generator.training.source import Rows
from medim_forge.model.layout import TokenLayout
from medim_forge.model.loss import CorruptionMix, corrupt, corrupt_mix
from medim_forge.model.network.backbone import Backbone
from medim_forge.model.sampling.schedule import loss_weight, sigma, stratified_times

Side = Literal["report_given", "report_absent", "image_given", "image_absent"]
# Weight of the report loss in the mixture; the image loss has weight 1.
REPORT_WEIGHT = 2.0
# Share of rows whose prompt the official corruption restores.
PROMPT_RESTORED = 0.1


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Corrupted rows, ready for the network.

    Attributes:
        x0, xt: int64 [B, S], clean and corrupted.
        t: float32 [B], time of the noised side.
        weight: float32 [B, S], of each slot in the loss; 0 where a slot is not counted. The sums are those of the whole
            batch, also in a part of it.
        ids: int64 [B, 2], first id and end of the ids that a row's image slots are scored among.
        conditioning: int64 [B, C] or None.
    """

    x0: Tensor
    xt: Tensor
    t: Tensor
    weight: Tensor
    ids: NDArray[np.int64]
    conditioning: Tensor | None

    def part(self, slots: slice) -> Batch:
        """Some of the rows, with the weights that they have in the whole batch."""
        conditioning = None if self.conditioning is None else self.conditioning[slots]
        return replace(
            self,
            x0=self.x0[slots],
            xt=self.xt[slots],
            t=self.t[slots],
            weight=self.weight[slots],
            ids=self.ids[slots],
            conditioning=conditioning,
        )

    def __len__(self) -> int:
        """B."""
        return len(self.ids)


class Objective(Protocol):
    """How rows are corrupted, and what each slot counts."""

    report_weight: float

    def batch(self, rows: Rows, counts: Mapping[str, int], rng: np.random.Generator) -> Batch:
        """The rows of a whole step, corrupted.

        Args:
            rows: the domains one after another.
            counts: rows of each domain.
            rng: source of all randomness.
        """

    def side(self, rows: Rows, counts: Mapping[str, int], kind: Side, rng: np.random.Generator) -> Batch:
        """The rows with one side noised, and the other one given or wholly masked; weights of the noised side sum to 1.

        Args:
            rows: held-out ones, the domains one after another.
            counts: rows of each domain.
            kind: what is given or absent.
            rng: source of all randomness.
        """


class Official:
    """One time for a row, any slot masked, the whole vocabulary, 1/t; each row counts as much as any other.

    Pads are masked and predicted as all slots are, and do not count. A row's loss is divided by its real tokens, masked
    or not. In one row of ten the prompt is restored.

    Args:
        layout: ids and slots.
    """

    report_weight = 1.0

    def __init__(self, layout: TokenLayout) -> None:
        self.layout = layout

    def batch(self, rows: Rows, counts: Mapping[str, int], rng: np.random.Generator) -> Batch:
        """See `Objective`. Times are one of each stratum of the batch, in random order."""
        del counts  # all image ids are one vocabulary here
        count, slots = rows.state.shape
        u_B = torch.from_numpy(rng.random(count, dtype=np.float32))
        t_B = stratified_times(u_B)[torch.from_numpy(rng.permutation(count))]
        uniform_BS = torch.from_numpy(rng.random((count, slots), dtype=np.float32))
        restored_B = torch.from_numpy(rng.random(count)) < PROMPT_RESTORED
        return self.drawn(rows, t_B, uniform_BS, restored_B)

    def drawn(self, rows: Rows, t_B: Tensor, uniform_BS: Tensor, restored_B: Tensor) -> Batch:
        """The rows corrupted by what was drawn.

        Args:
            rows: of a whole step.
            t_B: times.
            uniform_BS: float in [0, 1), one for each slot.
            restored_B: bool, rows whose prompt stays visible.
        """
        x0_BS = torch.from_numpy(rows.state)
        prompt_BS = torch.arange(x0_BS.shape[1]) < torch.from_numpy(rows.opening)[:, None]
        xt_BS = corrupt(x0_BS, t_B, uniform_BS, self.layout, keep_BS=prompt_BS & restored_B[:, None])
        counted_BS = functional.pad(torch.from_numpy(rows.counted), (0, self.layout.image_slots), value=True)
        # What is visible has no loss: its log-probability is 0 by carry-over.
        lost_BS = counted_BS & (xt_BS == self.layout.mask_id)
        share_BS = lost_BS / counted_BS.sum(1, keepdim=True) / len(x0_BS)
        return Batch(
            x0=x0_BS,
            xt=xt_BS,
            t=t_B,
            weight=(share_BS * loss_weight(t_B)[:, None]).float(),
            ids=np.tile([self.layout.image_offset, self.layout.vocab], (len(x0_BS), 1)),
            conditioning=_tensor(rows.conditioning),
        )

    def side(self, rows: Rows, counts: Mapping[str, int], kind: Side, rng: np.random.Generator) -> Batch:
        """See `Objective`."""
        drawn = self.batch(rows, counts, rng)
        slots = self.layout.report_slots
        noised, other = (slice(None, slots), slice(slots, None))[:: 1 if kind.startswith("image") else -1]
        xt, weight = drawn.xt.clone(), torch.zeros_like(drawn.weight)
        xt[:, other] = drawn.x0[:, other] if kind.endswith("given") else self.layout.mask_id
        weight[:, noised] = drawn.weight[:, noised]
        return replace(drawn, xt=xt, weight=weight / weight.sum().clamp(min=1e-6))


class Mixture:
    """Rows of several kinds, as the embedded checkpoint learns them; see `medim_forge.model.loss.corrupt_mix`.

    The report loss is the mean over counted slots of the batch. So is the image loss, domain by domain; a domain's
    images are scored among its own codes, and weigh as its rows do.

    Args:
        layout: ids and slots.
        mix: shares of the kinds.
    """

    report_weight = REPORT_WEIGHT

    def __init__(self, layout: TokenLayout, mix: CorruptionMix) -> None:
        self.layout, self.mix = layout, mix

    def batch(self, rows: Rows, counts: Mapping[str, int], rng: np.random.Generator) -> Batch:
        """See `Objective`."""
        made = corrupt_mix(rows.state, rows.opening, self.layout, self.mix, rng)
        report_BT = made.report_weight / max(made.report_weight.sum(dtype=np.float64), 1e-6)
        image_BI = made.image_weight.copy()
        ids, row = np.empty((len(rows.state), 2), np.int64), 0
        for domain, count in counts.items():
            own = slice(row, row + count)
            image_BI[own] *= count / len(ids) / max(made.image_weight[own].sum(dtype=np.float64), 1e-6)
            ids[own] = self.layout.code_range(domain)
            row += count
        return Batch(
            x0=torch.from_numpy(rows.state),
            xt=torch.from_numpy(made.xt),
            t=torch.from_numpy(made.t),
            weight=torch.from_numpy(np.concatenate([report_BT, image_BI], axis=1).astype(np.float32)),
            ids=ids,
            conditioning=_tensor(rows.conditioning),
        )

    def side(self, rows: Rows, counts: Mapping[str, int], kind: Side, rng: np.random.Generator) -> Batch:
        """See `Objective`; the opening stays visible."""
        shares = dict.fromkeys(("joint", *get_args(Side)), 0.0) | {kind: 1.0}
        mix = CorruptionMix(**shares, opening_kept=1.0, ending_masked=0.0, reading_order=0.0, reading_end=0.0)
        return Mixture(self.layout, mix).batch(rows, counts, rng)


def _tensor(array: NDArray[np.int64] | None) -> Tensor | None:
    return None if array is None else torch.from_numpy(array)


class Losses(nn.Module):
    """The loss of both sides of a batch, as a module that can be compiled.

    Args:
        backbone: that is asked.
        layout: ids, slots and the positions that logits are read at.
    """

    def __init__(self, backbone: Backbone, layout: TokenLayout) -> None:
        super().__init__()
        self.backbone, self.layout = backbone, layout
        self.register_buffer("read", layout.read_positions(), persistent=False)

    def forward(
        self,
        xt_BS: Tensor,
        x0_BS: Tensor,
        t_B: Tensor,
        weight_BS: Tensor,
        spans: tuple[tuple[int, int, int], ...],
        conditioning_BC: Tensor | None = None,
        read_BS: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Report loss and image loss, summed over the weighted slots.

        Args:
            xt_BS: corrupted state.
            x0_BS: clean state.
            t_B: times.
            weight_BS: of each slot.
            spans: `(start, stop, rows)`: so many rows, one after another, have image ids `start .. stop - 1`.
            conditioning_BC: ids between image and report.
            read_BS: positions of the logits, where there is conditioning.
        """
        slots = self.layout.report_slots
        hidden_BLD = self.backbone(*self.layout.sequence(xt_BS, conditioning_BC), sigma(t_B))
        if read_BS is None:
            read_BSD = hidden_BLD[:, self.read]
        else:
            read_BSD = hidden_BLD.gather(1, read_BS[..., None].expand(-1, -1, hidden_BLD.shape[-1]))
        # The softmax runs over the ids of the slot's own side: SUBS puts MASK and the other side out of reach.
        head_VD = self.backbone.head_weight
        report = summed_loss(
            functional.linear(read_BSD[:, :slots], head_VD[: self.layout.report_vocab]),
            x0_BS[:, :slots],
            weight_BS[:, :slots],
        )
        image, row = torch.zeros_like(report), 0
        for start, stop, count in spans:
            own = slice(row, row + count)
            logits = functional.linear(read_BSD[own, slots:], head_VD[start:stop])
            image = image + summed_loss(logits, x0_BS[own, slots:] - start, weight_BS[own, slots:])
            row += count
        return report, image

    def of(self, batch: Batch, device: torch.device) -> tuple[tuple[object, ...], dict[str, Tensor]]:
        """The arguments of `forward` for a batch, on a device."""
        tensors = [part.to(device, non_blocking=True) for part in (batch.xt, batch.x0, batch.t, batch.weight)]
        # Rows with the same image ids stand together.
        edges = [0, *(np.flatnonzero((np.diff(batch.ids, axis=0) != 0).any(1)) + 1).tolist(), len(batch)]
        spans = tuple(
            (int(batch.ids[first, 0]), int(batch.ids[first, 1]), stop - first)
            for first, stop in itertools.pairwise(edges)
        )
        if batch.conditioning is None:
            return (*tensors, spans), {}
        read_BS = self.layout.read_positions_of(batch.conditioning)
        return (*tensors, spans), {"conditioning_BC": batch.conditioning.to(device), "read_BS": read_BS.to(device)}


def summed_loss(logits_BKV: Tensor, target_BK: Tensor, weight_BK: Tensor) -> Tensor:
    """The weighted sum of the cross-entropy, in nats, computed in float32."""
    nll_R = functional.cross_entropy(logits_BKV.flatten(0, 1).float(), target_BK.flatten(), reduction="none")
    return (nll_R * weight_BK.flatten()).sum()
