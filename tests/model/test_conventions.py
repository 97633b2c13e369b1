"""What the published checkpoint was trained to be given: each convention by its name."""

from __future__ import annotations

import json

import pytest
import torch

from medim_forge.model import config, conventions
from medim_forge.model.config import ConfigError, MedimConfig
from medim_forge.model.conventions import Conventions, first_sentence
from medim_forge.model.text import ReportTokenizer, TextError, TextRules

OFFICIAL = conventions.official()


def test_the_conditioning_is_the_repr_of_tensors_with_or_without_a_device():
    assert OFFICIAL.conditioning_text(1024, 768) == "Image Size: Width is tensor([1024]) Height is tensor([768])."
    on_gpu = conventions.official(device_text=", device='cuda:3'")
    assert on_gpu.conditioning_text(1024, 768) == (
        "Image Size: Width is tensor([1024], device='cuda:3') Height is tensor([768], device='cuda:3')."
    )
    # As torch prints what the official code formats.
    width, height = torch.tensor([1024]), torch.tensor([768])
    assert OFFICIAL.conditioning_text(1024, 768) == f"Image Size: Width is {width} Height is {height}."
    assert Conventions().conditioning_text(1024, 768) == ""


@pytest.mark.parametrize(
    ("report", "prompt"),
    [
        ("The heart is large. No effusion.", "The heart is large"),
        (" A chest, showing structures, The heart. More.", "A chest, showing structures, The heart"),
        ("Version 2.5 is out.", "Version 2"),
        (".", ""),
        ("no stop", "no sto"),
    ],
)
def test_a_prompt_is_the_report_up_to_its_first_full_stop(report, prompt):
    assert first_sentence(report) == prompt


def test_a_job_s_prompt_follows_the_rule_and_needs_no_full_stop():
    assert OFFICIAL.prompt_rule == "first_sentence"
    assert OFFICIAL.prompt("The heart is large. No effusion.") == "The heart is large"
    assert OFFICIAL.prompt("The heart is large") == "The heart is large"
    assert Conventions().prompt("The heart is large. No effusion.") == "The heart is large. No effusion."


def test_pad_colour_long_reports_and_removed_text_are_the_published_ones():
    assert OFFICIAL.pad_color == (122, 116, 104)
    assert OFFICIAL.long_reports == "truncated"
    assert OFFICIAL.text.removed_text == ("<unk>",)
    assert OFFICIAL.of("chest_xray").opening.startswith("The image is a radiograph of the chest, showing the thor")
    assert OFFICIAL.of("pathology").opening == ""
    assert OFFICIAL.of("mammogram") is None


@pytest.fixture
def text(official_checkpoint):
    def load(**changes):
        rules = {"specials": OFFICIAL.text.specials, "pad": "<unk>", "removed_text": ("<unk>",)}
        return ReportTokenizer.load(official_checkpoint / "tokenizer.json", TextRules(**{**rules, **changes}))

    return load


def test_unknown_tokens_leave_no_trace_and_other_specials_stay_only_where_they_are_kept(text):
    ids = text().encode("The heart is large.")
    shown = [*ids[:3], 0, *ids[3:], 0, 0, 520, 523, 540]
    assert text().decode(shown) == "The heart is large."
    kept = text(special_text="kept").decode(shown)
    assert "<unk>" not in kept
    assert kept.startswith("<s>")
    assert kept.endswith("<boi>")
    assert kept.replace("<s>", "").replace("<boi>", "").split() == ["The", "heart", "is", "large."]
    assert "<unk>" in text(special_text="kept", removed_text=()).decode(shown)


@pytest.mark.parametrize("special", ["<unk>", "<s>", "</s>", "<boi>", "<eos>"])
def test_text_that_spells_out_a_special_token_is_refused(text, special):
    with pytest.raises(TextError, match=f"spells out {special}"):
        text().encode(f"The heart {special} is large.")


def test_any_character_has_an_encoding_by_bytes(text):
    assert text().decode(text().encode("naïve ☃ 12.5 mm")) == "naïve ☃ 12.5 mm"


def test_a_tokenizer_without_the_specials_is_refused(text, official_checkpoint):
    with pytest.raises(TextError, match="lacks the special tokens <pad>"):
        text(specials=("<pad>",))
    with pytest.raises(TextError, match="lacks the special tokens"):
        ReportTokenizer.load(official_checkpoint / "tokenizer.json")


def test_conventions_are_in_the_config_only_where_they_are_not_the_default():
    official = config.medim()
    raw = json.loads(official.to_json())
    assert raw["conventions"]["pad_color"] == [122, 116, 104]
    assert MedimConfig.from_json(official.to_json(), where="here") == official
    assert "conventions" not in json.loads(config.phantom(752).to_json())
    assert "unused_ids" not in json.loads(config.phantom(752).to_json())["layout"]
    raw["conventions"]["prompt_rule"] = "second_sentence"
    with pytest.raises(ConfigError, match=r"conventions\.prompt_rule = 'second_sentence' is none of 'whole', 'first_s"):
        MedimConfig.from_json(json.dumps(raw), where="here")
    raw["conventions"]["prompt_rule"] = "whole"
    del raw["conventions"]["domains"][0]
    with pytest.raises(ConfigError, match="no entry for chest_xray, whose image size"):
        MedimConfig.from_json(json.dumps(raw), where="here")


def test_control_characters_and_llama_s_own_end_are_never_chosen_by_corrected_sampling(official_checkpoint):
    from medim_forge.model import checkpoint

    layout = checkpoint.read_config(official_checkpoint).layout
    report, image = layout.allowed("chest_xray")
    assert not set(report.tolist()) & {0, 1, 2, 3 + 0, 3 + 31, 3 + 127, 520, 521, 522, 523}
    assert {3 + ord("\n"), 3 + ord("a")} <= set(report.tolist())
    assert image.tolist() == list(range(524, 588))
    published = config.medim().layout
    assert set(published.unused_ids) == {2} | {3 + byte for byte in (*range(9), 11, 12, *range(14, 32), 127)}
