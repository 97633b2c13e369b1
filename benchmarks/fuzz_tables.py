"""Hostile tables: Parquet with other bytes, types, columns, encodings and counts; `medim plan`, then every row."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.fuzz_jobs import WORD, Case, chosen
from medim_forge.generator.cli.text import plan_text
from medim_forge.generator.errors import SpecError
from medim_forge.generator.inputs.images import encode_image
from medim_forge.generator.inputs.load import load_inputs
from medim_forge.generator.inputs.survey import survey_inputs
from medim_forge.generator.jobspec import GenerateSpec, load_spec
from medim_forge.generator.phantoms import draw
from medim_forge.generator.plan import make_plan

_JOB = """\
kind: generate
name: hostile
date: 2026-11-23
task: {task}
inputs: {{source: parquet, path: tables, domain: chest_xray, keep_columns: {kept}}}
output: {{dir: out}}
"""
_ROWS = 12
_MOST_READ = 64  # rows of a table that are read: some claim more than there are


def cases(folder: Path, seed: int, count: int, only: str) -> Iterator[Case]:
    """`count` tables of each kind of change; arguments as of `fuzz_jobs.cases`."""
    (folder / "tables").mkdir()
    phantoms = [draw("chest_xray", number) for number in range(_ROWS)]
    good = pa.table(
        {
            "image": [encode_image(phantom.image) for phantom in phantoms],
            "report": [phantom.report for phantom in phantoms],
            "note": [f"note {number}" for number in range(_ROWS)],
        }
    )
    write(folder, good, {})
    read(tasked(folder, "joint"))
    for kind, change in CHANGES.items():
        for number in chosen(kind, count, only):
            rng = random.Random(f"{seed}/{kind}/{number}")  # noqa: S311 - reproducible, not secret
            task = rng.choice(("report_to_image", "image_to_report"))
            change(rng, folder, good)
            job = tasked(folder, task)
            yield Case(kind=kind, number=number, run=lambda job=job: read(job), names=("job.yaml", "row "))


def tasked(folder: Path, task: str) -> Path:
    """A job that takes the tables."""
    job = folder / f"{task}.job.yaml"
    task = "report_to_image" if task == "joint" else task
    job.write_text(_JOB.format(task=task, kept="[note]" if task == "report_to_image" else "[]"), encoding="utf-8")
    return job


def read(job: Path) -> int:
    """How many rows of a job's tables can be used, once it is planned; those that cannot are known to be named."""
    spec = load_spec(job)
    assert isinstance(spec, GenerateSpec)
    plan_text(spec)
    plan = make_plan(spec)
    filled, seen = 0, 0
    planned = survey_inputs(spec) if plan.pairs <= _MOST_READ else None
    for shard in plan:
        kept, unreadable = load_inputs(spec, shard, planned)
        filled += len(kept.requests)
        seen += len(shard.requests)
        for row in unreadable:
            if "row " not in row.error or len(row.error) > 1000 or not row.error.isprintable():
                raise AssertionError(f"a row that cannot be read is not told plainly: {row.error[:300]!r}")
        if seen >= _MOST_READ:
            break
    if not filled:
        raise SpecError(f"{job.name}: no row can be read, and each is named.")
    return filled


def write(folder: Path, table: Any, options: dict[str, Any]) -> Path:
    """The folder of tables holds this one alone."""
    path = folder / "tables" / "table.parquet"
    for old in path.parent.iterdir():
        old.unlink()
    pq.write_table(table, path, **options)
    return path


def by_bytes(rng: random.Random, folder: Path, good: Any) -> None:
    """Bytes of the file are others, or its end is missing."""
    options = {"row_group_size": rng.choice((3, 100)), "compression": rng.choice(("none", "snappy", "zstd"))}
    path = write(folder, good, {**options, "data_page_size": 200})
    content = bytearray(path.read_bytes())
    footer = int.from_bytes(content[-8:-4], "little") + 8
    for _ in range(rng.choice((1, 2, 5))):
        # The footer says what everything else is.
        place = len(content) - rng.randrange(1, footer) if rng.random() < 0.6 else rng.randrange(len(content))
        match rng.randrange(5):
            case 0 | 1:
                content[place] ^= 1 << rng.randrange(8)
            case 2 | 3:
                content[place] = rng.randrange(256)
            case 4:
                del content[place : place + rng.choice((1, 4, len(content)))]
                if len(content) < footer:
                    break
    path.write_bytes(content)


def types(rng: random.Random, folder: Path, good: Any) -> None:
    """A column is of another type: numbers, lists, structs, dictionaries, nothing, text that is no UTF-8."""
    name = rng.choice(("image", "report", "note"))
    arrays = (
        pa.array(range(_ROWS)), pa.array([1.5, float("nan")] * 6), pa.array([True] * _ROWS), pa.nulls(_ROWS),
        pa.nulls(_ROWS, pa.string()), pa.array([[b"x"]] * _ROWS), pa.array([{"bytes": b"x", "path": "p\x1b"}] * _ROWS),
        pa.array([{"bytes": 3}] * _ROWS), pa.array(["\x1b[31mred"] * _ROWS),
        pa.array(["a", None, ""] * 4), pa.array([b"\xff\xfe"] * _ROWS),
        pa.array([b"ab"] * _ROWS, pa.binary(2)), pa.array(["x"] * _ROWS).dictionary_encode(),
        pa.array([WORD * 20] * _ROWS), pa.array([10**17] * _ROWS, pa.timestamp("us")), pa.array([b""] * _ROWS),
        pa.array([[("k", "v")]] * _ROWS, pa.map_(pa.string(), pa.string())),
        pa.array([[{"a": [{"b": b"x"}]}]] * _ROWS), pa.array(["x"] * _ROWS, pa.large_string()), _no_text(),
        pa.array(["x" * 40] * _ROWS, pa.string_view()), pa.array([2**40] * _ROWS, pa.duration("s")),
    )  # fmt: skip
    table = good.set_column(good.column_names.index(name), name, rng.choice(arrays))
    write(folder, table, {"row_group_size": rng.choice((5, 100)), "store_schema": rng.random() < 0.5})


def _no_text() -> Any:
    """A column that says it is text, and holds bytes that are none."""
    return pa.array([b"\xff\xfe bad"] * _ROWS, pa.binary()).view(pa.string())


def columns(rng: random.Random, folder: Path, good: Any) -> None:
    """Columns are missing, named twice, or named by what a terminal or a page would obey."""
    names = list(good.column_names)
    odd = ("", " ", "\x1b[2J", "a\nb", "image", "report", "<script>", WORD, "a.b", "\u202e", "é", "0")
    match rng.randrange(4):
        case 0:
            table = good.drop_columns(rng.sample(names, rng.randrange(1, 4)))
        case 1:
            names[rng.randrange(3)] = rng.choice(odd)
            table = good.rename_columns(names)
        case 2:
            table = good.append_column(rng.choice(odd), good.column(rng.choice(good.column_names)))
        case _:
            table = pa.Table.from_arrays([good.column(0)] * 300, names=[f"c{n}\x1b" for n in range(299)] + ["image"])
    write(folder, table, {})


def counts(rng: random.Random, folder: Path, good: Any) -> None:
    """There are no rows, no row groups, no bytes, many small groups, or several files that differ."""
    match rng.randrange(6):
        case 0:
            write(folder, good.slice(0, 0), {})
        case 1:
            path = write(folder, good, {})
            path.write_bytes(rng.choice((b"", b"PAR1", b"PAR1PAR1", b"PAR1\0\0\0\0PAR1", b"PAR1\xff\xff\xff\x7fPAR1")))
        case 2:
            write(folder, good, {"row_group_size": 1})
        case 3:
            write(folder, pa.concat_tables([good] * 200), {"row_group_size": 17})
        case 4:
            path = write(folder, good, {})
            other = good.select(["report"]).rename_columns([rng.choice(("report", "text"))])
            pq.write_table(other, path.with_name("a.parquet"))
        case _:
            path = write(folder, good, {})
            path.with_name(rng.choice(("a.parquet", "\x1b.parquet", "n" * 240 + ".parquet"))).write_bytes(b"no table")


CHANGES = {"bytes": by_bytes, "types": types, "columns": columns, "counts": counts}
