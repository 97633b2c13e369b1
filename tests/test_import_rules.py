"""The order of the house, held by walking the import statements: a room imports only rooms that stand before it."""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

# A room is a file or a folder of the package. Later rooms may import earlier ones, never the other way round.
ORDER = {
    "model": (
        *("quoting", "strict_json", "cost", "folders", "values", "familiarity", "layout", "text", "conventions"),
        *("bounds", "config", "reports"),
        *("sampling", "network", "loss", "scoring", "checkpoint", "medim", "convert"),
    ),
    "generator": (
        # ground
        *("masking", "escaping", "errors", "tracing", "origins", "records", "contracts", "files", "events", "domains"),
        "templates",
        # knowledge, pure
        *("phantoms", "filters", "similarity", "jobspec", "metrics"),
        # places
        *("store", "inputs", "dataset", "corpus"),
        # making
        *("plan", "replica", "writers", "shards", "executors"),
        # gathering
        *("selection", "finalise", "audit"),
        # one room per kind of job
        *("generate", "training", "evaluation", "augmentation"),
        # door
        *("cli", "__main__"),
    ),
}
# Where a library may be imported; elsewhere it may not.
LIBRARIES = {
    "ray": ("generator/executors/cluster/",),
    "torch": (
        "model/",
        *(f"generator/{room}/" for room in ("replica", "training", "evaluation", "augmentation")),
    ),
    "pydicom": ("generator/inputs/", "generator/corpus/", "generator/writers/dicom/", "generator/audit/"),
    "highdicom": ("generator/writers/dicom/", "generator/audit/"),
    "peft": ("generator/training/",),
    "pydantic": ("generator/jobspec/",),
    "symspellpy": ("generator/filters/lexicon.py",),
    "pydantic_core": ("generator/jobspec/",),
}
MODEL_NEEDS = {"medim_forge", "torch", "numpy", "safetensors", "tokenizers"}
STANDARD_FOR_FILTERS = {
    "__future__", "collections", "dataclasses", "difflib", "functools", "hashlib", "itertools", "math", "re", "typing",
    "unicodedata",
}  # fmt: skip
SEEN_BY_FILTERS = {"Action", "Domain", "Judged", "Pair", "Task", "Verdict"}
PARQUET_READERS = {
    *("ParquetDataset", "ParquetFile", "load_dataset", "read_metadata", "read_parquet", "read_row_group"),
    *("read_schema", "read_table"),
}
# Our own tables are read through one door; these read what people give us.
READ_PARQUET = ("generator/store/tables.py", "generator/inputs/", "generator/corpus/")
READ_NO_DATASETS = ("filters", "phantoms", "replica", "training", "evaluation", "augmentation")


@dataclass(frozen=True)
class Import:
    """One imported name.

    Attributes:
        file: that imports, e.g. `generator/plan/plan.py`.
        module: that is imported from, e.g. `medim_forge.generator.errors`; empty where a name is read off a module.
        name: empty for `import module`.
    """

    file: str
    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.file} imports {self.module} {self.name}".rstrip()

    @property
    def library(self) -> str:
        return self.module.partition(".")[0]


def imports(file: str, root: Path = ROOT) -> Iterator[Import]:
    """Every import of a file, at any depth, and the Parquet readers that are read off a module imported whole."""
    for node in ast.walk(ast.parse((root / file).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (Import(file, alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: relative imports hide which room is meant"
            yield from (Import(file, node.module or "", alias.name) for alias in node.names)
        elif isinstance(node, ast.Attribute) and node.attr in PARQUET_READERS:
            yield Import(file, "", node.attr)


def files(package: str, root: Path = ROOT) -> list[str]:
    return [path.relative_to(root).as_posix() for path in sorted((root / package).rglob("*.py"))]


def target(found: Import, root: Path = ROOT) -> str | None:
    """The file of the house that an import loads; None for libraries and for `medim_forge` itself."""
    if not found.module.startswith("medim_forge.") or found.module == "medim_forge.names":
        return None
    module = found.module.removeprefix("medim_forge.").replace(".", "/")
    for place in (f"{module}/{found.name}", module):
        for file in (f"{place}.py", f"{place}/__init__.py"):
            if (root / file).is_file():
                return file
    raise AssertionError(f"{found}: there is no such module")


def room(file: str) -> str | None:
    """`plan` for `generator/plan/plan.py`, `errors` for `generator/errors.py`; None for the package's own face."""
    parts = file.removesuffix(".py").split("/")
    return None if parts[1] == "__init__" else parts[1]


def upward(package: str, root: Path = ROOT) -> list[str]:
    """Imports of a room that stands later, and imports of the factory by the model."""
    order, found = ORDER[package], []
    for file in files(package, root):
        for one in imports(file, root):
            other = target(one, root)
            if other is None or room(file) is None:
                continue
            if not other.startswith(f"{package}/"):
                if package == "model":
                    found.append(str(one))
            elif room(other) is None or order.index(room(other) or "") > order.index(room(file) or ""):
                found.append(str(one))
    return found


def circle(root: Path = ROOT) -> list[str]:
    """The files of one circle of imports, if there is any; imports within functions count."""
    graph: dict[str, set[str]] = {}
    for file in (*files("model", root), *files("generator", root)):
        targets = {other for one in imports(file, root) if (other := target(one, root)) not in {None, file}}
        graph[file] = {other for other in targets if other is not None}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def breaches(package: str, allowed: Callable[[Import], bool], root: Path = ROOT) -> list[str]:
    return [str(one) for file in files(package, root) for one in imports(file, root) if not allowed(one)]


def library_rule(one: Import) -> bool:
    """Ray, torch, pydicom and pydantic stay in their rooms."""
    return one.library not in LIBRARIES or one.file.startswith(LIBRARIES[one.library])


def model_rule(one: Import) -> bool:
    """`model/` runs where torch, numpy, safetensors and tokenizers are, and nothing else of ours."""
    return one.library in MODEL_NEEDS | sys.stdlib_module_names | {""}


def face_rule(one: Import) -> bool:
    """Nobody imports what another file keeps to itself."""
    return not one.module.startswith("medim_forge") or not one.name.startswith("_") or one.name == "__version__"


def filter_rule(one: Import) -> bool:
    """A filter has nothing to do I/O with, and sees pairs only."""
    if one.module == "medim_forge.generator.records":
        return one.name in SEEN_BY_FILTERS
    if one.library == "medim_forge":
        rooms = ("contracts", "domains", "errors", "filters", "phantoms")
        return one.module.startswith(tuple(f"medim_forge.generator.{room}" for room in rooms))
    if one.file == "generator/filters/lexicon.py" and one.module in ("symspellpy.symspellpy", "importlib.resources"):
        return True  # the library's own dictionary, which is the same on every machine as the code is
    if one.file == "generator/filters/plugins.py" and one.module == "importlib.metadata":
        return True
    return one.library in STANDARD_FOR_FILTERS | {"", "numpy"}


def table_rule(one: Import) -> bool:
    """Our own Parquet is read through `generator/store/tables.py`, which explains whatever is damaged."""
    ours = one.module == "medim_forge.generator.store.tables"
    return ours or one.file.startswith(READ_PARQUET) or one.name not in PARQUET_READERS


def dataset_rule(one: Import) -> bool:
    """Who uses a finished dataset reads it by `generator/dataset/`; writing Parquet is another matter."""
    if not one.file.startswith(tuple(f"generator/{room}/" for room in READ_NO_DATASETS)):
        return True
    return one.name not in PARQUET_READERS and one.module != "pyarrow.dataset"


def phantom_rule(one: Import) -> bool:
    """Phantoms need numpy and the table of domains only, so that they can be drawn wherever a model is trained."""
    return one.library in sys.stdlib_module_names | {"", "numpy"} or one.module.startswith(
        ("medim_forge.generator.phantoms", "medim_forge.generator.domains")
    )


def phantom_door_rule(one: Import) -> bool:
    """Other rooms know phantoms by what `generator/phantoms/__init__.py` hands out."""
    return one.file.startswith("generator/phantoms/") or not one.module.startswith("medim_forge.generator.phantoms.")


RULES = [
    pytest.param("model", model_rule, id="model_needs_torch_and_little_else"),
    pytest.param("model", library_rule, id="libraries_of_the_model"),
    pytest.param("generator", library_rule, id="libraries_stay_in_their_rooms"),
    pytest.param("model", face_rule, id="private_names_of_the_model"),
    pytest.param("generator", face_rule, id="private_names_of_the_factory"),
    pytest.param("generator/filters", filter_rule, id="filters_do_no_io_and_see_pairs_only"),
    pytest.param("generator/phantoms", phantom_rule, id="phantoms_need_only_numpy"),
    pytest.param("generator", phantom_door_rule, id="phantoms_have_one_door"),
    pytest.param("generator", dataset_rule, id="finished_datasets_have_one_door"),
    pytest.param("generator", table_rule, id="our_tables_have_one_door"),
]


@pytest.mark.parametrize("package", ORDER)
def test_every_room_has_a_place_in_the_order(package):
    there = {room(file) for file in files(package)} - {None}
    assert there == set(ORDER[package])


@pytest.mark.parametrize("package", ORDER)
def test_a_room_imports_only_rooms_that_stand_before_it(package):
    assert upward(package) == []


def test_no_circles():
    assert circle() == []


@pytest.mark.parametrize(("folder", "rule"), RULES)
def test_import_rule_holds(folder, rule):
    assert files(folder), f"{folder} holds no Python: the rule would hold for nothing"
    assert breaches(folder, rule) == []


def planted(root: Path, **sources: str) -> Path:
    """A house of these files; in a name `__` stands for a slash."""
    for name, source in sources.items():
        path = root / f"{name.replace('__', '/')}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source)
    return root


@pytest.mark.parametrize(
    ("package", "sources"),
    [
        ("generator", {"generator__errors": "from medim_forge.generator import records", "generator__records": ""}),
        (
            "generator",
            {
                "generator__plan__plan": "def late():\n    from medim_forge.generator.shards.make import run",
                "generator__shards__make": "",
            },
        ),
        ("model", {"model__config": "from medim_forge.generator.records import Pair", "generator__records": ""}),
        ("model", {"model__layout": "import medim_forge.model.medim", "model__medim": ""}),
    ],
)
def test_an_upward_import_is_noticed(tmp_path, package, sources):
    assert len(upward(package, planted(tmp_path, **sources))) == 1


def test_a_circle_is_noticed(tmp_path):
    house = planted(
        tmp_path,
        generator__plan__a="from medim_forge.generator.plan.b import x",
        generator__plan__b="from medim_forge.generator.plan import c",
        generator__plan__c="def late():\n    from medim_forge.generator.plan.a import y",
    )
    assert set(circle(house)) == {f"generator/plan/{name}.py" for name in "abc"}


@pytest.mark.parametrize(
    ("file", "statement", "rule"),
    [
        ("model__a", "import pandas", model_rule),
        ("generator__executors__local", "import ray", library_rule),
        ("generator__plan__plan", "def f():\n    from torch import nn", library_rule),
        ("generator__shards__make", "from pydantic import BaseModel", library_rule),
        ("generator__finalise__card", "import pydicom.uid", library_rule),
        ("generator__plan__plan", "from medim_forge.generator.plan.cost import _rows", face_rule),
        ("generator__filters__a", "from pathlib import Path", filter_rule),
        ("generator__filters__a", "from importlib.resources import files", filter_rule),
        ("generator__filters__a", "from medim_forge.generator.records import Shard", filter_rule),
        ("generator__filters__a", "from medim_forge.generator.store import store_at", filter_rule),
        ("generator__phantoms__a", "from medim_forge.generator.errors import MedimError", phantom_rule),
        ("generator__plan__a", "from medim_forge.generator.phantoms.anatomy import FIELD", phantom_door_rule),
        ("generator__evaluation__a", "from pyarrow.parquet import read_table", dataset_rule),
        ("generator__evaluation__a", "pq.read_table('data')", dataset_rule),
        ("generator__evaluation__a", "import pyarrow.dataset", dataset_rule),
        ("generator__finalise__a", "import pyarrow.parquet as pq\npq.read_table('x')", table_rule),
    ],
)
def test_each_rule_notices_a_breach(tmp_path, file, statement, rule):
    house = planted(tmp_path, **{file: statement})
    assert len(breaches(file.partition("__")[0], rule, house)) == 1


def test_filters_open_no_files():
    calls = {
        f"{file}:{node.lineno}"
        for file in files("generator/filters")
        for node in ast.walk(ast.parse((ROOT / file).read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in {"open", "print", "input"}
    }
    assert calls == set()


@pytest.mark.parametrize("package", ORDER)
def test_a_package_imports_only_its_other_name(package):
    assert [one.module for one in imports(f"{package}/__init__.py")] == ["medim_forge.names"]
