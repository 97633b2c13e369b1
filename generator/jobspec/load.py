"""Job specs: what a YAML file may say, checked before anything starts."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

from medim_forge.generator.errors import SpecError, suggestion
from medim_forge.generator.jobspec.augment import AugmentSpec
from medim_forge.generator.jobspec.evaluate import EvaluateSpec
from medim_forge.generator.jobspec.explain import validated
from medim_forge.generator.jobspec.generate import GenerateSpec
from medim_forge.generator.jobspec.train import TrainSpec

JobSpec = GenerateSpec | TrainSpec | AugmentSpec | EvaluateSpec
KINDS: Mapping[str, type[JobSpec]] = {
    "generate": GenerateSpec,
    "train": TrainSpec,
    "augment": AugmentSpec,
    "evaluate": EvaluateSpec,
}


def load_spec(path: Path | str, out: str | None = None) -> JobSpec:
    """The job of a YAML file.

    Args:
        path: the file, or the name of a bundled job; see `find_job`.
        out: replaces `output.dir`.

    Raises:
        SpecError: the file cannot be read, or holds an unknown key, a wrong type or an impossible value.
    """
    path = find_job(path)
    values = read_yaml(path)
    if out is not None:
        section = values.get("output")
        values["output"] = {**(section if isinstance(section, dict) else {}), "dir": out}
    return parse_spec(values, source=str(path))


def find_job(path: Path | str) -> Path:
    """The job file that is meant: the path itself, or the job of this name that comes with the software.

    Args:
        path: of a file; or a bare name, e.g. `quickstart`, where there is no such file.

    Raises:
        SpecError: it is a bare name that neither a file nor a bundled job has.
    """
    path = Path(path)
    if path.is_file() or path.suffix or len(path.parts) != 1:
        return path
    bundled = {
        Path(entry.name).stem: Path(str(entry))
        for entry in files("medim_forge.jobs").iterdir()
        if entry.name.endswith(".yaml")
    }
    if path.name not in bundled:
        raise SpecError(
            f"{path}: is neither a file nor a bundled job{suggestion(path.name, bundled)}. Bundled: "
            f"{', '.join(sorted(bundled))}. Or give the path of a job file, e.g. jobs/quickstart.yaml."
        )
    return bundled[path.name]


def parse_spec(values: Mapping[str, Any], source: str) -> JobSpec:
    """The job that `values` describe.

    Args:
        values: the content of a job file.
        source: what to call it in errors.

    Raises:
        SpecError: an unknown key, a wrong type or an impossible value.
    """
    kind = values.get("kind")
    if not isinstance(kind, str) or kind not in KINDS:
        said = (
            "kind is missing" if kind is None else f"kind = {kind!r} is not a kind of job{suggestion(str(kind), KINDS)}"
        )
        raise SpecError(f"{source}: {said}. Known: {', '.join(KINDS)}.")
    return validated(KINDS[kind], values, source)


def to_yaml(spec: JobSpec) -> str:
    """The whole spec as YAML with every default written out; `load_spec` of it gives an equal spec."""
    return yaml.safe_dump(spec.model_dump(mode="json"), sort_keys=False, allow_unicode=True, width=120)


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
