"""`medim data`: what a job's own pairs are, what is left out and why, and some of them as a model will see them."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from medim_forge.generator.cli.text import table
from medim_forge.generator.corpus import Corpus, open_corpus
from medim_forge.generator.corpus.seen import Eye
from medim_forge.generator.corpus.split import SPLITS
from medim_forge.generator.corpus.survey import OnRow, SourceCensus, Survey, survey, unseen
from medim_forge.generator.domains import facts_of
from medim_forge.generator.errors import InputError, StoreError
from medim_forge.generator.jobspec import find_data, find_job
from medim_forge.generator.jobspec.data import DataSection
from medim_forge.generator.jobspec.document import read_yaml

SHEET_TILES = 24
WIDTH = 80
_VIEWS = 6  # are listed, the others counted
_KEY = 14
_REASON = 52


def look_at_data(spec: Path, sheet: Path | None) -> Iterator[str]:
    """What is said of each section of a job that holds data; the sheet is written, if it is asked for.

    Args:
        spec: job file.
        sheet: file to draw some pairs into; None for none.

    Raises:
        SpecError: the job or something that it names is wrong.
        InputError: something cannot be read, or the job must not go on with what was found; said after the tables.
        StoreError: the sheet cannot be written.
    """
    path = find_job(spec)
    for key, (section, seen) in find_data(read_yaml(path), str(path)).items():
        corpus = open_corpus(section, f"{path}: {key}" if key != "data" else str(path))
        eye = Eye.of(seen)
        with progress(key) as on_row:
            found = survey(corpus, eye, SHEET_TILES, on_row)
        yield data_text(f"{path} ({key})", corpus, found, eye)
        if sheet is not None:
            target = sheet if key == "data" else sheet.with_stem(f"{sheet.stem}_{key}")
            yield draw_sheet(found, eye, target, section)
        if found.stops:
            raise InputError(f"{path}: {key} cannot be used as it is: {'; '.join(found.stops)}. {_mend(found)}")


def data_text(title: str, corpus: Corpus, found: Survey, eye: Eye) -> str:
    """The tables of one section."""
    section = corpus.section
    blocks = [table([("data", title), *_rules(section, eye)])]
    for layout in corpus.layouts:
        census = found.sources[layout.name]
        notes = [("noted", note) for note in corpus.said(layout.number)]
        head = f"{layout.name}  {layout.preset.title if layout.preset else layout.kind}, {layout.source.domain}"
        rows = [*_terms(layout.source.terms, layout.source.deidentified), *_counts(census), *notes]
        if layout.source.patients == "unknown":
            rows.append(("patients", "unknown: one patient may stand on two sides of the split"))
        blocks.append(f"{head}\n{_indented(rows, census)}")
    return "\n\n".join([*blocks, _sides(found), *_mix(section, found)])


def draw_sheet(found: Survey, eye: Eye, target: Path, section: DataSection) -> str:
    """The sheet is written, for its owner alone; where it is.

    Raises:
        StoreError: it cannot be written.
    """
    from medim_forge.generator.corpus.pictures import decode
    from medim_forge.generator.finalise.contact_sheet import Tile, contact_sheet

    tiles = []
    for row in found.shown:
        text = eye.report(row.text, section.text.too_long) or ""
        tile = Tile(
            pair_id=f"{row.source} {row.key} {row.split}",
            domain=row.domain,
            image=eye.image(decode(row.picture.content()), row.domain),
            report=text,
            prompt_chars=len(row.opening) if row.opening and text.startswith(row.opening) else 0,
            findings=None,
        )
        tiles.append(tile)
    tiles.sort(key=lambda tile: tile.domain)
    says = "Given pairs, which may be of patients."
    content = contact_sheet(tiles, "Pairs as the model will see them", says, given=True)
    try:
        target.touch(mode=0o600)
        target.write_bytes(content)
    except OSError as error:
        raise StoreError(f"--sheet {target} cannot be written ({error.strerror}). Name another file.") from error
    return f"\nsheet     {target}: {len(tiles)} pairs, readable by you alone; nothing else was written"


@contextmanager
def progress(name: str) -> Iterator[OnRow]:
    """Inside, rows are counted in a terminal."""
    import sys

    if not sys.stderr.isatty():
        yield unseen
        return
    from rich.console import Console
    from rich.progress import Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn(f"reading {name}: {{task.completed}} rows"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(name, total=None)
        yield lambda row: bar.update(task, completed=row)


def _rules(section: DataSection, eye: Eye) -> list[tuple[str, str]]:
    split, text = section.split, section.text
    by = "as columns.split says"
    if split.by == "patient":
        by = f"by patient: validation {split.validation:.3g}, test {split.test:.3g} of them"
    size = f"{eye.resolution} x {eye.resolution}" if eye.slots is None else "as the checkpoint takes them"
    slots = f", {eye.room} ids at most" if eye.slots else ""
    return [
        ("split", by),
        ("images", f"{size}, padded to a square"),
        ("reports", f"at least {text.min_words} words{slots}; too long: {text.too_long}"),
    ]


def _terms(terms: tuple[str, ...], deidentified: bool | None) -> list[tuple[str, str]]:
    if deidentified is None:
        return []
    stated = "they name nobody" if deidentified else "they are not de-identified"
    return [*(("terms", term) for term in terms), ("you state", stated)]


def _counts(census: SourceCensus) -> list[tuple[str, str]]:
    """What is said of a source in one line each."""
    kept = sum(census.kept.values())
    rows = [("rows", f"{census.rows:,}"), ("kept", f"{kept:,}")]
    if census.left_out:
        rows.append(("left out", f"{sum(census.left_out.values()):,}"))
    if kept:
        rows.append(("views", _views(census.views)))
        rows.append(("words", f"{_median(census.words)} in the median report, {max(census.words)} in the longest"))
    if census.cut:
        rows.append(("cut", f"{census.cut:,} reports, to fit the slots"))
    if census.unknown:
        rows.append(("unknown", f"{census.unknown:,} reports have characters that the tokenizer lacks"))
    if census.deep:
        rows.append(("windowed", f"{census.deep:,} images of more than 8 bits, each by its own percentiles"))
    if census.removed:
        rows.append(("removed", f"{census.removed:,} reports have marks in place of removed words"))
    if census.phi_rows:
        kinds = ", ".join(f"{kind} {count:,}" for kind, count in sorted(census.phi.items()))
        masked = f", {census.masked:,} of them masked" if census.masked else ""
        rows.append(("names?", f"{census.phi_rows:,} reports{masked}: {kinds}"))
    return rows


def _indented(rows: list[tuple[str, str]], census: SourceCensus) -> str:
    """The rows with their reasons below `left out`, no line wider than a terminal."""
    lines = []
    for key, value in rows:
        wrapped = textwrap.wrap(value, WIDTH - _KEY - 2, break_long_words=False) or [""]
        lines += [f"  {key:<{_KEY - 2}}  {wrapped[0]}", *(" " * (_KEY + 2) + line for line in wrapped[1:])]
        if key != "left out":
            continue
        for reason, count in census.left_out.most_common():
            named = census.named[reason]
            some = ", ".join(map(str, named)) + (", ..." if count > len(named) else "")
            lines.append(f"    {count:>10,}  {reason}")
            lines.append(f"{'':>16}row {some}")
    return "\n".join(lines)


def _views(views: Counter[str]) -> str:
    listed = sorted(views.items(), key=lambda item: (-item[1], item[0]))
    rest = sum(count for _, count in listed[_VIEWS:])
    shown = [f"{name} {count:,}" for name, count in listed[:_VIEWS]]
    return ", ".join([*shown, *([f"others {rest:,}"] if rest else [])])


def _sides(found: Survey) -> str:
    """Pairs, studies and patients of each side of the split."""
    lines = [f"{'side':<12}{'pairs':>12}{'studies':>12}{'patients':>12}"]
    for split in SPLITS:
        pairs = sum(census.kept[split] for census in found.sources.values())
        patients, studies = found.people[split]
        lines.append(f"{split:<12}{pairs:>12,}{studies:>12,}{patients:>12,}")
    empty = [split for split in SPLITS[1:] if not found.people[split][0]]
    if empty:
        lines.append(f"nobody is kept for {' and '.join(empty)}")
    if found.same_side:
        lines.append(f"{found.same_side:,} images occur again on their own side")
    return "\n".join(lines)


def _mix(section: DataSection, found: Survey) -> list[str]:
    """The share of each domain in what is learned from, where there are several."""
    whole = sum(found.weights.values())
    if len(found.by_domain) < 2 or not whole:
        return []
    rows = [
        (
            facts_of(domain).title,
            f"{found.by_domain[domain]:,} pairs, {found.weights[domain] / whole:.1%} by their weights"
            + (f", {section.mix[domain]:.1%} asked for" if section.mix else ""),
        )
        for domain in section.domains
    ]
    return [table(rows)]


def _median(words: Counter[int]) -> int:
    """The median of numbers that are counted."""
    left = (sum(words.values()) + 1) // 2
    for number in sorted(words):
        left -= words[number]
        if left <= 0:
            return number
    return 0


def _mend(found: Survey) -> str:
    mends = []
    if any("two sides" in stop for stop in found.stops):
        mends.append("give such rows one patient, or leave one of them out with exclude")
    if any("named a person" in stop for stop in found.stops):
        mends.append("look at the reports, then take phi: {action: skip} or {action: mask}")
    if any("burned" in stop for stop in found.stops):
        mends.append("take burned_in: skip")
    if any("learn from" in stop for stop in found.stops):
        mends.append("look at what is left out above")
    if any("slots" in stop for stop in found.stops):
        mends.append("take text.too_long: cut_sentence, or a model with more slots")
    return f"To mend it: {'; '.join(mends)}." if mends else ""
