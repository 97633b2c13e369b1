"""TokenLayout: every vocabulary range, slot, offset and read-shift of the joint sequence; they live nowhere else.

The sampler's state is `[report | image]`; the network reads `[boi] image [eoi] conditioning report [eos]`.
Free of torch until ids become tensors, so that plans can ask.
Legend: B batch, I image slots, T report slots, S = T + I state slots, C conditioning ids, L = I + T + C + 3 sequence,
V vocabulary.
Source: medim-spec section 3 (official MeDiM at commit ce1ea99).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

ABSENT = -1


class LayoutError(ValueError):
    """Ids, lengths or a domain that the layout does not know."""


@dataclass(frozen=True, kw_only=True)
class Codebook:
    """A run of image ids in the joint vocabulary.

    Attributes:
        domains: domains whose images are written with it.
        size: number of codes.
    """

    domains: tuple[str, ...]
    size: int


@dataclass(frozen=True, kw_only=True)
class ReportIds:
    """The report ids that a domain's reports are made of.

    Attributes:
        domain: which.
        ids: ascending; no frame ids, no pad, bos or end.
    """

    domain: str
    ids: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class TokenLayout:
    """Where everything is.

    Attributes:
        report_slots: T.
        image_slots: I, a square grid in raster order.
        report_vocab: report ids are `0 .. report_vocab - 1`; MASK follows, then the codebooks.
        codebooks: in vocabulary order.
        pad_id: fills report slots after the end; as a key it is invisible to attention.
        bos_id: first report id.
        boi_id, eoi_id, eos_id: frame ids, never masked, never predicted.
        report_ids: ids that `corrected` sampling may choose for a report; a domain without an entry may use all.
        end_id: learned end of report; None where the end is not modelled (official weights fill every slot).
        image_read_shift: logits of image slot k are read at the position of slot k + shift (official: +1).
        report_read_shift: logits of report slot j are read at the position of slot j + shift (official: -1).
        unused_ids: further report ids that no report holds (official: Llama's own end of text).
    """

    report_slots: int
    image_slots: int
    report_vocab: int
    codebooks: tuple[Codebook, ...]
    pad_id: int = 0
    bos_id: int = 1
    boi_id: int
    eoi_id: int
    eos_id: int
    end_id: int | None = None
    report_ids: tuple[ReportIds, ...] = ()
    image_read_shift: int = 1
    report_read_shift: int = -1
    unused_ids: tuple[int, ...] = field(default=(), metadata={"optional": True})

    @property
    def mask_id(self) -> int:
        """The id of MASK."""
        return self.report_vocab

    @property
    def image_offset(self) -> int:
        """Joint id of code 0 of the first codebook."""
        return self.report_vocab + 1

    @property
    def vocab(self) -> int:
        """V: report ids, MASK, all codes."""
        return self.image_offset + sum(book.size for book in self.codebooks)

    @property
    def state_slots(self) -> int:
        """S = T + I."""
        return self.report_slots + self.image_slots

    def length(self, conditioning: int = 0) -> int:
        """L, the network's sequence length with `conditioning` extra ids."""
        return self.state_slots + conditioning + 3

    @cached_property
    def _ranges(self) -> Mapping[str, tuple[int, int]]:
        ranges: dict[str, tuple[int, int]] = {}
        start = self.image_offset
        for book in self.codebooks:
            ranges.update(dict.fromkeys(book.domains, (start, start + book.size)))
            start += book.size
        return ranges

    @property
    def domains(self) -> tuple[str, ...]:
        """Domains that have a codebook, in vocabulary order."""
        return tuple(self._ranges)

    def code_range(self, domain: str) -> tuple[int, int]:
        """Joint ids `[start, stop)` of a domain's codes.

        Raises:
            LayoutError: no codebook serves the domain.
        """
        if domain not in self._ranges:
            raise LayoutError(f"domain {domain!r} has no codebook in this checkpoint; known: {', '.join(self._ranges)}")
        return self._ranges[domain]

    def to_joint(self, codes: Tensor, domain: str) -> Tensor:
        """Codebook ids of one domain as joint ids."""
        start, stop = self.code_range(domain)
        if codes.numel() and (int(codes.min()) < 0 or int(codes.max()) >= stop - start):
            raise LayoutError(
                f"image codes span {int(codes.min())}..{int(codes.max())}, {domain} has 0..{stop - start - 1}"
            )
        return codes + start

    def to_codes(self, ids: Tensor, domain: str) -> Tensor:
        """Joint ids of one domain's image as codebook ids.

        Raises:
            LayoutError: an id lies outside the domain's codebook.
        """
        start, stop = self.code_range(domain)
        if bool(((ids < start) | (ids >= stop)).any()):
            bad = ids[(ids < start) | (ids >= stop)][0]
            raise LayoutError(f"joint id {int(bad)} is no {domain} image code ({start}..{stop - 1})")
        return ids - start

    def sequence(self, state_BS: Tensor, conditioning_BC: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """The network's input for a state.

        Args:
            state_BS: int64, `[report | image]`.
            conditioning_BC: int64 ids between image and report; None for none. Rows with fewer ids are filled up with
                `ABSENT`, which moves behind the end of the sequence, where it is invisible: every row has the positions
                that it would have alone.

        Returns:
            ids_BL int64 and visible_BL bool: report slots that hold `pad_id` are invisible as keys.
        """
        import torch

        report_BT, image_BI = state_BS[:, : self.report_slots], state_BS[:, self.report_slots :]
        if conditioning_BC is None:
            conditioning_BC = state_BS.new_zeros((state_BS.shape[0], 0))
        ones_B1 = state_BS.new_ones((state_BS.shape[0], 1))
        parts = [
            ones_B1 * self.boi_id,
            image_BI,
            ones_B1 * self.eoi_id,
            conditioning_BC,
            report_BT,
            ones_B1 * self.eos_id,
        ]
        ids_BL = torch.cat(parts, dim=1)
        visible_BL = torch.ones_like(ids_BL, dtype=torch.bool)
        start = 1 + self.image_slots + 1 + conditioning_BC.shape[1]
        visible_BL[:, start : start + self.report_slots] = report_BT != self.pad_id
        if conditioning_BC.shape[1]:
            # A stable sort by absence moves absent ids behind the end and keeps the order of all others.
            absent_BL = ids_BL == ABSENT
            order_BL = absent_BL.long().argsort(dim=1, stable=True)
            ids_BL = torch.where(absent_BL, self.pad_id, ids_BL).gather(1, order_BL)
            visible_BL = (visible_BL & ~absent_BL).gather(1, order_BL)
        return ids_BL, visible_BL

    def read_positions(self, conditioning: int = 0) -> Tensor:
        """Positions [S] whose outputs are the logits of the state slots, in state order."""
        import torch

        image = torch.arange(self.image_slots) + 1 + self.image_read_shift
        report = torch.arange(self.report_slots) + self.image_slots + 2 + conditioning + self.report_read_shift
        return torch.cat([report, image])

    def read_positions_of(self, conditioning_BC: Tensor) -> Tensor:
        """Positions [B, S] as `read_positions` has them, for rows with `ABSENT` conditioning ids too."""
        import torch

        rows = [self.read_positions(count) for count in (conditioning_BC != ABSENT).sum(1).tolist()]
        return torch.stack(rows).to(conditioning_BC.device)

    def allowed(self, domain: str) -> tuple[Tensor, Tensor]:
        """Ids that `corrected` sampling may choose: report ids [*] and image ids [*] of the domain.

        Frame ids, pad, bos, the end and MASK are never chosen for a report slot: the end is drawn on its own.
        """
        import torch

        for own in self.report_ids:
            if own.domain == domain:
                return torch.tensor(own.ids), torch.arange(*self.code_range(domain))
        return self.report_content(), torch.arange(*self.code_range(domain))

    def report_content(self) -> Tensor:
        """Ids [V] that reports are made of, ascending: a given report is not bound to the sentences of its domain."""
        import torch

        banned = {self.pad_id, self.bos_id, self.boi_id, self.eoi_id, self.eos_id, self.end_id, *self.unused_ids}
        return torch.tensor([i for i in range(self.report_vocab) if i not in banned])
