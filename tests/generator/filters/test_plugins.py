"""Plugins, with the worked example and a tiny CLIP made on the spot."""

import math
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from medim_forge.generator.errors import RowError, SpecError
from medim_forge.generator.filters import build_decide, build_filters, build_judge, score_names
from medim_forge.generator.jobspec.load import parse_spec
from tests.doubles.bare_pairs import Job, Rule, a_pair, noise

EXAMPLE = Path(__file__).resolve().parents[3] / "examples" / "clip_judge"
SCORES = score_names(Job())
ODD = """
def open_judge(options):
    def judge(pair):
        if options.get("do") == "raise":
            raise ValueError("the judge has no opinion")
        return float("nan") if options.get("do") == "nan" else len(pair.report)
    return judge
"""


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """The example and another judge, as `pip install` would leave them."""
    info = tmp_path / "judges-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: judges\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[medim_forge.filters]\nx_clip = clip_judge:open_judge\nx_odd = odd_judge:open_judge\n"
    )
    (tmp_path / "odd_judge.py").write_text(ODD)
    monkeypatch.syspath_prepend(str(EXAMPLE))
    monkeypatch.syspath_prepend(str(tmp_path))
    yield
    for name in ("clip_judge", "odd_judge"):
        sys.modules.pop(name, None)


@pytest.fixture
def clip(tmp_path):
    """A CLIP of two narrow layers with random weights, saved as a folder."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import CLIPConfig, CLIPModel, PreTrainedTokenizerFast

    narrow = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = CLIPConfig(
        text_config={**narrow, "vocab_size": 8, "max_position_embeddings": 12, "eos_token_id": 7, "bos_token_id": 6},
        vision_config={**narrow, "image_size": 16, "patch_size": 8},
        projection_dim=8,
    )
    torch.manual_seed(0)
    CLIPModel(config).save_pretrained(tmp_path / "clip")
    words = {word: place for place, word in enumerate(["[UNK]", "heart", "effusion", "no", "the", "."])}
    unknown = {"unk_token": "[UNK]"}
    made = Tokenizer(models.WordLevel(words, **unknown))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    PreTrainedTokenizerFast(tokenizer_object=made, **unknown).save_pretrained(tmp_path / "clip")
    return tmp_path / "clip"


def test_the_worked_example_scores_image_and_report_and_nothing_else(installed, clip):
    job = Job(filters=(Rule(name="x_clip", drop_below=-1.0, options={"path": str(clip)}),))
    judge, pair = build_judge(job), a_pair()
    verdict = judge(pair)
    assert tuple(verdict.scores) == score_names(job) == (*SCORES, "x_clip")
    assert -1 <= verdict.scores["x_clip"] <= 1
    assert judge(replace(pair, agreement=9.0)).scores["x_clip"] == verdict.scores["x_clip"]
    assert judge(replace(pair, image=noise(9))).scores["x_clip"] != verdict.scores["x_clip"]
    assert judge(replace(pair, image=np.repeat(pair.image[..., None], 3, -1))).kept


def test_bounds_nan_and_errors_are_treated_as_those_of_own_filters(installed):
    def verdict(bound, **options):
        own = Rule(name="x_odd", drop_above=bound, options=options)
        return build_judge(Job(filters=(Rule(name="report_form"), own)))(a_pair(report="Four."))

    assert verdict(5.0).kept
    assert verdict(4.0).reasons == ("x_odd>4",)
    assert verdict(4.0, do="nan").reasons == ("x_odd is NaN",)
    with pytest.raises(RowError, match="filter x_odd failed on it: ValueError: the judge has no opinion"):
        verdict(4.0, do="raise")


def test_stored_scores_are_decided_without_loading_the_judge():
    job = Job(filters=(Rule(name="x_gone", drop_below=0.5),))
    scores = dict.fromkeys(SCORES, 1.0) | {"duplicates": 0.0, "std": 50.0, "report_words": 9.0, "report_repeats": 0.0}
    assert build_decide(job)(scores | {"x_gone": 0.4}) == ("x_gone<0.5",)
    assert build_decide(job)(scores | {"x_gone": math.nan}) == ("x_gone is NaN",)
    with pytest.raises(SpecError, match="the dataset has no such score"):
        build_decide(job)(scores)


@pytest.mark.parametrize("path", ["openai/clip", "https://example.org/clip", "s3://bucket/clip", 3])
def test_only_local_paths_are_taken(installed, path):
    with pytest.raises(SpecError, match=r"options\.path is .*; give a local path"):
        build_filters(Job(filters=(Rule(name="x_clip", options={"path": path}),)))


def test_a_judge_that_is_not_installed_is_refused_naming_those_that_are(installed):
    with pytest.raises(SpecError, match=r"'x_clap' is not an installed plugin.*x_clip, x_odd"):
        build_filters(Job(filters=(Rule(name="x_clap"),)))


def test_job_files_name_judges_with_their_prefix():
    values = {"kind": "generate", "name": "a", "date": "2026-11-23", "task": "joint", "output": {"dir": "out"}}
    values |= {"prompts": [{"domain": "chest_xray", "pairs": 1}]}
    spec = parse_spec({**values, "filters": [{"name": "x_clip", "drop_below": 0.2}]}, "job.yaml")
    assert spec.filters[0].name == "x_clip"
    with pytest.raises(SpecError, match=r"filters"):
        parse_spec({**values, "filters": [{"name": "clip"}]}, "job.yaml")
