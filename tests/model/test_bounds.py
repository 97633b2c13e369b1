"""A description of sizes beyond every use is refused before anything of that size is made."""

from __future__ import annotations

import json

import pytest

from medim_forge.model.bounds import misfit
from medim_forge.model.config import ConfigError, MedimConfig, medim, phantom

SIZES = phantom(900, {"chest_xray": [7, 9], "pathology": [8]})


def test_the_sizes_that_there_are_fit():
    assert misfit(SIZES) is misfit(medim()) is None


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        (("layout", "report_slots"), 10**9, r"layout\.report_slots = 1000000000 is not between 2 and"),
        (("layout", "image_read_shift"), 5, "is not between -1 and 1"),
        (("layout", "codebooks"), [], r"layout\.codebooks is empty"),
        (("layout", "codebooks", 0, "size"), 2**40, r"codebooks\[0\]\.size"),
        (("layout", "codebooks", 0, "domains"), ["pathology"], "names a domain twice"),
        (("layout", "eos_id"), 900, "holds 900, and report ids are 0 to 899"),
        (("layout", "report_ids", 0, "ids"), [-1], r"report_ids\[0\]\.ids holds -1"),
        (("backbone", "layers"), 10**6, "is not between 1 and 1,000"),
        (("backbone", "kv_heads"), 2, "is no multiple of kv_heads"),
        (("backbone", "head_dim"), 63, "is odd"),
        (("backbone", "rope_theta"), 0, r"rope_theta = 0 is not between"),
        (("backbone", "learned_positions"), 5, "is less than the 171 positions"),
        (("image_tokenizers", 0, "ch_mult"), [1] * 60, "give 1 to 12 factors"),
        (("image_tokenizers", 0, "groups"), 7, "does not divide ch"),
        (("image_tokenizers", 0, "resolution"), 97, "is no multiple of 8"),
        (("image_tokenizers",), [], "each codebook needs one"),
        (("conventions",), {"conditioning": "{width:1000000000}"}, "only {width}, {height} and {device} are filled in"),
        (("conventions",), {"conditioning": "{width.__class__}"}, "are filled in"),
        (("conventions",), {"conditioning": "{"}, "are filled in"),
        (("conventions",), {"pad_color": [0, 0, 256]}, "give three levels"),
    ],
)
def test_what_is_beyond_every_use_is_named_by_file_and_key(path, value, said):
    raw = json.loads(SIZES.to_json())
    if path == ("conventions",):
        whole = json.loads(medim().to_json())["conventions"]
        value = {**whole, **value}
    at = raw
    for key in path[:-1]:
        at = at[key]
    at[path[-1]] = value
    with pytest.raises(ConfigError, match=said) as caught:
        MedimConfig.from_json(json.dumps(raw), where="here/config.json")
    assert str(caught.value).startswith("here/config.json")
