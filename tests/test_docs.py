"""README and docs say what the code does: every key, column, command, default, link and test that they name."""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from medim_forge.generator.cli.commands import app
from medim_forge.generator.dataset.schema import rejected_schema
from medim_forge.generator.filters import FILTERS
from medim_forge.generator.jobspec.load import KINDS
from tests.doubles.pairs import make_provenance

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")])
LINK = re.compile(r"\]\(([^)\s]+)\)")
FENCE = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
# What a snippet calls the dataset, and what the test calls it.
NAMES = {'"out/quickstart/data"': '{str(folder / "data")!r}', '"out/quickstart"': "{str(folder)!r}"}
FIXTURE = "folder = Path({str(folder)!r})"


def page(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def rows(text: str) -> dict[str, list[list[str]]]:
    """The cells behind each key, for every table row that begins with a key in backticks."""
    found: dict[str, list[list[str]]] = {}
    for line in text.splitlines():
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        if cells and (key := re.fullmatch(r"`([^`]+)`", cells[0])):
            found.setdefault(key[1], []).append(cells[1:])
    return found


def anchor(heading: str) -> str:
    """What GitHub makes of a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-")


def anchors(path: Path) -> set[str]:
    text = re.sub(r"^```.*?^```", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    return {anchor(heading) for heading in re.findall(r"^#+ (.+)$", text, re.MULTILINE)}


def keys(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, type[BaseModel], FieldInfo]]:
    """Every dotted key of a job, with the model that has it; a list of sections adds `[]`."""
    for name, field in model.model_fields.items():
        key = prefix + name
        yield key, model, field
        for inner in models_in(field.annotation):
            yield from keys(inner, f"{key}[]." if "tuple" in str(field.annotation) else f"{key}.")


def models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    """Every section that a key of this annotation may hold."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from models_in(inner)


def shown(field: FieldInfo) -> str:
    """A default as docs/job-spec.md writes it."""
    if field.is_required():
        return "required"
    value: Any = field.get_default(call_default_factory=True, validated_data={})
    if isinstance(value, BaseModel):
        usual = type(value)().model_dump()
        changed = {name: given for name, given in value.model_dump().items() if given != usual[name]}
        return f"`{plain(changed)}`" if changed else "its defaults"
    return f"`{plain(list(value) if isinstance(value, tuple) else value)}`"


def plain(value: object) -> str:
    return yaml.safe_dump(value, default_flow_style=True).removesuffix("...\n").strip()


def section(kind: str) -> str:
    """The part of docs/job-spec.md that is about a kind of job, with the part about every kind."""
    parts = re.split(r"^## ", page("docs/job-spec.md"), flags=re.MULTILINE)
    (every,) = (part for part in parts if part.startswith("Every kind\n"))
    (own,) = (part for part in parts if part.startswith(f"kind: {kind}\n"))
    return every + own


SPEC_KEYS = [
    pytest.param(kind, key, model, field, id=f"{kind}:{key}")
    for kind, job in KINDS.items()
    for key, model, field in keys(job)
]


def documented(kind: str, key: str, model: type[BaseModel]) -> list[list[str]]:
    """The rows of a key; sections that a generate job or a data job has too are described there."""
    own = rows(section(kind)).get(key, [])
    for other in ("generate", "data"):
        if not own and any(one is model for name, one, _ in keys(KINDS[other]) if name == key):
            own = rows(section(other)).get(key, [])
    return own


@pytest.mark.parametrize(("kind", "key", "model", "field"), SPEC_KEYS)
def test_every_key_is_documented_with_its_default(
    kind: str, key: str, model: type[BaseModel], field: FieldInfo
) -> None:
    found = documented(kind, key, model)
    assert found, f"docs/job-spec.md, kind {kind}: no table row begins with `{key}`"
    assert len(found[0]) == 4, f"docs/job-spec.md: the row of `{key}` has {len(found[0]) + 1} cells, not 5"
    default = "all four" if key == "arms" else shown(field)
    assert {cells[1] for cells in found} == {default}, f"{kind}: `{key}`"


def test_no_key_is_documented_that_does_not_exist() -> None:
    for kind, job in KINDS.items():
        known = {key for key, _, _ in keys(job)} | set(FILTERS)
        assert set(rows(section(kind))) <= known, kind


@pytest.mark.parametrize("kind", KINDS)
def test_the_digest_column_is_true(kind: str) -> None:
    free = {f"{name}.{key}" for name, names in KINDS[kind].free_keys.items() for key in names}
    for key, found in rows(section(kind)).items():
        for cells in found:
            if len(cells) == 4 and cells[2] != "partly":
                assert (cells[2] == "no") == (key in free), f"{kind}: `{key}` says {cells[2]}"


def test_every_filter_and_its_options_are_documented() -> None:
    found = rows(section("generate"))
    for name, kind in FILTERS.items():
        _, default, options = found[name][0]
        bounded = (kind.drop_below, kind.drop_above) != (None, None)
        assert default.startswith("drops " if bounded else "scores only"), name
        assert set(re.findall(r"`(\w+)`", options)) >= set(kind.options or ()), name
        assert (options == "none") == (not kind.options), name


def test_every_column_is_documented_with_its_type() -> None:
    found = rows(page("docs/dataset-schema.md"))
    for field in rejected_schema(make_provenance()):
        kind = re.sub(r"(item|element): ", "", str(field.type)) if "list" in str(field.type) else str(field.type)
        assert found.get(field.name, [["missing"]])[0][0] == kind, field.name


def test_score_columns_say_in_the_files_what_the_page_says() -> None:
    found = rows(page("docs/dataset-schema.md"))
    scores = [field for field in rejected_schema(make_provenance()) if field.name.startswith("score_")]
    assert len(scores) > 40
    for field in scores:
        said = field.metadata[b"description"].decode().removesuffix("; null when it is not defined.")
        assert found[field.name][0][-1].lower() == said.lower(), field.name


def test_every_command_and_every_job_is_in_the_readme() -> None:
    readme = page("README.md")
    for command in app.registered_commands:
        assert command.callback is not None
        assert f"`medim {command.callback.__name__} " in readme, command.callback.__name__
    for job in sorted((ROOT / "jobs").glob("*.yaml")):
        assert f"[jobs/{job.name}](jobs/{job.name})" in readme, job.name


def test_no_command_or_make_target_is_named_that_does_not_exist() -> None:
    commands = {command.callback.__name__ for command in app.registered_commands if command.callback}
    targets = set(re.findall(r"^([a-z-]+):", page("Makefile"), re.MULTILINE))
    for path in PAGES:
        text = path.read_text(encoding="utf-8")
        assert set(re.findall(r"`(?:\.venv/bin/)?medim (\w+)", text)) <= commands, path.name
        assert set(re.findall(r"^\.venv/bin/medim (\w+)", text, re.MULTILINE)) <= commands, path.name
        assert set(re.findall(r"(?:^|`)make ([a-z-]+)", text, re.MULTILINE)) <= targets, path.name


@pytest.mark.parametrize(
    ("source", "where"), [("Sampling", "model/sampling/settings.py"), ("CorruptionMix", "model/loss.py")]
)
def test_every_knob_of_the_model_is_explained(source: str, where: str) -> None:
    # Read as text: importing torch would make this the slowest of the fast tests.
    (found,) = (node for node in ast.parse(page(where)).body if isinstance(node, ast.ClassDef) and node.name == source)
    names = [ast.unparse(node.target) for node in found.body if isinstance(node, ast.AnnAssign)]
    assert len(names) > 5
    text = page("docs/model.md") + page("docs/job-spec.md")
    assert all(re.search(rf"`(?:\S*\.)?{name}`", text) for name in names), names


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_every_relative_link_resolves(path: Path) -> None:
    for target in LINK.findall(path.read_text(encoding="utf-8")):
        if target.startswith(("https://", "http://")):
            continue
        name, _, fragment = target.partition("#")
        file = (path.parent / name).resolve() if name else path
        assert file.exists(), target
        assert not fragment or fragment in anchors(file), target


def test_every_page_and_anchor_that_the_code_refers_to_exists() -> None:
    sources = [file for room in ("model", "generator") for file in (ROOT / room).rglob("*.py")]
    sources += [ROOT / "cluster.yaml", ROOT / "Makefile"]
    found = {link for file in sources for link in re.findall(r"docs/[\w-]+\.md(?:#[\w-]+)?", file.read_text())}
    assert "docs/model.md#differences" in found
    for link in found:
        name, _, fragment = link.partition("#")
        assert (ROOT / name).exists(), link
        assert not fragment or fragment in anchors(ROOT / name), link


def test_every_test_that_is_named_exists() -> None:
    files = (ROOT / "tests").rglob("test_*.py")
    defined = {name for file in files for name in re.findall(r"def (test_\w+)", file.read_text(encoding="utf-8"))}
    named = {name for path in PAGES for name in re.findall(r"`(test_\w+)`", path.read_text(encoding="utf-8"))}
    assert len(named) > 10
    assert named <= defined, sorted(named - defined)


@pytest.mark.parametrize("name", ["README.md", "docs/dataset-schema.md"])
def test_snippets_are_lines_that_the_consumption_tests_run(name: str) -> None:
    run = {line.strip() for line in page("tests/generator/dataset/test_consumption.py").splitlines()}
    snippets = FENCE.findall(page(name))
    assert snippets
    for snippet in snippets:
        text = functools.reduce(lambda text, ours: text.replace(ours, NAMES[ours]), NAMES, snippet)
        lines = {line.strip() for line in text.splitlines()} - {"", FIXTURE}
        assert lines <= run, sorted(lines - run)


def test_contact_sheet_is_a_small_picture() -> None:
    sheet = ROOT / "docs" / "contact_sheet.png"
    assert sheet.read_bytes().startswith(b"\x89PNG")
    assert sheet.stat().st_size <= 1_000_000
