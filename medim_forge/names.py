"""One identity for two names: in a checkout, `generator` and `medim_forge.generator` are the same modules."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType


class _SameModules(MetaPathFinder, Loader):
    """Finds `<folder>.x` as the very module `medim_forge.<folder>.x`.

    Args:
        folder: name of a folder at the top of the checkout that is a package of `medim_forge`.
    """

    def __init__(self, folder: str) -> None:
        self._prefix = f"{folder}."

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,  # noqa: ARG002 - the import system passes it
        target: ModuleType | None = None,  # noqa: ARG002
    ) -> ModuleSpec | None:
        """The spec of the other name; None for other packages, and for `__main__`, which `python -m` runs as a file."""
        if not fullname.startswith(self._prefix) or fullname.endswith(".__main__"):
            return None
        spec = ModuleSpec(fullname, self)
        try:
            spec.loader_state = import_module(f"medim_forge.{fullname}")
        except ModuleNotFoundError as error:
            if error.name == f"medim_forge.{fullname}":
                return None
            raise
        return spec

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """The module that is loaded already; its own spec is kept for `exec_module`."""
        module: ModuleType = spec.loader_state
        spec.loader_state = (module, module.__spec__)
        return module

    def exec_module(self, module: ModuleType) -> None:
        """Nothing is run a second time; the module has its own spec again, which the import system had replaced."""
        assert module.__spec__ is not None
        _, module.__spec__ = module.__spec__.loader_state


def same_modules(folder: str) -> None:
    """`import <folder>` and `import medim_forge.<folder>`, at any depth, give the same module objects from now on.

    Args:
        folder: `generator` or `model`, whose `__init__` calls this while it is imported under its short name.
    """
    sys.modules[folder] = import_module(f"medim_forge.{folder}")
    sys.meta_path.insert(0, _SameModules(folder))
