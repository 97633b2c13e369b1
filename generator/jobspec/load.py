"""Job specs: what a YAML file may say, checked before anything starts."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from medim_forge.generator.errors import SpecError, suggestion
from medim_forge.generator.jobspec.augment import AugmentSpec
from medim_forge.generator.jobspec.composer import Places
from medim_forge.generator.jobspec.data_job import DataSpec
from medim_forge.generator.jobspec.document import read_document, yaml_text
from medim_forge.generator.jobspec.evaluate import EvaluateSpec
from medim_forge.generator.jobspec.explain import validated
from medim_forge.generator.jobspec.generate import GenerateSpec
from medim_forge.generator.jobspec.header import place_of
from medim_forge.generator.jobspec.train import TrainSpec
from medim_forge.model.quoting import quoted, shown

JobSpec = GenerateSpec | TrainSpec | AugmentSpec | EvaluateSpec | DataSpec
KINDS: Mapping[str, type[JobSpec]] = {
    "generate": GenerateSpec,
    "train": TrainSpec,
    "augment": AugmentSpec,
    "evaluate": EvaluateSpec,
    "data": DataSpec,
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
    document = read_document(path)
    values, places = document.values, document.places
    if out is not None:
        section = values.get("output")
        values["output"] = {**(section if isinstance(section, dict) else {}), "dir": out}
        places = {location: line for location, line in places.items() if location not in _OUT}
    return parse_spec(values, source=shown(path), places=places)


# What `--out` replaces stands in no line of the file.
_OUT = (("output",), ("output", "dir"))


def find_job(path: Path | str) -> Path:
    """The job file that is meant: the path itself, or the job of this name that comes with the software.

    Args:
        path: of a file; or a bare name, e.g. `quickstart`, where there is no such file.

    Raises:
        SpecError: it is a bare name that neither a file nor a bundled job has.
    """
    path = Path(path)
    if path.suffix or len(path.parts) != 1 or _may_be_read(path):
        return path
    bundled = {
        Path(entry.name).stem: Path(str(entry))
        for entry in files("medim_forge.jobs").iterdir()
        if entry.name.endswith(".yaml")
    }
    if path.name not in bundled:
        raise SpecError(
            f"{shown(path)}: is neither a file nor a bundled job{suggestion(path.name, bundled)}. Bundled: "
            f"{', '.join(sorted(bundled))}. Or give the path of a job file, e.g. jobs/quickstart.yaml."
        )
    return bundled[path.name]


def _may_be_read(path: Path) -> bool:
    """Whether there is something of this name that is no folder, or nobody can tell."""
    try:
        return path.exists() and not path.is_dir()
    except (OSError, ValueError):
        return True


def parse_spec(values: Mapping[str, Any], source: str, places: Places | None = None) -> JobSpec:
    """The job that `values` describe.

    Args:
        values: the content of a job file.
        source: what to call it in errors.
        places: line of each key and list entry by path, where it was read from a file.

    Raises:
        SpecError: an unknown key, a wrong type or an impossible value.
    """
    kind = values.get("kind")
    if not isinstance(kind, str) or kind not in KINDS:
        said = f"kind = {quoted(kind)} is not a kind of job{suggestion(str(kind), KINDS)}"
        said = "kind is missing" if kind is None else said
        where = place_of(source, ("kind",), places or {})
        raise SpecError(f"{where}: {said}. Known: {', '.join(KINDS)}.")
    return validated(KINDS[kind], values, source, places)


def to_yaml(spec: JobSpec) -> str:
    """The whole spec as YAML with every default written out; `load_spec` of it gives an equal spec."""
    return yaml_text(spec.model_dump(mode="json"))
