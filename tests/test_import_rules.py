"""The five import rules of the house, held by walking the import statements."""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
STANDARD_FOR_FILTERS = {
    "__future__", "collections", "dataclasses", "difflib", "functools", "hashlib", "itertools", "math", "re", "typing",
}  # fmt: skip
PARQUET_READERS = {"ParquetDataset", "ParquetFile", "load_dataset", "read_parquet", "read_row_group", "read_table"}
SEEN_BY_FILTERS = {"Action", "Domain", "Filter", "Judged", "Pair", "Verdict"}


def imports(path: Path) -> Iterator[tuple[str, str]]:
    """(module, name) of every import statement, at any depth; the name is empty for `import module`.

    What is read off a module that was imported whole (`pq.read_table`) counts as a name without module.
    """
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports hide which room is meant"
            yield from ((node.module or "", alias.name) for alias in node.names)
        elif isinstance(node, ast.Attribute) and node.attr in PARQUET_READERS:
            yield "", node.attr


def breaches(folder: str, allowed: Callable[[str, str, str], bool], root: Path = ROOT) -> list[str]:
    """`file imports module` for every import below `folder` that `allowed(file, module, name)` refuses."""
    found = []
    for path in sorted((root / folder).rglob("*.py")):
        file = path.relative_to(root).as_posix()
        found += [
            f"{file} imports {module} {name}".rstrip()
            for module, name in imports(path)
            if not allowed(file, module, name)
        ]
    return found


def top(module: str) -> str:
    return module.partition(".")[0]


def model_rule(file: str, module: str, name: str) -> bool:
    """`model/` needs only torch, numpy, safetensors, transformers or tokenizers, and the standard library."""
    known = {"", "model", "torch", "numpy", "safetensors", "transformers", "tokenizers"}
    return top(module) in known or top(module) in sys.stdlib_module_names


def ray_rule(file: str, module: str, name: str) -> bool:
    """Only `generator/cluster/` knows Ray."""
    return top(module) != "ray" or file.startswith("generator/cluster/")


def torch_rule(file: str, module: str, name: str) -> bool:
    """Only the replica, training and experiments know torch."""
    rooms = ("generator/replica", "generator/training", "generator/experiments/")
    return top(module) != "torch" or file.startswith(rooms)


def filter_rule(file: str, module: str, name: str) -> bool:
    """A filter has nothing to do I/O with, and sees pairs only."""
    if module == "generator.records":
        return name in SEEN_BY_FILTERS
    if top(module) == "generator":
        return module.startswith(("generator.filters", "generator.phantoms", "generator.errors"))
    if file == "generator/filters/plugins.py" and module == "importlib.metadata":
        return True
    return top(module) in STANDARD_FOR_FILTERS | {"", "numpy"}


def dataset_rule(file: str, module: str, name: str) -> bool:
    """Whoever reads a finished dataset does so by `generator/dataset.py`; writing Parquet is another matter."""
    rooms = (
        "generator/experiments/",
        "generator/filters/",
        "generator/phantoms/",
        "generator/training",
        "generator/replica",
    )
    return not file.startswith(rooms) or (name not in PARQUET_READERS and module != "pyarrow.dataset")


RULES = [
    pytest.param("model", model_rule, id="model_knows_nothing_of_the_factory"),
    pytest.param("generator", ray_rule, id="ray_is_in_cluster_only"),
    pytest.param("model", ray_rule, id="ray_is_not_in_the_model"),
    pytest.param("generator", torch_rule, id="torch_is_where_shards_run_and_models_train"),
    pytest.param("generator/filters", filter_rule, id="filters_do_no_io_and_see_pairs_only"),
    pytest.param("generator", dataset_rule, id="finished_datasets_have_one_door"),
]


@pytest.mark.parametrize(("folder", "rule"), RULES)
def test_import_rule_holds(folder, rule):
    assert list((ROOT / folder).rglob("*.py")), f"{folder} holds no Python: the rule would hold for nothing"
    assert breaches(folder, rule) == []


@pytest.mark.parametrize(
    ("file", "statement", "rule"),
    [
        ("model/a.py", "from generator.records import Pair", model_rule),
        ("model/a.py", "import pandas", model_rule),
        ("generator/local.py", "import ray", ray_rule),
        ("generator/plan.py", "def f():\n    from torch import nn", torch_rule),
        ("generator/filters/a.py", "from pathlib import Path", filter_rule),
        ("generator/filters/a.py", "from generator.records import Shard", filter_rule),
        ("generator/filters/a.py", "from generator.store import commit", filter_rule),
        ("generator/filters/a.py", "from generator.vocabulary import vocabulary_text", filter_rule),
        ("generator/experiments/a.py", "from pyarrow.parquet import read_table", dataset_rule),
        ("generator/experiments/a.py", "pq.read_table('data')", dataset_rule),
        ("generator/experiments/a.py", "import pyarrow.dataset", dataset_rule),
    ],
)
def test_each_rule_notices_a_breach(tmp_path, file, statement, rule):
    path = tmp_path / file
    path.parent.mkdir(parents=True)
    path.write_text(statement)
    assert len(breaches(file.partition("/")[0], rule, root=tmp_path)) == 1


def test_filters_open_no_files():
    calls = {
        f"{path.name}:{node.lineno}"
        for path in (ROOT / "generator" / "filters").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in {"open", "print", "input"}
    }
    assert calls == set()


def test_generator_package_imports_nothing():
    assert list(imports(ROOT / "generator" / "__init__.py")) == []


def test_phantoms_need_only_numpy():
    def allowed(file: str, module: str, name: str) -> bool:
        return top(module) in sys.stdlib_module_names | {"", "numpy"} or module.startswith("generator.phantoms")

    assert breaches("generator/phantoms", allowed) == []
