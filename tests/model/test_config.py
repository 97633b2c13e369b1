"""A model's description survives its JSON, and what does not fit is named by file and key."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from medim_forge.model.config import ConfigError, MedimConfig, VqganConfig, medim, phantom

PRESETS = {"phantom": phantom(900, {"chest_xray": [7, 9], "pathology": [8]}), "medim": medim()}


@pytest.mark.parametrize("name", PRESETS)
def test_a_config_survives_its_json(name):
    text = PRESETS[name].to_json()
    assert MedimConfig.from_json(text, where="config.json") == PRESETS[name]
    assert MedimConfig.from_json(text, where="config.json").to_json() == text


def changed(path, value):
    """The embedded config's JSON with one value replaced; None removes the key."""
    raw = json.loads(PRESETS["phantom"].to_json())
    *folders, last = path
    at = raw
    for key in folders:
        at = at[key]
    if value is None:
        del at[last]
    else:
        at[last] = value
    return json.dumps(raw)


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        (("backbone", "layer"), 3, r"config\.json\.backbone\.layer is not a known key; known: .*layers"),
        (("backbone", "layers"), None, r"config\.json\.backbone\.layers is missing"),
        (("backbone", "layers"), "six", r"backbone\.layers = 'six' has the wrong type"),
        (("backbone", "layers"), 6.0, r"backbone\.layers = 6\.0 has the wrong type"),
        (("backbone", "layers"), True, r"backbone\.layers = True has the wrong type"),
        (("backbone", "layers"), [6], r"backbone\.layers = \[6\] has the wrong type"),
        (("backbone", "tied"), 1, r"backbone\.tied = 1 has the wrong type"),
        (("backbone",), 5, r"config\.json\.backbone must be a mapping, is 5"),
        (("image_tokenizers", 1, "domains"), "pathology", r"image_tokenizers\[1\]\.domains = 'pathology'"),
        (("image_tokenizers", 0, "ch_mult"), [1, "2"], r"image_tokenizers\[0\]\.ch_mult\[1\] = '2'"),
    ],
)
def test_what_cannot_be_read_is_named(path, value, words):
    with pytest.raises(ConfigError, match=words):
        MedimConfig.from_json(changed(path, value), where="config.json")


def test_text_that_is_not_json_is_refused():
    with pytest.raises(ConfigError, match=r"config\.json is not JSON"):
        MedimConfig.from_json('{"layout": ', where="config.json")


def test_a_whole_number_may_stand_for_a_float_and_null_for_no_end():
    read = MedimConfig.from_json(changed(("backbone", "rope_theta"), 500), where="config.json")
    assert read.backbone.rope_theta == 500
    raw = json.loads(PRESETS["phantom"].to_json())
    raw["layout"]["end_id"] = None
    assert MedimConfig.from_json(json.dumps(raw), where="config.json").layout.end_id is None


def test_image_tokenizers_must_fit_their_codebooks():
    fits = PRESETS["phantom"]
    first, second = fits.image_tokenizers
    with pytest.raises(ConfigError, match=r"\(256 codes\)"):
        replace(fits, image_tokenizers=(replace(first, n_embed=256), second))
    with pytest.raises(ConfigError, match="36 codes per image, layout has 144"):
        replace(fits, image_tokenizers=(replace(first, resolution=48), second))


def test_codes_per_image_follow_patch_and_levels():
    sizes = VqganConfig(
        domains=("any",), channels=3, resolution=512, ch=128, ch_mult=(1, 1, 2, 2, 4), num_res_blocks=2,
        z_channels=256, embed_dim=256, n_embed=8192,
    )  # fmt: skip
    assert (sizes.factor, sizes.codes) == (16, 1024)
    assert (replace(sizes, patch=2).factor, replace(sizes, patch=2).codes) == (32, 256)
