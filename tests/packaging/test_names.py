"""In a checkout the folders' own names work too, and name the same modules."""

from __future__ import annotations

import importlib
import importlib.metadata
import subprocess
import sys
import textwrap
import tomllib

import pytest

import medim_forge


@pytest.mark.parametrize("name", ["generator", "generator.records", "generator.filters.threshold", "model.layout"])
def test_both_names_give_the_same_module(name):
    short, full = importlib.import_module(name), importlib.import_module(f"medim_forge.{name}")
    assert short is full
    assert full.__name__ == full.__spec__.name == f"medim_forge.{name}"


@pytest.mark.parametrize("first", ["generator", "medim_forge.generator"])
def test_the_order_in_which_the_names_are_imported_does_not_matter(first, repository):
    code = f"""
        import importlib
        importlib.import_module("{first}.errors")
        from generator.errors import RowError
        from medim_forge.generator.errors import RowError as Same
        import generator.phantoms.chest, medim_forge.generator.phantoms.chest as chest
        assert RowError is Same and generator.phantoms.chest is chest
        assert RowError.__module__ == "medim_forge.generator.errors"
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(code)], cwd=repository, check=True)


def test_a_module_that_does_not_exist_is_missing_under_either_name():
    for name in ("generator.nothing", "medim_forge.generator.nothing"):
        with pytest.raises(ModuleNotFoundError, match="nothing"):
            importlib.import_module(name)


@pytest.mark.parametrize("package", ["generator", "medim_forge.generator"])
def test_a_plugin_that_imports_either_name_meets_the_pairs_of_the_job(package, tmp_path, monkeypatch):
    """A plugin that asks `isinstance(pair, Pair)` of the class it imported gets the same answer under both names."""
    from medim_forge.generator.filters import build_judge
    from medim_forge.generator.filters.plugins import GROUP
    from tests.doubles.pairs import make_pair, make_spec

    plugin = tmp_path / "own_plugin.py"
    plugin.write_text(
        f"from {package}.records import Pair\n"
        "def open_judge(options):\n"
        "    return lambda pair: float(isinstance(pair, Pair))\n"
    )
    entry = importlib.metadata.EntryPoint(name="x_own", value="own_plugin:open_judge", group=GROUP)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr("medim_forge.generator.filters.plugins.entry_points", lambda group: [entry])
    monkeypatch.delitem(sys.modules, "own_plugin", raising=False)
    verdict = build_judge(make_spec(filters=[{"name": "x_own"}]))(make_pair(0))
    assert verdict.scores["x_own"] == 1


def test_the_version_has_one_source():
    assert importlib.metadata.version("medim-forge") == medim_forge.__version__


def test_every_package_of_the_house_is_listed_for_the_wheel(repository):
    listed = set(tomllib.loads((repository / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"])
    there = {
        ".".join(("medim_forge", *path.parent.relative_to(repository).parts))
        for folder in ("generator", "model")
        for path in (repository / folder).rglob("__init__.py")
    }
    assert listed == there | {"medim_forge", "medim_forge.jobs"}
