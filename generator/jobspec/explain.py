"""Turns what pydantic found wrong into lines that say where, what, and how to fix it."""

from __future__ import annotations

import datetime
import math
import types
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from medim_forge.generator.errors import SpecError, suggestion
from medim_forge.generator.jobspec.composer import Location, Places
from medim_forge.generator.jobspec.header import JobHeader, dotted, place_of
from medim_forge.model.quoting import quoted

# Pydantic's words for some kinds of mistakes, in words for people.
_PLAIN = {
    "tuple_type": "give a list",
    "list_type": "give a list",
    "dict_type": "give a mapping of keys to values",
    "model_type": "give a mapping of keys to values",
    "model_attributes_type": "give a mapping of keys to values",
    "int_type": "give a whole number",
    "int_from_float": "give a whole number",
    "int_parsing_size": "give a smaller whole number",
    "float_type": "give a number",
    "finite_number": "give a finite number",
    "string_type": "give text",
    "string_unicode": "give text",
    "bool_type": "give true or false",
    "date_type": "give a date, e.g. 2026-11-23",
    "invalid-json-value": "give text, a number, true, false, a list or a mapping",
    "string_pattern_mismatch": "use lower case letters, digits and underscores, at most 40",
}
# The same of bounds: the key of the bound, and what is said of it.
_BOUNDS = {
    "greater_than_equal": ("ge", "give at least {}"),
    "greater_than": ("gt", "give more than {}"),
    "less_than_equal": ("le", "give at most {}"),
    "less_than": ("lt", "give less than {}"),
    "string_too_long": ("max_length", "give at most {} characters"),
    "too_short": ("min_length", "give at least {} entries"),
    "too_long": ("max_length", "give at most {} entries"),
}
_MOST_LINES = 10  # mistakes that one message tells
Job = TypeVar("Job", bound=JobHeader)


def validated(kind: type[Job], values: Mapping[str, Any], source: str, places: Places | None = None) -> Job:
    """The job of this kind that `values` describe.

    Args:
        kind: of job.
        values: the content of a job file, or of a part of one that is a job.
        source: what to call it in errors.
        places: line of each key and list entry by path, where it was read from a file.

    Raises:
        SpecError: an unknown key, a wrong type or an impossible value.
    """
    try:
        return kind.model_validate(values).named(source, places)
    except ValidationError as error:
        raise SpecError(explain(error, kind, source, places)) from error


def explain(error: ValidationError, model: type[BaseModel], source: str, places: Places | None = None) -> str:
    """One line per mistake, each led by `source`, the line of the file where it is known, and the dotted key."""
    found = error.errors(include_url=False)
    told = list(dict.fromkeys(_line(details, model, source, places or {}) for details in found[:_MOST_LINES]))
    more = len(found) - _MOST_LINES
    return "\n".join([*told, *([f"{source}: {more} more mistakes; mend these first."] if more > 0 else [])])


def _line(details: ErrorDetails, model: type[BaseModel], source: str, places: Places) -> str:
    """The sentence for one mistake."""
    models, location = _resolve(model, details["loc"])
    sentence = _sentence(details, models, dotted(location))
    return f"{place_of(source, location, places)}: {sentence}"


def _sentence(details: ErrorDetails, models: list[type[BaseModel]], key: str) -> str:
    """What is wrong with the value of a key."""
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
    return f"{key} = {_shown(given)}: {_said(details, message)}{_hint(kind, given)}."


def _said(details: ErrorDetails, message: str) -> str:
    """What to give instead."""
    kind = details["type"]
    if kind == "string_too_short":
        return "is empty; give text"
    if kind in _BOUNDS:
        name, words = _BOUNDS[kind]
        bound = details.get("ctx", {})[name]
        return words.format(f"{bound:,}" if isinstance(bound, int) else f"{bound:g}")
    return _PLAIN.get(kind, message[:1].lower() + message[1:])


def _not_one_of(key: str, details: ErrorDetails) -> str:
    """The sentence for a word outside a closed list."""
    context = details.get("ctx", {})
    if "tag" in context:
        key, given = f"{key}.{str(context['discriminator']).strip(chr(39))}", context["tag"]
        expected = str(context["expected_tags"])
    else:
        given, expected = details["input"], str(context["expected"])
    words = [word.strip(" '") for word in expected.replace(" or ", ",").split(",")]
    return f"{key} = {_shown(given)} is not known{suggestion(str(given), words)}. Known: {', '.join(words)}."


def _shown(given: object) -> str:
    """A value as the message repeats it, cut where it is long."""
    return str(given) if isinstance(given, datetime.date) else quoted(given)


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
    if not math.isfinite(number):
        return ""
    if kind == "float_type":
        return f"; it is text: write {number:g}, without quotes"
    return f"; it is text: write {int(number)}, without quotes" if number.is_integer() else ""


def _resolve(model: type[BaseModel], location: Location) -> tuple[list[type[BaseModel]], Location]:
    """The models that hold the last key of `location`, and the location as the file has it.

    pydantic puts the tag of a discriminated union into the location (`inputs.phantoms.pairs`); the file does not.
    """
    models: list[type[BaseModel]] = [model]
    found: Location = ()
    for position, part in enumerate(location):
        if isinstance(part, int):
            found = (*found, part)
            continue
        tagged = [holder for holder in models if part in _tags(holder)]
        if tagged and not any(part in holder.model_fields for holder in models):
            models = tagged
            continue
        found = (*found, part)
        if position < len(location) - 1:
            fields = [holder.model_fields[part] for holder in models if part in holder.model_fields]
            models = [inner for field in fields for inner in _models_in(field.annotation)]
    return models, found


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
