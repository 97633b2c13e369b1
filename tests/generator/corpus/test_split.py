"""Sides are drawn by patient, and who comes later moves nobody."""

from __future__ import annotations

from collections import Counter

import pytest

from medim_forge.generator.corpus.split import drawn_split, named_split, patient_digest
from medim_forge.generator.jobspec.data import SplitSection

PATIENTS = [f"p{number}" for number in range(4000)]


def sides(section, patients=PATIENTS):
    return {patient: drawn_split(section, patient_digest(section.salt, patient)) for patient in patients}


def test_shares_are_what_is_asked_for():
    counts = Counter(sides(SplitSection(validation=0.1, test=0.2)).values())
    assert counts["validation"] / len(PATIENTS) == pytest.approx(0.1, abs=0.02)
    assert counts["test"] / len(PATIENTS) == pytest.approx(0.2, abs=0.02)
    assert Counter(sides(SplitSection(validation=0.0, test=0.0)).values()) == {"train": len(PATIENTS)}


def test_patients_who_come_later_move_nobody_and_a_larger_share_gives_none_back():
    first = sides(SplitSection(), PATIENTS[:100])
    assert {patient: side for patient, side in sides(SplitSection()).items() if patient in first} == first
    larger = sides(SplitSection(validation=0.2, test=0.2))
    smaller = sides(SplitSection(validation=0.1, test=0.1))
    assert {p for p, side in smaller.items() if side == "test"} < {p for p, side in larger.items() if side == "test"}


def test_another_salt_draws_others_and_changes_every_digest():
    one, other = SplitSection(salt="one", test=0.2), SplitSection(salt="other", test=0.2)
    assert sides(one) != sides(other)
    assert patient_digest("one", "p1") != patient_digest("other", "p1")


def test_the_draw_stays_what_it_was():
    assert patient_digest("", "patient").hex() == "2818ed012b507ed12b430ab17af297f3"
    drawn = [drawn_split(SplitSection(test=0.3), patient_digest("", f"p{number}")) for number in range(6)]
    assert drawn == ["train", "train", "validation", "train", "train", "test"]


@pytest.mark.parametrize(
    ("said", "side"),
    [
        ("train", "train"),
        (" Training ", "train"),
        ("VALIDATE", "validation"),
        ("val", "validation"),
        ("dev", "validation"),
        ("test", "test"),
        ("fold3", None),
    ],
)
def test_words_of_tables_are_understood(said, side):
    assert named_split(said) == side
