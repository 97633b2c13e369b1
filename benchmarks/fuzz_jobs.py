"""Hostile job files: the bundled jobs and some more, changed by bytes, tokens or values; and no files at all."""

from __future__ import annotations

import datetime
import json
import math
import os
import random
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from medim_forge.generator.cli.text import plan_text, settings_text
from medim_forge.generator.jobspec import GenerateSpec, load_spec
from medim_forge.model.folders import EMBEDDED

JOBS = Path(__file__).resolve().parents[1] / "jobs"
# Sections that no bundled job has.
_MORE = """\
kind: generate
name: tables
date: 2026-11-23
task: report_to_image
inputs: {source: parquet, path: nowhere/*.parquet, domain: chest_xray, report_column: report, limit: 5}
output: {dir: out/t, dicom: {imager_pixel_spacing_mm: 0.2, transfer_syntax: jpeg_ls_lossless, archive: zip}}
---
kind: generate
name: files
date: 2026-11-23
task: image_to_report
inputs: {source: images, path: pictures, domain: pathology, opening: The image, keep_names: true}
output: {dir: 's3://bucket/prefix', dicom: null}
---
kind: generate
name: rules
date: 2026-11-23
task: joint
model: &m {checkpoint: phantom, dtype: float32}
prompts:
- {domain: chest_xray, pairs: 7, findings: [effusion_right]}
- {domain: pathology, pairs: 9, text: ''}
filters:
- {name: nonwords, drop_above: 0.1, options: {words: [ground, glass], lexicon: words.txt}}
- {name: image_stats, options: {min_std: 2.0}}
- {name: agreement, drop_below: 0.0, action: regenerate}
balance: {budget: 40, tries: 3, quotas: [{finding: effusion_right, kept: 2}, {label: edema, at_most: 3}]}
output: {dir: out/rules}
"""
_TOKENS = (
    "&a ", "*a", "<<: *a", "!!bool abc", "!!int ''", "!!python/object/apply:os.system [ls]", "!x ", "? [a, b]\n: 1",
    "? {a: b} : 1", "[", "]", "{", "}", "|", ">", "|9\n", "---\n", "...\n", "%YAML 1.1\n---\n", "%TAG ! a\n", "\t", "#",
    '"\\ud800"', '"\\0"', '"\\x"', '"', "'", ": ", "- ", ",", "@", "`", "=", "<<: 1", "0x1F", "1:30", "1e10", ".nan",
    "-.inf", "yes", "~", "2026-13-40", "0777", "9" * 200, "[" * 400, "{a: " * 400, "- " * 400, "\u2028", "\ufeff",
)  # fmt: skip
_BYTES = (
    b"\0", b"\xff", b"\xfe\xff", b"\xef\xbb\xbf", b"\xed\xa0\x80", b"\xc0\x80", b"\x1b[31m", b"\t", b"\r", b"\n",
    b"\x85",
)  # fmt: skip
_BOMB = "".join(
    f"b{level}: &b{level} [{', '.join(['x' if level == 0 else f'*b{level - 1}'] * 9)}]\n" for level in range(12)
)
WORD = "W" * 5000
VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 7, 2**31, 2**53, 10**10, 2**40, 2**63 - 1, 2**63, 2**64, 10**30, 10**90, 0.0, -0.0,
    0.5, 1e-300, 5e-324, 1e300, 1e-9, 1e10, math.nan, math.inf, -math.inf, "", " ", "x", "phantom", "chest_xray", WORD,
    100 * WORD, "a/" * 300, "a/" * 3000, "a\0b", "a\nb", "\x1b[31mred", "\ud800", "\u202e", "\U0001fac1", "../" * 50,
    "~", "$HOME", "/dev/zero", "/dev/null", "/proc/self/mem", ".", "**", "data/**x", "a[", "s3://", "s3://b/p",
    "file:///x", "0x10", "1e5", "{x.__class__}", "%s%n", datetime.date(2026, 11, 23), datetime.date(1, 1, 1),
    [], [[]], [None], {}, {"": 1}, {"a": {"b": []}}, [1, "a", None],
    {"domain": "chest_xray"}, list(range(2000)), {f"k{number}": number for number in range(500)}, b"\xff\0", {1: 2},
    {None: 1}, {True: 1},
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Case:
    """Something hostile.

    Attributes:
        kind: of change.
        number: among those of its kind.
        run: what is tried.
        names: of which a message must say one.
    """

    kind: str
    number: int
    run: Callable[[], object]
    names: tuple[str, ...] = ()


def cases(folder: Path, seed: int, count: int, only: str) -> Iterator[Case]:
    """`count` job files of each kind, and every kind of what is no job file.

    Args:
        folder: to write into; the working directory.
        seed: of all.
        count: of each kind.
        only: `kind` or `kind:number`; empty for all.
    """
    bases = [path.read_text(encoding="utf-8") for path in sorted(JOBS.glob("*.yaml"))] + _MORE.split("---\n")
    furnish(folder)
    for kind, change in CHANGES.items():
        for number in chosen(kind, count, only):
            path = folder / f"{kind}.yaml"
            rng = random.Random(f"{seed}/{kind}/{number}")  # noqa: S311 - reproducible, not secret
            path.write_bytes(change(rng, rng.choice(bases), bases))
            yield Case(kind=kind, number=number, run=lambda path=path: planned(path), names=(path.name,))
    for number, path in enumerate(no_files(folder)):
        if number in chosen("no_file", number + 1, only):
            yield Case(kind="no_file", number=number, run=lambda path=path: planned(path), names=("",))


def chosen(kind: str, count: int, only: str) -> range:
    """The numbers of a kind that are asked for."""
    wanted, _, number = only.partition(":")
    if wanted not in ("", kind):
        return range(0)
    return range(int(number), int(number) + 1) if number else range(count)


def furnish(folder: Path) -> None:
    """The folder holds what the jobs name."""
    (folder / "checkpoints").mkdir()
    shutil.copytree(EMBEDDED["phantom"], folder / "checkpoints" / "medim", symlinks=True)
    config = folder / "checkpoints" / "medim" / "config.json"
    values = json.loads(config.read_text(encoding="utf-8"))
    values["layout"]["report_slots"] = 256
    config.unlink()
    config.write_text(json.dumps(values), encoding="utf-8")
    (folder / "words.txt").write_text("opacity\n", encoding="utf-8")


def planned(path: Path) -> str:
    """What `medim plan` prints."""
    job = load_spec(path)
    text = plan_text(job) if isinstance(job, GenerateSpec) else settings_text(job)
    text.encode()
    return text


def by_bytes(rng: random.Random, base: str, others: list[str]) -> bytes:
    """Bits flipped; stretches left out, doubled, moved from another job; bytes that text does not have."""
    content = bytearray(base.encode())
    for _ in range(rng.choice((1, 1, 2, 5, 20))):
        place = rng.randrange(len(content) + 1)
        end = min(len(content), place + rng.choice((1, 2, 8, 64)))
        match rng.randrange(7):
            case 0:
                content[place:place] = rng.choice(_BYTES) * rng.choice((1, 1, 3))
            case 1 if place < len(content):
                content[place] ^= 1 << rng.randrange(8)
            case 2:
                del content[place:end]
            case 3:
                content[place:place] = content[place:end] * rng.choice((1, 2, 50))
            case 4:
                other = rng.choice(others).encode()
                start = rng.randrange(len(other))
                content[place:end] = other[start : start + 64]
            case 5 if rng.random() < 0.1:
                del content[place:]
            case 6 if place < len(content):
                content[place] = rng.randrange(256)
    text = bytes(content)
    if rng.random() < 0.02:
        text = text.decode(errors="replace").encode(rng.choice(("utf-16", "utf-32", "utf-8-sig", "utf-16-be")))
    return text


def by_tokens(rng: random.Random, base: str, others: list[str]) -> bytes:
    """Tokens of YAML put in, words exchanged, lines moved, indented and doubled; bombs of aliases."""
    lines = base.splitlines()
    for _ in range(rng.choice((1, 1, 2, 4))):
        place = rng.randrange(len(lines))
        line = lines[place]
        column = rng.randrange(len(line) + 1)
        match rng.randrange(8):
            case 0 | 1:
                lines[place] = f"{line[:column]}{rng.choice(_TOKENS)}{line[column:]}"
            case 2:
                key, colon, _ = line.partition(": ")
                lines[place] = f"{key}{colon}{rng.choice(_TOKENS)}"
            case 3:
                lines.insert(rng.randrange(len(lines)), line)
            case 4:
                lines[place] = " " * rng.randrange(6) + line.lstrip()
            case 5:
                lines[place] = rng.choice(rng.choice(others).splitlines())
            case 6:
                words = line.split(" ")
                words[rng.randrange(len(words))] = rng.choice(_TOKENS)
                lines[place] = " ".join(words)
            case 7 if rng.random() < 0.2:
                lines.insert(rng.randrange(len(lines)), _BOMB)
    return "\n".join(lines).encode(errors="surrogatepass")


def by_values(rng: random.Random, base: str, _: list[str]) -> bytes:
    """Values exchanged for others, keys left out, misspelt and added, anywhere in the tree."""
    values = yaml.safe_load(base)
    for _ in range(rng.choice((1, 1, 1, 1, 1, 2, 3))):
        holder, key = rng.choice(list(entries(values)) or [(values, "kind")])
        # Of the same type, a value comes further.
        alike = [value for value in VALUES if isinstance(value, type(holder[key]))]
        value = rng.choice(alike if alike and rng.random() < 0.7 else VALUES)
        match rng.randrange(6):
            case 0 | 1 | 2 | 3:
                holder[key] = value
            case 4:
                holder[key] = {f"{key}": holder[key]} if rng.random() < 0.5 else [holder[key]] * rng.choice((1, 2, 60))
            case 5 if isinstance(holder, dict):
                holder[rng.choice((f"{key}s", WORD, "a\0", "\x1b[2J", "", " "))] = holder.pop(key)
    text: str = yaml.dump(values, Dumper=yaml.SafeDumper, allow_unicode=rng.random() < 0.5)
    return text.encode(errors="surrogatepass")


def by_leaves(rng: random.Random, base: str, _: list[str]) -> bytes:
    """One value exchanged for another that might be meant: such jobs are looked at further than the others."""
    values = yaml.safe_load(base)
    leaves = [(holder, key) for holder, key in entries(values) if type(holder[key]) in LEAVES]
    holder, key = rng.choice(leaves)
    holder[key] = rng.choice(LEAVES[type(holder[key])])
    text: str = yaml.safe_dump(values, sort_keys=False, allow_unicode=True)
    return text.encode()


# By the type of a value: what a person might put in its place.
LEAVES: dict[type, tuple[Any, ...]] = {
    int: (0, 1, 2, 3, 7, 24, 64, 100, 1000, 4096, 10**5, 10**6, 10**7, 10**7 + 1, 10**9, 2**63 - 1),
    float: (0.0, 1e-4, 1e-3, 0.1, 0.5, 1.0, 1.5, 10.0, 100.0, 1000.0, 1e4, 1e6),
    str: (
        "phantom", "checkpoints/medim", "checkpoints", "x", "chest_xray", "pathology", "knee", "joint",
        "official", "words.txt", ".", "The image shows a lung", "Der Befund ist unauffällig", "Lung \U0001fac1",
        "lung " * 3000, "x" * 15_000, "\u202e", "</s>", "<unk>", "s3://bucket/prefix", "/", "../out",
        "effusion_right", "edema",
    ),
    datetime.date: (datetime.date(1, 1, 1), datetime.date(9999, 12, 31), "2026-11-23", "today"),
    bool: (True, False),
}  # fmt: skip
CHANGES = {"bytes": by_bytes, "tokens": by_tokens, "values": by_values, "leaves": by_leaves}


def entries(values: Any) -> Iterator[tuple[Any, Any]]:
    """Every holder and key of a tree."""
    for key, value in values.items() if isinstance(values, dict) else enumerate(values):
        yield values, key
        if isinstance(value, dict | list):
            yield from entries(value)


def no_files(folder: Path) -> list[Path]:
    """What is no job file: folders, pipes, devices, loops of links, names too long, texts of nothing."""
    os.mkfifo(folder / "pipe.yaml")
    (folder / "folder.yaml").mkdir()
    (folder / "loop.yaml").symlink_to("loop.yaml")
    (folder / "dangling.yaml").symlink_to("nowhere.yaml")
    contents: dict[str, bytes] = {
        "empty": b"", "blank": b" \n\t\n", "comment": b"# kind: generate\n", "nothing": b"---\n...\n",
        "null": b"null\n", "huge": b"a: 1\n" * 2_000_000, "wide": b"[" + b"1," * 200_000 + b"1]",
        "deep": b"[" * 300_000,
        "deep_map": b"{a: " * 100_000, "deep_block": b"- " * 200_000, "long": b"kind: " + b"x" * 3_000_000,
        "keys": b"".join(b"k%d: 1\n" % number for number in range(30_000)), "bomb": _BOMB.encode(),
        "binary": bytes(range(256)) * 64, "picture": b"\x89PNG\r\n\x1a\n" + bytes(64), "circle": b"a: &a [*a]\n",
    }  # fmt: skip
    for name, content in contents.items():
        (folder / f"{name}.yaml").write_bytes(content)
    texts = [folder / f"{name}.yaml" for name in contents]
    odd = [folder / ("n" * 300), folder / ("d/" * 3000 + "x.yaml"), Path("a\0b.yaml"), Path("\udcff.yaml")]
    places = [folder / f"{name}.yaml" for name in ("pipe", "folder", "loop", "dangling", "missing")]
    devices = [Path("/dev/zero"), Path("/dev/null"), Path("/proc/self/mem")]
    return [*texts, *odd, Path("x\n.yaml"), *places, *devices, folder, Path()]
