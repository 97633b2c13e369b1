"""Filters that live outside this package: scorers with models of their own, found by entry point.

A distribution names one in the group `medim_forge.filters`, as `x_<name> = module:function`. The function takes the
filter's options and returns a function from a `Pair` to a number, which depends on the pair alone. Columns, bounds and
the handling of NaN and errors are the same as for filters of this package. See examples/clip_judge.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import EntryPoint, entry_points

from medim_forge.generator.errors import SpecError
from medim_forge.generator.filters.kind import FilterKind
from medim_forge.generator.filters.threshold import FilterRule, Threshold
from medim_forge.generator.records import Pair, Verdict

GROUP = "medim_forge.filters"
PREFIX = "x_"
NAME = re.compile(rf"{PREFIX}[a-z0-9_]{{1,30}}")
LOCAL = ("/", "./", "../")


@dataclass(frozen=True, kw_only=True)
class Plugin:
    """A plugin; it is loaded when the first pair is judged.

    Attributes:
        name: as the job names it, `x_` first; also of its one score.
        threshold: kept range.
        options: what the job gives it.
        entry: where it is.
    """

    name: str
    threshold: Threshold
    options: Mapping[str, object]
    entry: EntryPoint

    @classmethod
    def of(cls, rule: FilterRule) -> Plugin:
        """The plugin that a job file asks for.

        Raises:
            SpecError: it is not installed, or its `path` is not local.
        """
        found = {entry.name: entry for entry in entry_points(group=GROUP)}
        if rule.name not in found:
            listed = ", ".join(sorted(found)) or "none"
            raise SpecError(
                f"filters: {rule.name!r} is not an installed plugin. Installed in the group {GROUP}: {listed}. Install "
                "the distribution that has it where the job runs."
            )
        path = rule.options.get("path")
        if path is not None and not (isinstance(path, str) and path.startswith(LOCAL)):
            raise SpecError(
                f"filters: {rule.name}: options.path is {path!r}; give a local path that starts with /, ./ or ../, "
                "because nothing is downloaded."
            )
        return cls(name=rule.name, threshold=Threshold.of(rule), options=rule.options, entry=found[rule.name])

    @cached_property
    def _score(self) -> Callable[[Pair], float]:
        opened: Callable[[Pair], float] = self.entry.load()(self.options)
        return opened

    def judge(self, pair: Pair) -> Verdict:
        """The plugin's number as the score."""
        return self.threshold.verdict({self.name: float(self._score(pair))})


def kind(name: str) -> FilterKind:
    """What is known of a plugin before it is looked for: it sees the whole pair, and checks its options itself."""
    return FilterKind(
        name=name,
        scores={name: meaning(name)},
        build=Plugin.of,
        sees="pair",
        options=None,
        options_measure=True,
    )


def meaning(score: str) -> str:
    """What the score of a plugin means, as far as it can be said."""
    return f"number of the plugin {score}"
