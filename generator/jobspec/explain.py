"""Turns what pydantic found wrong into lines that say where, what, and how to fix it."""

from __future__ import annotations

import datetime
import types
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from medim_forge.generator.errors import SpecError, suggestion
from medim_forge.generator.jobspec.header import JobHeader

Location = tuple[int | str, ...]
# Pydantic's words for some kinds of mistakes, in words for people.
_PLAIN = {
    "tuple_type": "give a list",
    "list_type": "give a list",
    "dict_type": "give a mapping of keys to values",
    "model_type": "give a mapping of keys to values",
    "model_attributes_type": "give a mapping of keys to values",
    "int_type": "give a whole number",
    "int_from_float": "give a whole number",
    "float_type": "give a number",
    "string_type": "give text",
    "bool_type": "give true or false",
    "date_type": "give a date, e.g. 2026-11-23",
    "string_pattern_mismatch": "use lower case letters, digits and underscores, at most 40",
}
_LONGEST = 80  # characters of a value that a message repeats
Job = TypeVar("Job", bound=JobHeader)


def validated(kind: type[Job], values: Mapping[str, Any], source: str) -> Job:
    """The job of this kind that `values` describe.

    Args:
        kind: of job.
        values: the content of a job file, or of a part of one that is a job.
        source: what to call it in errors.

    Raises:
        SpecError: an unknown key, a wrong type or an impossible value.
    """
    try:
        return kind.model_validate(values).named(source)
    except ValidationError as error:
        raise SpecError(explain(error, kind, source)) from error


def explain(error: ValidationError, model: type[BaseModel], source: str) -> str:
    """One line per mistake, each led by `source` and the dotted key."""
    lines = [f"{source}: {_line(details, model)}" for details in error.errors(include_url=False)]
    return "\n".join(dict.fromkeys(lines))


def _line(details: ErrorDetails, model: type[BaseModel]) -> str:
    """The sentence for one mistake."""
    models, key = _resolve(model, details["loc"])
    known = sorted({name for holder in models for name in holder.model_fields})
    given, kind = details["input"], details["type"]
    if kind == "extra_forbidden":
        listed = ", ".join(name for holder in models for name in holder.model_fields)
        return f"{key} is not a known key{suggestion(str(details['loc'][-1]), known)}. Known: {listed}."
    if kind == "missing":
        return f"{key} is missing; add it."
    if kind in {"literal_error", "union_tag_invalid"}:
        return _not_one_of(key, details)
    if kind == "union_tag_not_found":
        tag = str(details.get("ctx", {}).get("discriminator", "")).strip("'")
        return f"{key}.{tag} is missing; add it."
    message = details["msg"].removeprefix("Value error, ")
    if kind == "value_error" and isinstance(given, dict | BaseModel):
        return f"{key}: {message}." if key else f"{message}."
    message = _PLAIN.get(kind, message[:1].lower() + message[1:])
    return f"{key} = {_shown(given)}: {message}{_hint(kind, given)}."


def _not_one_of(key: str, details: ErrorDetails) -> str:
    """The sentence for a word outside a closed list."""
    context = details.get("ctx", {})
    if "tag" in context:
        key, given = f"{key}.{str(context['discriminator']).strip(chr(39))}", context["tag"]
        expected = str(context["expected_tags"])
    else:
        given, expected = details["input"], str(context["expected"])
    words = [word.strip(" '") for word in expected.replace(" or ", ",").split(",")]
    return f"{key} = {given!r} is not known{suggestion(str(given), words)}. Known: {', '.join(words)}."


def _shown(given: object) -> str:
    """A value as the message repeats it, cut where it is long."""
    text = str(given) if isinstance(given, datetime.date) else repr(given)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]} ..."


def _hint(kind: str, given: object) -> str:
    """How to write what YAML took for something else."""
    if kind == "string_type" and isinstance(given, bool):
        return "; YAML reads yes, no, on and off as true or false: quote it"
    if kind not in {"float_type", "int_type"} or not isinstance(given, str):
        return ""
    try:
        number = float(given)
    except ValueError:
        return ""
    if kind == "float_type":
        return f"; it is text: write {number:g}, without quotes"
    return f"; it is text: write {int(number)}, without quotes" if number.is_integer() else ""


def _resolve(model: type[BaseModel], location: Location) -> tuple[list[type[BaseModel]], str]:
    """The models that hold the last key of `location`, and the location as the user would write it.

    pydantic puts the tag of a discriminated union into the location (`inputs.phantoms.pairs`); the key leaves it out.
    """
    models: list[type[BaseModel]] = [model]
    key = ""
    for position, part in enumerate(location):
        if isinstance(part, int):
            key += f"[{part}]"
            continue
        tagged = [holder for holder in models if part in _tags(holder)]
        if tagged and not any(part in holder.model_fields for holder in models):
            models = tagged
            continue
        key += f".{part}" if key else part
        if position < len(location) - 1:
            fields = [holder.model_fields[part] for holder in models if part in holder.model_fields]
            models = [inner for field in fields for inner in _models_in(field.annotation)]
    return models, key


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    """Every model that a field of this annotation may hold."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    elif get_origin(annotation) in {Union, types.UnionType, tuple} or hasattr(annotation, "__metadata__"):
        for inner in get_args(annotation):
            yield from _models_in(inner)


def _tags(model: type[BaseModel]) -> tuple[str, ...]:
    """The words of the model's `source` that pick it from a union."""
    field = model.model_fields.get("source")
    return get_args(field.annotation) if field else ()
