"""What a pair costs: rows through the network, and floating point operations of a row. Free of torch.

A row is one sequence that goes through the backbone once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

# Mask sets of the agreement scores: everything hidden, and half of it; or the first alone.
MASK_RATIOS = (1.0, 0.5)
LEAN_RATIOS = (1.0,)
# The most that scoring may cost, in relation to sampling.
SHARE_OF_SAMPLING = 0.25
# How much of the report slots a report fills that is written until it ends; 13 of 24 is what was measured.
WRITTEN_SHARE = 0.5


@dataclass(frozen=True, kw_only=True)
class Effort:
    """How much scoring a job pays for.

    Attributes:
        ratios: share of slots hidden in each mask set; the first is 1.
        control_every: how many pairs share one negative control, an image scored with the report of another pair.
    """

    ratios: tuple[float, ...] = MASK_RATIOS
    control_every: int = 1

    def rows(self) -> float:
        """Rows for each pair, its share of the controls included, as if no row were found in the cache."""
        return scoring_rows(self.ratios) + control_rows(self.ratios) / self.control_every


EFFORTS = (Effort(), Effort(ratios=LEAN_RATIOS), Effort(ratios=LEAN_RATIOS, control_every=4))


def scoring_rows(ratios: Sequence[float]) -> int:
    """Rows that the scores of one pair read, those in the cache included.

    Four for each mask set: either side with the other one and without it. Where everything is hidden, the two rows
    without the other side are one and the same.
    """
    return 4 * len(ratios) - 1


def control_rows(ratios: Sequence[float]) -> int:
    """Rows that one negative control reads: two for each mask set, either side with the other one."""
    return 2 * len(ratios)


def affordable(sampling_rows: float) -> Effort:
    """The most scoring that costs at most a quarter of sampling, or the least there is.

    Args:
        sampling_rows: that sampling sends through the network for each pair.
    """
    fitting = (effort for effort in EFFORTS if effort.rows() <= SHARE_OF_SAMPLING * sampling_rows)
    return next(fitting, EFFORTS[-1])


def row_flops(
    *, length: int, hidden_size: int, intermediate_size: int, layers: int, heads: int, kv_heads: int, head_dim: int
) -> float:
    """Floating point operations of one row: the linear layers and attention of the backbone.

    Args:
        length: positions of the row.
        hidden_size: width of the backbone; the others are named as in `BackboneConfig`.
        intermediate_size: width of the gated MLP.
        layers: decoder layers.
        heads: query heads.
        kv_heads: key and value heads.
        head_dim: width of a head.
    """
    attended = heads * head_dim
    # Weights of one layer: queries and output, keys and values, then the three matrices of the MLP.
    projections = hidden_size * (2 * attended + 2 * kv_heads * head_dim)
    weights = layers * (projections + 3 * hidden_size * intermediate_size)
    # A multiplication and an addition by each weight at each position; then scores and mixed values of attention.
    return float(2 * length * weights + 4 * length**2 * attended * layers)
