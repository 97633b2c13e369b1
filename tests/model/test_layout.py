"""Where every token of the joint sequence is, and which ids belong where."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from medim_forge.model.layout import Codebook, LayoutError, ReportIds, TokenLayout


def make(report_slots=5, image_slots=4, books=(3, 6), **more):
    return TokenLayout(
        report_slots=report_slots,
        image_slots=image_slots,
        report_vocab=12,
        codebooks=tuple(Codebook(domains=(name,), size=size) for name, size in zip("ab", books, strict=False)),
        boi_id=3,
        eoi_id=4,
        eos_id=5,
        **more,
    )


def test_the_vocabulary_is_report_ids_then_mask_then_codebooks():
    layout = make()
    assert (layout.mask_id, layout.image_offset, layout.vocab) == (12, 13, 22)
    assert layout.code_range("a") == (13, 16)
    assert layout.code_range("b") == (16, 22)
    assert layout.domains == ("a", "b")


def test_domains_may_share_a_codebook():
    shared = TokenLayout(
        report_slots=2,
        image_slots=1,
        report_vocab=9,
        codebooks=(Codebook(domains=("a", "b"), size=7),),
        boi_id=3,
        eoi_id=4,
        eos_id=5,
    )
    assert shared.code_range("a") == shared.code_range("b") == (10, 17)


@given(st.lists(st.integers(0, 5), min_size=1, max_size=8))
def test_codes_survive_the_joint_vocabulary(codes):
    layout = make()
    joint = layout.to_joint(torch.tensor(codes), "b")
    assert int(joint.min()) >= 16
    assert layout.to_codes(joint, "b").tolist() == codes


def test_ids_of_another_domain_are_refused():
    layout = make()
    with pytest.raises(LayoutError, match=r"span 0\.\.3, a has 0\.\.2"):
        layout.to_joint(torch.tensor([0, 3]), "a")
    with pytest.raises(LayoutError, match=r"joint id 16 is no a image code \(13\.\.15\)"):
        layout.to_codes(torch.tensor([13, 16]), "a")
    with pytest.raises(LayoutError, match="domain 'c' has no codebook in this checkpoint; known: a, b"):
        layout.code_range("c")


def test_the_network_reads_boi_image_eoi_conditioning_report_eos():
    layout = make()
    state = torch.tensor([[1, 7, 12, 0, 0, 13, 14, 12, 15]])
    ids, visible = layout.sequence(state, torch.tensor([[8, 9]]))
    assert ids.tolist() == [[3, 13, 14, 12, 15, 4, 8, 9, 1, 7, 12, 0, 0, 5]]
    assert ids.shape[1] == layout.length(2)
    # A pad in the report is invisible; a masked slot, an image code and the frame are not.
    assert visible.tolist() == [[True] * 11 + [False] * 2 + [True]]


@given(st.integers(1, 6), st.integers(1, 6), st.integers(0, 4))
def test_logits_are_read_one_later_for_images_and_one_earlier_for_reports(report_slots, image_slots, conditioning):
    layout = make(report_slots, image_slots)
    # State slots hold numbers of their own, so that a position in the sequence tells its slot.
    state = torch.arange(100, 100 + layout.state_slots)[None]
    ids, _ = layout.sequence(state, torch.full((1, conditioning), 50))
    ids = ids[0].tolist()
    read = layout.read_positions(conditioning).tolist()
    for slot in range(report_slots):
        assert read[slot] == ids.index(100 + slot) - 1
    for slot in range(image_slots):
        assert read[report_slots + slot] == ids.index(100 + report_slots + slot) + 1


def test_frame_ids_pad_bos_end_and_mask_are_never_chosen():
    report, image = make(end_id=2).allowed("b")
    assert report.tolist() == [6, 7, 8, 9, 10, 11]
    assert image.tolist() == [16, 17, 18, 19, 20, 21]
    assert 2 in make(end_id=None).allowed("b")[0].tolist()


def test_a_domain_may_have_report_ids_of_its_own():
    layout = make(report_ids=(ReportIds(domain="a", ids=(7, 9)),))
    assert layout.allowed("a")[0].tolist() == [7, 9]
    assert layout.allowed("b")[0].tolist() == [2, 6, 7, 8, 9, 10, 11]
