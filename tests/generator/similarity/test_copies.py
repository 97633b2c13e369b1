"""Decisions are those of a comparison with every admitted pair, on signatures made to catch a difference."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medim_forge.generator.filters.threshold import Threshold
from medim_forge.generator.records import Signature
from medim_forge.generator.similarity import copies as copies_file
from medim_forge.generator.similarity import sides as sides_file
from medim_forge.generator.similarity.copies import NearCopies
from medim_forge.generator.similarity.nearest import NearIndex, chosen

BOUNDS = [-0.1, 0.0, 0.3, 0.75, 0.8, 0.9, 58 / 64, 1 - 12 / 256, 0.95, 0.98, 1.0, 1.5]
NOTHING = np.zeros(0, np.float32)


@pytest.fixture(autouse=True)
def _small_pieces(monkeypatch):
    """Runs, merges of runs and pieces happen among few pairs, too."""
    monkeypatch.setattr(copies_file, "PENDING", 4)
    monkeypatch.setattr(copies_file, "PIECE", 64)
    monkeypatch.setattr(sides_file, "TRAINING", 64)


def random_signature(rng, domain="chest_xray", embedding=NOTHING):
    return Signature(
        domain=domain,
        phash=rng.integers(0, 2**64, 4, np.uint64),
        embedding=embedding,
        minhash=rng.integers(0, 2**32, 64, np.uint32),
    )


def altered(original, bits, hashes):
    """The same signature, other in just these bits of the image's hash and places of the report's."""
    flipped = np.unpackbits(original.phash.view(np.uint8))
    flipped[bits] ^= 1
    other = original.minhash.copy()
    other[hashes] += np.uint32(1)
    return replace(original, phash=np.packbits(flipped).view(np.uint64), minhash=other)


def places(rng, count, of, how):
    """So many places: anywhere, side by side, or as far apart as there is room, which spoils the most bands."""
    if how == "anywhere":
        return rng.permutation(of)[:count]
    start = rng.integers(of)
    return (start + (np.arange(count) if how == "side by side" else np.arange(count) * of // max(1, count))) % of


def decisions(make, signatures):
    """The reasons against each pair, with what was admitted before."""
    reasons, add = make()
    found = []
    for signature in signatures:
        found.append(reasons(signature))
        if not found[-1]:
            add(signature)
    return found


def quick(threshold, by):
    def make():
        copies = NearCopies(threshold, by)
        return copies.reasons, copies.add

    return make


def exhaustive(threshold, by):
    def make():
        index = NearIndex()
        return (lambda signature: threshold.reasons(chosen(index.nearest(signature), by))), index.add

    return make


def rule(above=None, below=None):
    return Threshold(name="near_duplicates", above=above, below=below)


@settings(max_examples=150)
@given(
    seed=st.integers(0, 2**32),
    bound=st.sampled_from(BOUNDS),
    by=st.sampled_from(["both", "image", "report"]),
    how=st.sampled_from(["anywhere", "side by side", "far apart"]),
    crowd=st.sampled_from(["none", "reports", "images"]),
)
def test_decisions_are_those_of_a_comparison_with_all(seed, bound, by, how, crowd):
    rng = np.random.default_rng(seed)
    bases = [random_signature(rng) for _ in range(20)]
    if crowd == "reports":
        bases = [replace(signature, minhash=bases[0].minhash) for signature in bases]
    elif crowd == "images":
        bases = [replace(signature, phash=bases[0].phash) for signature in bases]
    limit = min(max(bound, 0.0), 1.0)
    made = list(bases)
    for _ in range(120):
        # At the bound, one place to either side of it, or anywhere near.
        bits = int(256 * (1 - limit)) + int(rng.integers(-2, 3))
        hashes = int(64 * (1 - limit)) + int(rng.integers(-2, 3))
        made.append(
            altered(
                made[rng.integers(len(made))],
                places(rng, min(max(bits, 0), 256), 256, how),
                places(rng, min(max(hashes, 0), 64), 64, how),
            )
        )
    threshold = rule(bound)
    expected = decisions(exhaustive(threshold, by), made)
    assert decisions(quick(threshold, by), made) == expected


@pytest.mark.parametrize("by", ["both", "image", "report"])
@pytest.mark.parametrize("bound", [0.8, 0.9, 58 / 64, 0.95])
def test_a_copy_at_the_bound_is_kept_and_one_place_nearer_is_dropped(by, bound):
    rng = np.random.default_rng(3)
    copies, base = NearCopies(rule(bound), by), random_signature(rng)
    for signature in (base, *(random_signature(rng) for _ in range(300))):
        copies.add(signature)
    bits = max(count for count in range(257) if 1 - count / 256 > np.float32(bound))
    hashes = max(count for count in range(65) if 1 - count / 64 > np.float32(bound))
    for how in ("anywhere", "side by side", "far apart"):
        inside = altered(base, places(rng, bits, 256, how), places(rng, hashes, 64, how))
        outside = altered(base, places(rng, bits + 1, 256, how), places(rng, hashes + 1, 64, how))
        assert copies.reasons(inside) == (f"near_duplicates>{bound:g}",)
        assert copies.reasons(outside) == ()


@pytest.mark.parametrize("by", ["both", "image", "report"])
@pytest.mark.parametrize("bound", [0.0, 0.5, 0.9, 0.99, 1.0])
def test_stained_tissue_is_decided_by_cosines_as_a_comparison_with_all_does(by, bound):
    rng = np.random.default_rng(7)
    centres = rng.normal(size=(12, 48)) @ np.diag(0.8 ** np.arange(48))
    made = []
    for place in range(900):
        spread = rng.choice([0.0, 0.001, 0.05, 0.3])
        embedding = (centres[rng.integers(12)] + spread * rng.normal(size=48)).astype(np.float16).astype(np.float32)
        signature = random_signature(rng, "pathology", embedding)
        if place > 100 and rng.random() < 0.7:
            signature = replace(
                altered(made[rng.integers(place)], [], rng.permutation(64)[: rng.integers(9)]), embedding=embedding
            )
        made.append(signature)
    threshold = rule(bound)
    expected = decisions(exhaustive(threshold, by), made)
    assert decisions(quick(threshold, by), made) == expected
    if by == "image" and bound == 0.99:
        assert 4 * 64 < expected.count(()) < 900, "principal axes had their part"


def test_cosines_bounded_by_principal_axes_miss_nothing():
    rng = np.random.default_rng(8)
    embeddings = [rng.normal(size=24).astype(np.float16).astype(np.float32) for _ in range(1200)]
    made = [random_signature(rng, "pathology", embedding) for embedding in embeddings]
    copies = NearCopies(rule(0.9), "image")
    for signature in made:
        copies.add(signature)
    near = [replace(signature, embedding=signature.embedding * np.float32(1.5) + np.float32(2)) for signature in made]
    assert all(copies.exceeds(signature) for signature in near)
    assert not any(copies.exceeds(replace(signature, embedding=-signature.embedding)) for signature in made[:200])


@pytest.mark.parametrize(
    "bounds", [{"below": 0.5}, {"below": 0.0}, {"below": -1.0, "above": 0.9}, {"below": 0.1, "above": 0.9}]
)
def test_lower_bounds_decide_as_a_comparison_with_all_does(bounds):
    rng = np.random.default_rng(4)
    base = random_signature(rng)
    made = [base, *(altered(base, rng.permutation(256)[:count], rng.permutation(64)[:count]) for count in range(40))]
    threshold = rule(**bounds)
    expected = decisions(exhaustive(threshold, "both"), made)
    assert decisions(quick(threshold, "both"), made) == expected


def test_what_was_added_is_compared_below_a_lower_bound_too():
    rng = np.random.default_rng(5)
    base = random_signature(rng)
    copies = NearCopies(rule(below=0.5), "both")
    copies.add(base)
    assert copies.reasons(base) == ()
    assert copies.reasons(random_signature(rng)) == ("near_duplicates<0.5",)


def test_an_embedding_that_is_no_number_is_a_reason_and_spoils_no_other_pair():
    rng = np.random.default_rng(6)
    good = random_signature(rng, "pathology", rng.normal(size=8).astype(np.float16).astype(np.float32))
    broken = replace(good, embedding=np.full(8, np.nan, np.float32))
    copies = NearCopies(rule(0.9), "both")
    assert decisions(lambda: (copies.reasons, copies.add), [broken, good, broken, good]) == [
        ("near_duplicates is NaN",),
        (),
        ("near_duplicates is NaN",),
        ("near_duplicates>0.9",),
    ]
    embeddings = [rng.normal(size=8).astype(np.float32) for _ in range(80)]
    for signature in (broken, *(random_signature(rng, "pathology", embedding) for embedding in embeddings)):
        copies.add(signature)
    assert copies.exceeds(good)
    assert not copies.exceeds(broken)


def test_domains_are_not_compared():
    rng = np.random.default_rng(9)
    signature = random_signature(rng)
    copies = NearCopies(rule(0.9), "both")
    copies.add(signature)
    assert copies.exceeds(signature)
    assert not copies.exceeds(replace(signature, domain="pathology"))


def test_bands_leave_few_pairs_to_compare():
    rng = np.random.default_rng(10)
    copies, made = NearCopies(rule(0.9), "both"), [random_signature(rng) for _ in range(2000)]
    for signature in made:
        copies.add(signature)
    (admitted,) = copies._domains.values()
    compared = sum(len(np.arange(2000)[rows]) for signature in made for rows in admitted._pieces(signature))
    assert compared < 20 * len(made)
