"""The values that pass between rooms, as far as they do more than hold."""

from __future__ import annotations

from medim_forge.generator.records import Counts


def test_counts_are_summed_reasons_in_the_order_in_which_they_were_seen():
    first = Counts(shards=1, pairs=4, kept=2, dropped=2, rejects={"b": 1, "a": 1})
    second = Counts(shards=1, pairs=4, kept=1, dropped=2, quarantined=1, rejects={"c": 1, "b": 2})
    both = first + second
    assert both == Counts(shards=2, pairs=8, kept=3, dropped=4, quarantined=1, rejects={"b": 3, "a": 1, "c": 1})
    assert list(both.rejects) == ["b", "a", "c"]
    assert both.judged == 7
    assert sum([first, second], Counts()) == both
    assert first.rejects == {"b": 1, "a": 1}
