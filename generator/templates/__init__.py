"""The pages that are written for people, as Jinja templates, and the one way to fill them in."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from markupsafe import Markup

from medim_forge.generator.escaping import markdown


def render(name: str, *, filters: Mapping[str, Callable[..., Any]] | None = None, **values: Any) -> str:
    """The text of a template with these values in it.

    Args:
        name: file name in this folder, e.g. `dataset_card.md.j2`.
        filters: functions that the template applies with `|`, by name.
        values: what the template names.

    Raises:
        jinja2.UndefinedError: the template names a value that was not given.
    """
    return _template(name, tuple((filters or {}).items())).render(**values)


def _quoted(value: Any) -> Any:
    """What a template is filled with: text from jobs and data is no markup; `Markup` is our own, and stays as it is."""
    return markdown(value) if isinstance(value, str) and not isinstance(value, Markup) else value


@functools.cache
def _template(name: str, filters: tuple[tuple[str, Callable[..., Any]], ...]) -> Template:
    """The compiled template, which knows these filters."""
    # Markdown, not HTML: escaping of every <, > and & would show.
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        undefined=StrictUndefined,
        autoescape=False,  # noqa: S701
        keep_trailing_newline=True,
        finalize=_quoted,
    )
    environment.filters.update(filters)
    return environment.get_template(name)
