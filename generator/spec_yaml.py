"""Reads a job file so that nothing in it is lost: a key given twice is an error, not a silent choice."""

from __future__ import annotations

from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from generator.errors import SpecError


class _UniqueKeys(yaml.SafeLoader):
    """A safe loader that refuses a mapping with one key twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        """The mapping of `node`.

        Raises:
            yaml.constructor.ConstructorError: a key appears twice.
        """
        seen: set[str] = set()
        for key_node, _ in node.value:
            if key_node.value in seen:
                problem = f"the key {key_node.value} is given twice; keep one"
                raise yaml.constructor.ConstructorError(None, None, problem, key_node.start_mark)
            seen.add(str(key_node.value))
        return super().construct_mapping(node, deep=deep)


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping that a YAML file holds.

    Raises:
        SpecError: the file is missing, is not YAML, holds no mapping, or gives a key twice.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise SpecError(
            f"{path}: cannot be read ({error.strerror}). Give the path of a job file, e.g. jobs/quickstart.yaml."
        ) from error
    return parse_yaml(content, str(path))


def parse_yaml(content: bytes, source: str) -> dict[str, Any]:
    """The mapping that YAML text holds.

    Args:
        content: in UTF-8.
        source: what to call it in errors.

    Raises:
        SpecError: it is not YAML, holds no mapping, or gives a key twice.
    """
    try:
        values = yaml.load(content.decode(), Loader=_UniqueKeys)  # noqa: S506 - a SafeLoader, stricter on keys
    except UnicodeDecodeError as error:
        raise SpecError(
            f"{source}: is not UTF-8 text ({error.reason} at byte {error.start}). Give a job file."
        ) from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f":{mark.line + 1}:{mark.column + 1}" if mark else ""
        raise SpecError(f"{source}{where}: is not a job file: {error.problem}.") from error
    except (yaml.YAMLError, ValueError) as error:
        raise SpecError(f"{source}: is not a job file: {error}.") from error
    if not isinstance(values, dict) or not all(isinstance(key, str) for key in values):
        raise SpecError(f"{source}: holds no mapping of keys to values. Start with `kind: generate`.")
    return values
