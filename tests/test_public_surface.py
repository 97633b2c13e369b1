"""What others import and type stays where it is: a change here is a change for them, and belongs into the changelog."""

from __future__ import annotations

import dataclasses
import importlib
import inspect

import pytest
import typer

SURFACE = {
    "medim_forge": {"__version__"},
    "medim_forge.generator.phantoms": {"FINDINGS", "OPENING", "Phantom", "draw", "read_findings", "read_report"},
    "medim_forge.generator.dataset": {"Dataset", "Row", "open_dataset"},
    "medim_forge.generator.jobspec": {"GenerateSpec", "load_spec", "parse_spec", "to_yaml"},
    "medim_forge.generator.corpus": {"Corpus", "CorpusRow", "LeftOut", "open_corpus"},
    "medim_forge.generator.generate": {"JobResult", "run_job"},
    "medim_forge.generator.inputs": {"GivenPair", "Unreadable", "open_pairs"},
    "medim_forge.generator.cli": {"main"},
    # what plugins, writers and replicas of others are made of
    "medim_forge.generator.records": {"Judged", "Pair", "PairRequest", "Prompt", "Quarantined", "Shard", "Verdict"},
    "medim_forge.generator.contracts": {"Filter", "Replica", "Shuffler", "Writer"},
    "medim_forge.model.medim": {"Given", "Made", "Medim"},
    "medim_forge.model.checkpoint": {"Checkpoint", "CheckpointError", "load", "save", "sha256"},
}
# What a plugin may rely on of a pair. New fields may come; these do not go.
PAIR_FIELDS = {
    "request", "image", "image_codes", "report", "prompt_chars", "report_logprob", "image_logprob", "agreement",
    "embedding", "image_agreement", "fluency", "image_fluency", "sentence_agreement",
}  # fmt: skip
COMMANDS = {
    "convert": {"--backbone", "--dtype", "--out", "--terms", "--tokenizer", "--vqgan"},
    "data": {"--sheet"},
    "plan": {"--metadata"},
    "preview": set(),
    "privacy": {"--holdout", "--image-column", "--report-column"},
    "refilter": set(),
    "reproduce": set(),
    "run": {"--local", "--out"},
    "status": set(),
    "verify": set(),
}


@pytest.mark.parametrize("module", SURFACE)
def test_names_that_others_import_are_there(module):
    there = importlib.import_module(module)
    assert {name for name in SURFACE[module] if not hasattr(there, name)} == set()


@pytest.mark.parametrize("module", ["phantoms", "dataset", "records"])
def test_the_names_of_the_folders_are_doors_too(module):
    short = importlib.import_module(f"generator.{module}")
    assert short is importlib.import_module(f"medim_forge.generator.{module}")


def test_a_drawing_is_asked_for_by_domain_and_seed():
    from medim_forge.generator.phantoms import draw, read_findings

    assert list(inspect.signature(draw).parameters)[:2] == ["domain", "seed"]
    phantom = draw("chest_xray", 1)
    assert read_findings(phantom.report) == phantom.findings


def test_a_plugin_finds_in_a_pair_what_it_relies_on():
    from medim_forge.generator.records import Pair

    assert {field.name for field in dataclasses.fields(Pair)} >= PAIR_FIELDS


def test_commands_and_their_options_stay():
    from medim_forge.generator.cli.commands import app

    group = typer.main.get_command(app)
    found = {
        name: {option for parameter in command.params for option in parameter.opts if option.startswith("--")}
        for name, command in group.commands.items()
    }
    for name, options in COMMANDS.items():
        assert options <= found[name], name
