"""Which filters there are."""

from __future__ import annotations

from medim_forge.generator.errors import suggestion
from medim_forge.generator.filters import (
    agreement,
    contradictions,
    duplicates,
    fluency,
    image_stats,
    labels,
    near_duplicates,
    nonwords,
    novelty,
    plugins,
    references,
    report_form,
)
from medim_forge.generator.filters.kind import FilterKind

# Every filter of the package by name, in the order of verdicts and columns. A new filter is one line here.
FILTERS: dict[str, FilterKind] = {
    kind.name: kind
    for kind in (
        image_stats.KIND,
        report_form.KIND,
        nonwords.KIND,
        references.KIND,
        contradictions.KIND,
        labels.KIND,
        fluency.KIND,
        agreement.KIND,
        duplicates.KIND,
        near_duplicates.KIND,
        novelty.KIND,
    )
}


def kind_of(name: str) -> FilterKind:
    """The facts about the filter or the plugin of this name.

    Raises:
        ValueError: the name is neither that of a filter nor one that a plugin may have.
    """
    if name in FILTERS:
        return FILTERS[name]
    if plugins.NAME.fullmatch(name):
        return plugins.kind(name)
    raise ValueError(
        f"is not a known filter{suggestion(name, FILTERS)}. Known: {', '.join(FILTERS)}, and installed plugins, which "
        f"begin with {plugins.PREFIX}"
    )


def relative_scores() -> tuple[str, ...]:
    """The scores that depend on the other pairs of the shard, in column order."""
    return tuple(name for kind in FILTERS.values() for name in kind.relative)
