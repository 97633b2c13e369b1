"""The chest phantoms: what is drawn is what is written, balanced, reproducible, and visible."""

import hashlib
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from medim_forge.generator.phantoms import (
    FINDINGS,
    OPENING,
    Phantom,
    chest,
    chest_image,
    chest_report,
    draw,
    read_report,
    sentences,
)

_DOMAIN = "chest_xray"


@pytest.fixture(scope="module")
def phantoms() -> list[Phantom]:
    return [draw(_DOMAIN, seed) for seed in range(500)]


def _bare() -> chest.ChestParams:
    return chest.ChestParams(
        view="PA", heart_grade="", ctr=0.45, effusion_right="", effusion_left="", pneumothorax_right="",
        pneumothorax_left="", nodule="", consolidation="", edema=False, pacemaker=False, tube=False,
        inspiration=0.0, girth=1.0, shift_right=0, shift_down=0,
    )  # fmt: skip


def _picture(params: chest.ChestParams) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    return chest_image.render(params, np.random.default_rng(0)).astype(np.float64)


def test_every_report_reads_back_as_the_findings_drawn(phantoms: list[Phantom]) -> None:
    for phantom in phantoms:
        reading = read_report(phantom.report)
        assert reading.domain == _DOMAIN
        assert reading.findings == reading.asserted_in_impression == phantom.findings, phantom.report
        assert reading.in_grammar, phantom.report
        assert reading.consistent, phantom.report


def test_reports_open_as_promised_and_fit_the_text_slots(phantoms: list[Phantom]) -> None:
    for phantom in phantoms:
        assert phantom.report.startswith(OPENING[_DOMAIN])
        assert 4 <= chest_report.GRAMMAR.read(phantom.report).total <= 20


def test_the_table_is_small_enough_for_whole_sentence_tokens() -> None:
    assert len(sentences(_DOMAIN)) <= 130


def test_every_sentence_of_the_table_is_written_sooner_or_later() -> None:
    written: set[str] = set()
    for seed in range(2500):
        rng = np.random.default_rng(seed)
        params = chest.sample(rng)
        reading = chest_report.GRAMMAR.read(chest_report.write(params, rng))
        written |= {row.text for row in (*reading.body, *reading.impression)}
    assert written == set(sentences(_DOMAIN))


def test_images_are_grey_bytes_of_96_pixels(phantoms: list[Phantom]) -> None:
    assert all(p.image.shape == (96, 96) and p.image.dtype == np.uint8 for p in phantoms)


def test_every_finding_is_neither_rare_nor_common(phantoms: list[Phantom]) -> None:
    counts = Counter(name for phantom in phantoms for name in phantom.findings)
    for name in FINDINGS[_DOMAIN]:
        assert 0.10 <= counts[name] / len(phantoms) <= 0.35, (name, counts[name])
    normal = sum(not phantom.findings for phantom in phantoms) / len(phantoms)
    assert 0.08 <= normal <= 0.25


def test_training_draws_never_hold_a_held_out_combination(phantoms: list[Phantom]) -> None:
    assert not any(chest.is_held_out(phantom.findings) for phantom in phantoms)


def test_held_out_draws_always_hold_one_and_all_occur() -> None:
    drawn = [draw(_DOMAIN, seed, held_out=True).findings for seed in range(100)]
    assert all(chest.is_held_out(present) for present in drawn)
    assert all(any(combination <= present for present in drawn) for combination in chest.HELD_OUT)


def test_unrestricted_draws_hold_a_small_share_of_held_out_combinations() -> None:
    shares = [chest.is_held_out(draw(_DOMAIN, seed, held_out=None).findings) for seed in range(500)]
    assert 0.03 <= sum(shares) / len(shares) <= 0.12


def test_no_side_holds_both_fluid_and_air_and_no_lung_two_opacities() -> None:
    for seed in range(2000):
        params = chest.sample(np.random.default_rng(seed))
        assert not (params.effusion_right and params.pneumothorax_right)
        assert not (params.effusion_left and params.pneumothorax_left)
        if params.nodule and params.consolidation:
            assert params.nodule.split()[1] != params.consolidation.split()[0]


def test_the_same_seed_gives_the_same_bytes_in_another_process() -> None:
    code = (
        "import hashlib; from medim_forge.generator.phantoms import draw; p = draw('chest_xray', 11);"
        "print(hashlib.sha256(p.image.tobytes() + p.report.encode()).hexdigest())"
    )
    there = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    here = draw(_DOMAIN, 11)
    assert there == hashlib.sha256(here.image.tobytes() + here.report.encode()).hexdigest()
    assert not np.array_equal(here.image, draw(_DOMAIN, 12).image)


@pytest.mark.parametrize(
    ("change", "least"),
    [
        ({"heart_grade": "mild", "ctr": 0.54}, 60),
        ({"effusion_right": "small"}, 80),
        ({"effusion_left": "small"}, 80),
        ({"pneumothorax_right": "small"}, 150),
        ({"pneumothorax_left": "small"}, 150),
        ({"nodule": "nodule left upper"}, 40),
        ({"nodule": "mass right lower"}, 100),
        ({"consolidation": "right mid"}, 200),
        ({"edema": True}, 300),
        ({"pacemaker": True}, 100),
        ({"tube": True}, 40),
    ],
)
def test_each_finding_changes_many_pixels_clearly(change: dict[str, object], least: int) -> None:
    before, after = _picture(_bare()), _picture(replace(_bare(), **change))  # type: ignore[arg-type]
    assert int((np.abs(after - before) > 25).sum()) >= least


@pytest.mark.parametrize(("side", "columns"), [("right", slice(0, 48)), ("left", slice(48, 96))])
def test_the_patients_right_is_on_the_left_of_the_image(side: str, columns: slice) -> None:
    finding = {f"effusion_{side}": "large"}
    before, after = _picture(_bare()), _picture(replace(_bare(), **finding))  # type: ignore[arg-type]
    changed = np.abs(after - before) > 25
    assert changed[:, columns].sum() == changed.sum() > 0


def test_severities_grow_in_the_image() -> None:
    bare = _picture(_bare())
    for key, sizes in (("effusion_left", ("small", "moderate", "large")), ("pneumothorax_right", ("small", "large"))):
        pictures = [_picture(replace(_bare(), **{key: size})) for size in sizes]  # type: ignore[arg-type]
        areas = [int((np.abs(picture - bare) > 25).sum()) for picture in pictures]
        assert all(small * 1.4 < large for small, large in pairwise(areas)), areas


def test_the_cardiothoracic_ratio_named_is_the_one_drawn() -> None:
    for seed in range(300):
        params = chest.sample(np.random.default_rng(seed))
        centre = {"": 0.45, "mild": 0.54, "moderate": 0.60, "severe": 0.66}[params.heart_grade]
        assert abs(params.ctr - centre) <= (0.0101 if params.heart_grade else 0.0301)
