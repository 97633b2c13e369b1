"""A filter that drops one kind of pairs is named with that kind; one that drops alike is not."""

import json
from collections import Counter

from medim_forge.generator.filters.threshold import filter_of
from medim_forge.generator.finalise.finalise import finalise
from medim_forge.generator.finalise.uneven import uneven_losses
from medim_forge.generator.phantoms import draw
from medim_forge.generator.plan.stored import claim_dataset
from medim_forge.generator.plan.strata import Stratum, of_domain
from medim_forge.generator.store import store_at
from tests.doubles.pairs import commit_shard, make_facts, make_judged, make_pair, make_spec, roomy_plan

CHEST = of_domain("chest_xray")
NORMAL = Stratum("label", "chest_xray", "no_finding")
LARGE = Stratum("finding", "chest_xray", "cardiomegaly")
JUDGED = {CHEST: 64, NORMAL: 9, LARGE: 20}


def losses(**counts):
    strata = {"all": CHEST, "normal": NORMAL, "large": LARGE}
    return Counter({("agreement", strata[name]): lost for name, lost in counts.items()})


def test_a_filter_that_drops_normals_alone_is_named():
    (line,) = uneven_losses(JUDGED, losses(all=9, normal=9))
    assert line == (
        "agreement drops more than its share of some chest_xray pairs: label no_finding 9 of 9 pairs "
        "(of the others 0 of 55)"
    )


def test_shards_say_what_their_filters_dropped(tmp_path):
    spec = make_spec()
    claim_dataset(store_at(tmp_path), spec, {"model_sha256": make_facts().model_sha256})
    large = [number for number in range(60) if "cardiomegaly" in draw("chest_xray", number).findings]
    assert len(large) > 4
    judged = [
        make_judged(make_pair(number, "chest_xray"), ("fluency<-3",) if number in large else ()) for number in range(60)
    ]
    commit_shard(tmp_path, spec, 0, judged)
    finalise(tmp_path, spec, roomy_plan(1), make_facts())
    (line,) = json.loads((tmp_path / "manifest.json").read_text())["warnings"]
    lost = f"finding cardiomegaly {len(large)} of {len(large)} pairs (of the others 0 of {60 - len(large)})"
    assert line.startswith("fluency drops more than its share of some chest_xray pairs: ")
    assert lost in line
    assert lost in (tmp_path / "README.md").read_text()


def test_what_is_dropped_alike_or_of_few_pairs_is_not_named():
    assert uneven_losses(JUDGED, losses(all=32, normal=5, large=10)) == []
    assert uneven_losses(JUDGED, losses(all=64, normal=9, large=20)) == []
    assert uneven_losses(JUDGED, losses(all=4, normal=4)) == []
    assert uneven_losses({CHEST: 20, LARGE: 20}, losses(all=9, large=9)) == []
    assert uneven_losses({}, Counter()) == []


def test_a_reason_names_its_filter():
    assert filter_of("agreement<0.5") == "agreement"
    assert filter_of("std>3") == "std"
    assert filter_of("fluency is NaN") == "fluency"
    assert filter_of("agreement that mismatched pairs reach<0.1") == "agreement"
