"""The job that only looks at data, and the sections of other jobs that say which data they work with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, ValidationError

from medim_forge.generator.errors import SpecError
from medim_forge.generator.jobspec.data import DataSection
from medim_forge.generator.jobspec.explain import explain
from medim_forge.generator.jobspec.fields import Place, Section
from medim_forge.generator.jobspec.header import JobHeader

# Keys of jobs under which a section `data` may stand.
DATA_KEYS = ("data", "real", "reference", "training")


class SeenSection(Section):
    """The model that would see the pairs.

    Attributes:
        checkpoint: whose image sizes and report slots count; None for none.
        resolution: pixels a side of images, where no checkpoint says it.
    """

    checkpoint: Place | None = None
    resolution: Annotated[int, Field(ge=8, le=4096)] = 256


class DataSpec(JobHeader):
    """Image-report pairs to look at with `medim data`; nothing is made of them.

    Attributes:
        kind: `data`.
        data: the pairs.
        model: that would see them.
    """

    free_keys: ClassVar[dict[str, tuple[str, ...]]] = {}

    kind: Literal["data"]
    data: DataSection
    model: SeenSection = Field(default_factory=SeenSection)


def find_data(values: Mapping[str, Any], source: str) -> dict[str, tuple[DataSection, SeenSection]]:
    """The sections of a job that say which pairs it works with, by key, and the model that would see them.

    A file that holds a section `data` and no kind is a job of kind `data`.

    Args:
        values: the content of a job file.
        source: what to call it in errors.

    Raises:
        SpecError: there is none, or one is wrong.
    """
    if values.get("kind", "data") == "data":
        if "data" not in values:
            raise SpecError(f"{source}: data is missing; add it: {{sources: [{{kind or preset, path, domain}}]}}.")
        try:
            job = DataSpec.model_validate({"kind": "data", "name": "data", **values})
        except ValidationError as error:
            raise SpecError(explain(error, DataSpec, source)) from error
        return {"data": (job.data, job.model)}
    given = {key: values[key] for key in DATA_KEYS if isinstance(values.get(key), dict) and "sources" in values[key]}
    if not given:
        raise SpecError(
            f"{source}: kind: {values['kind']} has no section {', '.join(DATA_KEYS[:-1])} or {DATA_KEYS[-1]} with "
            "sources; write one, or a file of kind: data."
        )
    found = {}
    for key, section in given.items():
        try:
            found[key] = DataSection.model_validate(section), _model(values)
        except ValidationError as error:
            raise SpecError(explain(error, DataSection, f"{source}: {key}")) from error
    return found


def _model(values: Mapping[str, Any]) -> SeenSection:
    """The model of a job of another kind, as far as it is said."""
    model, start = _mapping(values, "model"), _mapping(values, "start")
    image = _mapping(model, "image")
    named = (model.get("checkpoint"), start.get("path"), values.get("start_from"))
    checkpoint = next((name for name in named if isinstance(name, str)), None)
    resolution = image.get("resolution")
    if isinstance(resolution, int) and 8 <= resolution <= 4096:
        return SeenSection(resolution=resolution)
    return SeenSection(checkpoint=checkpoint)


def _mapping(values: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = values.get(key)
    return found if isinstance(found, dict) else {}
