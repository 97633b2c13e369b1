"""Rows are counted once; what they cost is arithmetic, which needs no torch."""

from __future__ import annotations

import pytest

from medim_forge.model.cost import EFFORTS, affordable, row_flops


def test_efforts_read_fewer_rows_each():
    assert [effort.rows() for effort in EFFORTS] == [7 + 4, 3 + 2, 3 + 2 / 4]


@pytest.mark.parametrize(
    ("rows", "effort"), [(8, EFFORTS[2]), (19, EFFORTS[2]), (20, EFFORTS[1]), (43, EFFORTS[1]), (44, EFFORTS[0])]
)
def test_scoring_takes_a_quarter_of_sampling_at_most_or_the_least_there_is(rows, effort):
    assert affordable(rows) == effort
    assert effort.rows() <= rows / 4 or effort == EFFORTS[-1]


def test_a_row_multiplies_by_every_weight_at_every_position_and_attends_to_all_of_them():
    sizes = {"hidden_size": 3, "intermediate_size": 5, "layers": 2, "heads": 2, "kv_heads": 1, "head_dim": 4}
    weights = 2 * (3 * 8 + 3 * 4 + 3 * 4 + 8 * 3 + 3 * 3 * 5)
    assert row_flops(length=7, **sizes) == 2 * 7 * weights + 2 * 2 * (2 * 7 * 7 * 8)
