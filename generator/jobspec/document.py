"""A job file as YAML: what it says is read as it looks, and what would be read as something else is refused.

PyYAML reads YAML 1.1, in which 010 is 8 and 1:30 is 90. Here a number is what YAML 1.2 and people take it for.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

import yaml

from medim_forge.generator.errors import SpecError

_MOST_DIGITS = 100  # of a whole number


class _Loader(yaml.SafeLoader):
    """A safe loader that refuses a key given twice, and a key that is no word, and reads numbers in base ten."""

    def fetch_tag(self) -> None:
        """No value says its own type.

        Raises:
            yaml.scanner.ScannerError: always, for this is called where a tag begins.
        """
        raise yaml.scanner.ScannerError(
            None, None, "job files take no tags such as !!str; leave it out, and quote what is text", self.get_mark()
        )

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        """The mapping of `node`.

        Raises:
            yaml.constructor.ConstructorError: a key is a list or a mapping, or appears twice.
        """
        seen: set[str] = set()
        for key_node, _ in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                raise _refused("a key is a list or a mapping; write a word", key_node)
            if key_node.value in seen:
                raise _refused(f"the key {key_node.value} is given twice; keep one", key_node)
            seen.add(str(key_node.value))
        return super().construct_mapping(node, deep=deep)

    def construct_decimal(self, node: yaml.ScalarNode) -> int:
        """The whole number that the digits write.

        Raises:
            yaml.constructor.ConstructorError: it begins with 0, which some take for base eight.
        """
        text = str(node.value).replace("_", "")
        digits = text.lstrip("+-")
        if len(digits) > _MOST_DIGITS:
            raise _refused(f"a number of {len(digits)} digits is beyond every range", node)
        if len(digits) > 1 and digits.startswith("0"):
            raise _refused(f"{node.value} begins with 0; write {int(text)}", node)
        return int(text)

    def construct_fraction(self, node: yaml.ScalarNode) -> float:
        """The number that the digits write."""
        text = str(node.value).replace("_", "").lower()
        return float(text.replace(".inf", "inf").replace(".nan", "nan"))

    def construct_day(self, node: yaml.ScalarNode) -> Any:
        """The date.

        Raises:
            yaml.constructor.ConstructorError: the calendar has no such day.
        """
        try:
            return super().construct_yaml_timestamp(node)
        except ValueError as error:
            raise _refused(f"{node.value} is no date ({error}); write year-month-day, e.g. 2026-11-23", node) from error


def _refused(problem: str, node: yaml.Node) -> yaml.constructor.ConstructorError:
    return yaml.constructor.ConstructorError(None, None, problem, node.start_mark)


def _resolvers() -> dict[str, list[tuple[str, re.Pattern[str]]]]:
    """The resolvers of YAML 1.1 but for its numbers, and those of YAML 1.2 for numbers, by first character."""
    tags = ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")
    kept = {
        first: [(tag, pattern) for tag, pattern in rules if tag not in tags]
        for first, rules in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    whole = re.compile(r"[-+]?[0-9][0-9_]*$")
    # Without a point, 1e5 stays text: the hint says how to write it.
    fraction = re.compile(
        r"([-+]?([0-9][0-9_]*\.[0-9_]*|\.[0-9]+)([eE][-+][0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN))$"
    )
    for first in "-+.0123456789":
        kept[first] = [*kept.get(first, []), (tags[0], whole), (tags[1], fraction)]
    return kept


_Loader.yaml_implicit_resolvers = _resolvers()
_Loader.add_constructor("tag:yaml.org,2002:int", _Loader.construct_decimal)
_Loader.add_constructor("tag:yaml.org,2002:float", _Loader.construct_fraction)
_Loader.add_constructor("tag:yaml.org,2002:timestamp", _Loader.construct_day)


class _Dumper(yaml.SafeDumper):
    """A safe dumper that quotes what either YAML would read as a number."""


_Dumper.yaml_implicit_resolvers = {
    first: [*yaml.SafeDumper.yaml_implicit_resolvers.get(first, []), *_Loader.yaml_implicit_resolvers.get(first, [])]
    for first in {*yaml.SafeDumper.yaml_implicit_resolvers, *_Loader.yaml_implicit_resolvers}
}


def yaml_text(values: Mapping[str, Any]) -> str:
    """The values as YAML, in order; `parse_yaml` of it gives equal values."""
    return yaml.dump(values, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)


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
        values = yaml.load(content.decode(), Loader=_Loader)  # noqa: S506 - a SafeLoader, stricter on keys
    except UnicodeDecodeError as error:
        raise SpecError(
            f"{source}{_place(content[: error.start])}: is not UTF-8 text ({error.reason} at byte {error.start}). Give "
            "a job file."
        ) from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f":{mark.line + 1}:{mark.column + 1}" if mark else ""
        raise SpecError(f"{source}{where}: is not a job file: {error.problem}.") from error
    except yaml.reader.ReaderError as error:
        where = _place(content.decode()[: error.position].encode())
        raise SpecError(
            f"{source}{where}: is not a job file: it holds the control character {error.character!r}."
        ) from error
    except RecursionError as error:
        raise SpecError(f"{source}: is not a job file: it is nested too deeply.") from error
    except (yaml.YAMLError, ValueError) as error:
        raise SpecError(f"{source}: is not a job file: {error}.") from error
    if not isinstance(values, dict) or not all(isinstance(key, str) for key in values):
        raise SpecError(f"{source}: holds no mapping of keys to values. Start with `kind: generate`.")
    return values


def _place(before: bytes) -> str:
    """Line and column of what follows `before`, as errors name them."""
    lines = before.decode(errors="replace").split("\n")
    return f":{len(lines)}:{len(lines[-1]) + 1}"
