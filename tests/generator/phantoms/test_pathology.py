"""The stylised H&E patches: exact labels, fixed bytes, and findings that the pixels really show."""

from collections import Counter
from collections.abc import Callable
from functools import lru_cache

import numpy as np
import pytest
from numpy.typing import NDArray

from medim_forge.generator.phantoms import grammar, pathology, pathology_report

Image = NDArray[np.uint8]
DRAWS = 500


@lru_cache(maxsize=1)
def _drawn() -> tuple[tuple[pathology.TissueParams, Image, str], ...]:
    rng = np.random.default_rng(77)
    drawn = []
    for _ in range(DRAWS):
        params = pathology.sample(rng)
        drawn.append((params, pathology.render(params, rng), pathology_report.write(params, rng)))
    return tuple(drawn)


def _sentence_count(report: str) -> int:
    return len(grammar.split_sentences(report))


def _tiles(image: Image) -> NDArray[np.float64]:
    """The image as [144, 8, 8, 3], one tile per token."""
    tiled = image.reshape(12, 8, 12, 8, 3).transpose(0, 2, 1, 3, 4)
    return tiled.reshape(144, 8, 8, 3).astype(np.float64)


def _white_area(image: Image) -> float:
    """The largest white share of a tile: a lumen fills its tile, the halo of a mitosis does not."""
    return float((_tiles(image).min(-1) > 225).mean((1, 2)).max())


def _blue_grey_area(image: Image) -> float:
    """How many pixels are greyer than any stroma: green close to red, and not white."""
    red, green = image[..., 0].astype(int), image[..., 1].astype(int)
    return float(((red - green < 30) & (red > 140) & (red < 200)).mean())


def _occupied_tiles(image: Image) -> float:
    """The share of tiles with at least a few purple pixels."""
    purple = (_tiles(image)[..., 0] < 165).mean((1, 2))
    return float((purple > 0.12).mean())


def _dotted_tiles(image: Image) -> float:
    """How many tiles change from dark to light about four times along both axes, as packed lymphocytes do."""
    dark = _tiles(image)[..., 0] < 100
    crossings = (dark[:, 1:] != dark[:, :-1]).sum((1, 2)) + (dark[:, :, 1:] != dark[:, :, :-1]).sum((1, 2))
    return float((crossings >= 32).sum())


def _large_dark_tiles(image: Image) -> float:
    """How many tiles are dark in well over half of their pixels."""
    return float(((_tiles(image)[..., 0] < 115).mean((1, 2)) > 0.5).sum())


def _black_beside_white(image: Image) -> float:
    """How many tiles hold both near-black and white pixels."""
    tiles = _tiles(image)
    black, white = (tiles.max(-1) < 45).sum((1, 2)), (tiles.min(-1) > 215).sum((1, 2))
    return float(((black >= 2) & (white >= 4)).sum())


def _deep_pink_area(image: Image) -> float:
    """The share of pixels of dense collagen: strongly red over green, and not nuclear."""
    red, green = image[..., 0].astype(int), image[..., 1].astype(int)
    return float(((red > 180) & (red - green > 80)).mean())


STATISTICS: dict[str, Callable[[Image], float]] = {
    "glands": _white_area,
    "hypercellular": _occupied_tiles,
    "pleomorphism": _large_dark_tiles,
    "mitoses": _black_beside_white,
    "necrosis": _blue_grey_area,
    "lymphocytes": _dotted_tiles,
    "fibrosis": _deep_pink_area,
}


def _auc(present: list[float], absent: list[float]) -> float:
    """The chance that a patch with the finding scores above one without, ties counting half."""
    a, b = np.array(present)[:, None], np.array(absent)[None, :]
    return float(((a > b) + 0.5 * (a == b)).mean())


@pytest.mark.parametrize("finding", pathology_report.FINDINGS)
def test_a_hand_made_pixel_statistic_separates_patches_with_and_without_the_finding(finding: str) -> None:
    statistic = STATISTICS[finding]
    scores: dict[bool, list[float]] = {True: [], False: []}
    for params, image, _ in _drawn():
        scores[finding in pathology.findings(params)].append(statistic(image))
    assert _auc(scores[True], scores[False]) > 0.95


def test_a_statistic_of_another_finding_does_not_separate() -> None:
    scores: dict[bool, list[float]] = {True: [], False: []}
    for params, image, _ in _drawn():
        scores["fibrosis" in pathology.findings(params)].append(_white_area(image))
    assert 0.35 < _auc(scores[True], scores[False]) < 0.65


def test_the_labels_read_from_a_report_are_the_findings_of_the_patch() -> None:
    for params, _, report in _drawn():
        reading = grammar.read_report([pathology_report.GRAMMAR], report)
        found = pathology.findings(params)
        assert (reading.findings, reading.asserted_in_impression) == (found, found), report
        assert reading.in_grammar, report
        assert reading.consistent, report


def test_the_keyword_rules_alone_read_every_sentence_of_the_grammar_the_same() -> None:
    table = pathology_report.GRAMMAR
    for row in table.sentences:
        guessed = table.findings_of([table.guess(row.text)])
        assert guessed == row.asserts & set(pathology_report.FINDINGS), row.text


def test_a_report_opens_as_promised_and_stays_short() -> None:
    reports = [report for _, _, report in _drawn()]
    assert all(report.startswith(pathology_report.OPENING + " ") for report in reports)
    assert max(map(_sentence_count, reports)) <= 18
    assert len(pathology_report.GRAMMAR.sentences) <= 70


def test_every_sentence_of_the_grammar_is_written_sooner_or_later() -> None:
    written = {sentence for _, _, report in _drawn() for sentence in grammar.split_sentences(report)}
    assert written == {row.text for row in pathology_report.GRAMMAR.sentences}


def test_counts_and_places_in_the_report_are_those_of_the_patch() -> None:
    for params, _, report in _drawn():
        rows = [pathology_report.GRAMMAR.lookup(s) for s in grammar.split_sentences(report)]
        claims = {claim for row in rows if row is not None for claim in row.claims}
        assert (f"gland_count/{len(params.glands)}" in claims) == bool(params.glands)
        assert (f"mitosis_count/{len(params.mitoses)}" in claims) == bool(params.mitoses)
        if params.necrosis is not None:
            row, column = params.necrosis
            place = f"{'lower' if row >= 4 else 'upper'} {'right' if column >= 4 else 'left'}"
            assert f"necrosis_place/{place}" in claims


def test_a_patch_is_a_96_px_rgb_image_of_bytes() -> None:
    for _, image, _ in _drawn()[:20]:
        assert image.shape == (96, 96, 3)
        assert image.dtype == np.uint8


def test_the_same_generator_state_gives_the_same_bytes_and_another_gives_others() -> None:
    def patch(seed: int) -> tuple[bytes, str]:
        rng = np.random.default_rng(seed)
        params = pathology.sample(rng)
        return pathology.render(params, rng).tobytes(), pathology_report.write(params, rng)

    assert [patch(seed) for seed in range(20)] == [patch(seed) for seed in range(20)]
    assert len({patch(seed)[0] for seed in range(50)}) == 50


def test_every_finding_is_neither_rare_nor_usual() -> None:
    rng = np.random.default_rng(3)
    counts: Counter[str] = Counter()
    for _ in range(2000):
        counts.update(pathology.findings(pathology.sample(rng)))
    assert set(counts) == set(pathology_report.FINDINGS) == set(pathology.PREVALENCE)
    assert all(0.15 < count / 2000 < 0.45 for count in counts.values()), counts


def test_held_out_combinations_are_a_small_part_and_include_every_superset() -> None:
    rng = np.random.default_rng(4)
    held_out = [pathology.is_held_out(pathology.findings(pathology.sample(rng))) for _ in range(2000)]
    assert 0.05 < np.mean(held_out) < 0.12
    for combination in pathology.HELD_OUT:
        assert pathology.is_held_out(combination)
        assert pathology.is_held_out(frozenset(pathology_report.FINDINGS))
        assert not any(pathology.is_held_out(combination - {name}) for name in combination)
    assert not pathology.is_held_out(frozenset())


def test_structures_lie_inside_the_patch_and_never_on_each_other() -> None:
    for params, _, _ in _drawn():
        squares = [(gland.cell, gland.cells) for gland in params.glands] + [(cell, 1) for cell in params.mitoses]
        squares += [(params.necrosis, 6)] if params.necrosis is not None else []
        squares += [(params.lymphocytes, 4)] if params.lymphocytes is not None else []
        covered = np.zeros((12, 12), int)
        for (row, column), cells in squares:
            assert max(row, column) + cells <= 12
            covered[row : row + cells, column : column + cells] += 1
        assert covered.max(initial=0) <= 1


def test_patches_are_made_of_few_distinct_tiles() -> None:
    tiles = Counter(tile.tobytes() for _, image, _ in _drawn() for tile in _tiles(image).astype(np.uint8))
    common = sum(count for _, count in tiles.most_common(512))
    assert common / tiles.total() > 0.9
