"""A filter is one thing: what its own file says of it holds wherever filters are named."""

import math

import pytest

from medim_forge.generator.dataset import open_dataset
from medim_forge.generator.dataset.schema import columns
from medim_forge.generator.errors import SpecError
from medim_forge.generator.filters import (
    FILTERS,
    FilterKind,
    build_decide,
    build_judge,
    described,
    kind_of,
    score_names,
)
from medim_forge.generator.filters import relative_scores as relative
from medim_forge.generator.filters.kind import measured_by
from medim_forge.generator.generate.job import run_job
from medim_forge.generator.jobspec import parse_spec
from tests.doubles.bare_pairs import Job, Rule, a_pair
from tests.doubles.pairs import make_provenance
from tests.doubles.toy_replica import PARTS, toy_job

VOWELS = FilterKind(
    name="vowels",
    scores={"vowels": "share of letters that are vowels", "vowels_rank": "rank of that share within the shard"},
    build=measured_by(lambda pair: {"vowels": sum(letter in "aeiou" for letter in pair.report) / len(pair.report)}),
    sees="report",
    drop_below=0.1,
    unit=True,
    relative={"vowels_rank": math.nan},
)


@pytest.fixture
def vowels(monkeypatch):
    """A filter that another file holds, and one line in the catalogue."""
    monkeypatch.setitem(FILTERS, VOWELS.name, VOWELS)


def job(*filters, **changes):
    values = {"kind": "generate", "name": "a", "date": "2026-11-23", "task": "joint", "output": {"dir": "out"}}
    values |= {"prompts": [{"domain": "chest_xray", "pairs": 1}], "filters": list(filters), **changes}
    return parse_spec(values, "job.yaml")


def test_a_new_filter_can_be_named_by_jobs_within_what_its_facts_allow(vowels):
    assert job({"name": "vowels", "drop_below": 0.4}).filters[0].drop_below == 0.4
    with pytest.raises(SpecError, match=r"vowels: drop_above = 2, but its score runs from 0 to 1"):
        job({"name": "vowels", "drop_above": 2.0})
    with pytest.raises(SpecError, match=r"did you mean vowels\?"):
        job({"name": "vowel"})
    given = {"inputs": {"source": "phantoms", "domain": "chest_xray", "pairs": 1}, "prompts": []}
    with pytest.raises(SpecError, match="vowels has action: regenerate, but judges what task: report_to_image"):
        job(
            {"name": "vowels", "drop_below": 0.4, "action": "regenerate"},
            task="report_to_image",
            balance={"budget": 9},
            **given,
        )


def test_a_new_filter_judges_every_pair_by_its_default_and_decides_on_stored_scores(vowels):
    job = Job(filters=(Rule(name="report_form"),))
    verdict = build_judge(job)(a_pair(report="Hmm."))
    assert verdict.reasons == ("vowels<0.1",)
    assert tuple(verdict.scores) == score_names(Job())
    assert tuple(verdict.scores)[-2:] == ("vowels", "vowels_rank")
    assert math.isnan(verdict.scores["vowels_rank"])
    assert build_decide(job)({**verdict.scores, "vowels": 0.5}) == ()
    strict = Job(filters=(Rule(name="report_form"), Rule(name="vowels", drop_below=0.9)))
    assert build_decide(strict)({**verdict.scores, "vowels": 0.5}) == ("vowels<0.9",)
    assert relative()[-1] == "vowels_rank"


def test_options_that_a_new_filter_does_not_have_are_refused(vowels):
    with pytest.raises(SpecError, match=r"filters: vowels: options.loud is not a known key. Known: none"):
        build_judge(Job(filters=(Rule(name="vowels", options={"loud": True}),)))


def test_the_scores_of_a_new_filter_are_columns_that_say_what_they_mean(vowels):
    found = {column.name: column for column in columns(make_provenance())}
    assert found["score_vowels"].description == "Share of letters that are vowels; null when it is not defined."
    assert described("vowels_rank").startswith("Rank of that share within the shard")


def test_a_new_filter_is_in_the_tables_and_on_the_card_of_a_dataset(vowels, tmp_path):
    toy = toy_job(tmp_path, filters=[{"name": "vowels", "drop_below": 0.01}])
    run_job(toy, local=True, on_event=lambda event: None, parts=PARTS)
    found = [row.scores for row in open_dataset(tmp_path / "out").rows()]
    assert found
    assert all(0.01 <= scores["vowels"] <= 1 and scores["vowels_rank"] is None for scores in found)
    card = (tmp_path / "out" / "README.md").read_text()
    assert "| `score_vowels` | float | Share of letters that are vowels; null when it is not defined. |" in card


def test_every_filter_says_what_all_of_its_scores_mean_and_begins_with_the_main_one():
    for name, kind in FILTERS.items():
        assert kind.name == next(iter(kind.scores)) == name
        assert set(kind.relative) <= set(kind.scores)
        assert set(kind.bounding) <= set(kind.options or ())


def test_a_plugin_has_facts_before_it_is_looked_for():
    kind = kind_of("x_clip")
    assert kind.scores == {"x_clip": "number of the plugin x_clip"}
    assert described("x_clip") == "Number of the plugin x_clip; null when it is not defined."
    with pytest.raises(ValueError, match="is not a known filter"):
        kind_of("x_")
