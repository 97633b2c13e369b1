"""A picture of some pairs: every image with its report under it, given words in another colour than generated ones."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import zip_longest

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from medim_forge.generator.dataset import Dataset, Row
from medim_forge.generator.dataset.png import encode_png
from medim_forge.generator.domains import facts_of

TILES = 24
_COLUMNS = 6
_IMAGE = 288  # pixels of the longer side of an image on the sheet
_PAD = 14
_GAP = 18
_LINE = 18
_PILL = 22
_PILL_INSET = 6
_PILL_GAP = 5
_BACKGROUND = (244, 245, 247)
_CARD = (255, 255, 255)
_BORDER = (221, 224, 229)
_INK = (32, 36, 42)
_GIVEN = (23, 98, 181)
_FAINT = (112, 119, 130)
_PILL_FILL = (233, 239, 247)

Color = tuple[int, int, int]
Font = ImageFont.FreeTypeFont | ImageFont.ImageFont
Word = tuple[str, Color]


@dataclass(frozen=True, kw_only=True)
class Tile:
    """One pair on the sheet.

    Attributes:
        pair_id: printed above the report.
        domain: tiles of one domain stand together.
        image: uint8 [H, W] or [H, W, 3].
        report: whole report.
        prompt_chars: how many leading characters of `report` were given.
        findings: that the labeler reads in the report; None when none read it.
    """

    pair_id: str
    domain: str
    image: NDArray[np.uint8]
    report: str
    prompt_chars: int
    findings: tuple[str, ...] | None


def tile_of(row: Row) -> Tile:
    """The tile of a dataset row."""
    return Tile(
        pair_id=row.pair_id,
        domain=row.domain,
        image=row.pixels(),
        report=row.report,
        prompt_chars=row.prompt_chars,
        findings=row.findings_report,
    )


def choose_tiles(dataset: Dataset, limit: int = TILES) -> list[Tile]:
    """Up to `limit` pairs: each domain in turn, and within a domain each combination of findings in turn."""
    strata: dict[str, dict[tuple[str, ...], list[int]]] = defaultdict(lambda: defaultdict(list))
    for index, row in enumerate(dataset.columns(["domain", "findings_report"])):
        stratum = strata[row["domain"]][tuple(row["findings_report"] or ())]
        if len(stratum) < limit:
            stratum.append(index)
    turns = [_round_robin(list(strata[domain].values())) for domain in sorted(strata)]
    chosen = _round_robin(turns)[:limit]
    tiles = [tile_of(dataset[index]) for index in sorted(chosen)]
    return sorted(tiles, key=lambda tile: tile.domain)


def contact_sheet(tiles: Sequence[Tile], title: str, says: str, *, given: bool = False) -> bytes:
    """The sheet as a PNG file; the same tiles always give the same bytes.

    Args:
        tiles: pairs to show.
        title: headline.
        says: what the pairs are, below it.
        given: whether all of them are people's own, so that nothing on the sheet was generated.
    """
    longest = max(Counter(tile.domain for tile in tiles).values(), default=1)
    columns = min(_COLUMNS, longest)
    legend = _legend(says, given=given)
    width = max(720, columns * (_card_width() + _GAP) + _GAP, _GAP + math.ceil(sum(map(_length, legend))))
    rows = [(domain, list(row)) for domain, row in _rows(tiles, columns)]
    heights = [max(_card_height(tile) for tile in row) for _, row in rows]
    headings = sum(1 for position in range(len(rows)) if _starts_domain(rows, position))
    height = 84 + sum(heights) + _GAP * len(rows) + 44 * headings + _GAP
    sheet = Image.new("RGB", (width, height), _BACKGROUND)
    draw = ImageDraw.Draw(sheet)
    _draw_head(draw, title, legend)
    top = 84
    for position, ((domain, row), row_height) in enumerate(zip(rows, heights, strict=True)):
        if _starts_domain(rows, position):
            heading = facts_of(domain).title
            draw.text((_GAP, top + 6), heading, fill=_INK, font=_font(20))
            top += 44
        for column, tile in enumerate(row):
            _draw_card(sheet, draw, tile, (_GAP + column * (_card_width() + _GAP), top), row_height)
        top += row_height + _GAP
    return encode_png(np.asarray(sheet), None if given else "compositeWithTrainedAlgorithmicMedia")


def _legend(says: str, *, given: bool) -> list[Word]:
    """What the pairs are, and what the colours mean."""
    if given:
        return [(says, _FAINT), ("Blue words are the opening,", _GIVEN), ("dark words the report.", _INK)]
    return [
        (says, _FAINT),
        ("Blue words were given,", _GIVEN),
        ("dark words generated.", _INK),
        ("Grey labels: findings read in the report.", _FAINT),
    ]


def _length(word: Word) -> float:
    """How wide words of the legend are with the blanks behind them, pixels."""
    return float(_font(15).getlength(word[0] + "  "))


def _draw_head(draw: ImageDraw.ImageDraw, title: str, legend: Sequence[Word]) -> None:
    """Title and legend."""
    draw.text((_GAP, 16), title, fill=_INK, font=_font(26))
    left = float(_GAP)
    for word in legend:
        draw.text((left, 54), word[0], fill=word[1], font=_font(15))
        left += _length(word)


def _draw_card(sheet: Image.Image, draw: ImageDraw.ImageDraw, tile: Tile, corner: tuple[int, int], height: int) -> None:
    """A card with image, id, findings and report, its upper left corner at `corner`."""
    left, top = corner
    box = (left, top, left + _card_width(), top + height)
    draw.rounded_rectangle(box, radius=8, fill=_CARD, outline=_BORDER)
    picture = _picture(tile.image)
    x, y = left + _PAD, top + _PAD
    sheet.paste(picture, (x + (_IMAGE - picture.width) // 2, y + (_IMAGE - picture.height) // 2))
    y += _IMAGE + 10
    draw.text((x, y), tile.pair_id, fill=_FAINT, font=_font(13))
    y += _LINE + 2
    for line in _pill_lines(tile):
        pill_left = float(x)
        for name in line:
            length = draw.textlength(name, font=_font(12))
            right = pill_left + length + 2 * _PILL_INSET
            draw.rounded_rectangle((pill_left, y, right, y + _PILL - 4), radius=8, fill=_PILL_FILL)
            draw.text((pill_left + _PILL_INSET, y + 2), name, fill=_FAINT, font=_font(12))
            pill_left = right + _PILL_GAP
        y += _PILL
    y += 4
    for words in _report_lines(tile):
        word_left = float(x)
        for word, color in words:
            draw.text((word_left, y), word, fill=color, font=_font(14))
            word_left += draw.textlength(word + " ", font=_font(14))
        y += _LINE


def _picture(image: NDArray[np.uint8]) -> Image.Image:
    """The image at the size of the sheet: a small one by a whole factor, so that its pixels stay what they are."""
    longest = max(image.shape[:2])
    picture = Image.fromarray(image).convert("RGB")
    if longest <= _IMAGE:
        factor = _IMAGE // longest
        return picture.resize((picture.width * factor, picture.height * factor), Image.Resampling.NEAREST)
    picture.thumbnail((_IMAGE, _IMAGE), Image.Resampling.LANCZOS)
    return picture


def _card_width() -> int:
    return _IMAGE + 2 * _PAD


def _card_height(tile: Tile) -> int:
    return 2 * _PAD + _IMAGE + 16 + _LINE + _PILL * len(_pill_lines(tile)) + _LINE * len(_report_lines(tile))


def _pill_lines(tile: Tile) -> list[list[str]]:
    """The finding labels, broken into lines."""
    if tile.findings is None:
        return []
    names = [name.replace("_", " ") for name in tile.findings] or ["no finding"]
    lines = _wrap([(name, _FAINT) for name in names], _font(12), gap=_PILL_GAP, inset=_PILL_INSET)
    return [[name for name, _ in line] for line in lines]


def _report_lines(tile: Tile) -> list[list[Word]]:
    """The report broken into lines, every word with its colour."""
    words: list[Word] = []
    position = 0
    for word in tile.report.split():
        position = tile.report.index(word, position)
        words += [(piece, _GIVEN if position < tile.prompt_chars else _INK) for piece in _pieces(word)]
        position += len(word)
    return _wrap(words, _font(14), gap=_font(14).getlength(" "))


def _wrap(words: Sequence[Word], font: Font, gap: float, inset: float = 0) -> list[list[Word]]:
    """The words in lines no wider than an image, `gap` pixels between words and `inset` on either side of each."""
    lines: list[list[Word]] = []
    used = float("inf")
    for word, color in words:
        length = font.getlength(word) + 2 * inset
        if used + length > _IMAGE:
            lines.append([])
            used = 0.0
        lines[-1].append((word, color))
        used += length + gap
    return lines


def _pieces(word: str, longest: int = 32) -> list[str]:
    """A word cut where it would not fit into a line: a model may write anything."""
    return [word[start : start + longest] for start in range(0, len(word), longest)]


def _rows(tiles: Sequence[Tile], columns: int) -> Iterator[tuple[str, Sequence[Tile]]]:
    """The tiles in rows; a domain starts a new row."""
    for domain in dict.fromkeys(tile.domain for tile in tiles):
        own = [tile for tile in tiles if tile.domain == domain]
        for start in range(0, len(own), columns):
            yield domain, own[start : start + columns]


def _starts_domain(rows: Sequence[tuple[str, Sequence[Tile]]], position: int) -> bool:
    return position == 0 or rows[position - 1][0] != rows[position][0]


def _round_robin(lists: Sequence[Sequence[int]]) -> list[int]:
    """One of each list in turn, until all are empty."""
    return [index for turn in zip_longest(*lists) for index in turn if index is not None]


@cache
def _font(size: int) -> Font:
    """The font that Pillow carries: the same on every machine."""
    return ImageFont.load_default(size)
