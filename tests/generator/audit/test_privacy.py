"""Planted near-copies are found, images of others are not, and the card says so."""

import io
import json
from dataclasses import asdict

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from medim_forge.generator.audit import privacy
from medim_forge.generator.audit.nearest_records import (
    Reference,
    copied,
    copy_threshold,
    known_ngrams,
    longest_copy,
    words,
)
from medim_forge.generator.audit.privacy import assess, record_privacy
from medim_forge.generator.audit.verify import inspect
from medim_forge.generator.cli.text import privacy_text
from medim_forge.generator.dataset import open_dataset
from medim_forge.generator.errors import InputError
from medim_forge.generator.finalise.privacy_note import NGRAM, PRIVACY
from medim_forge.generator.finalise.refilter import refilter
from medim_forge.generator.inputs.pairs import GivenPair
from medim_forge.generator.phantoms import draw
from medim_forge.generator.store.places import store_at
from tests.doubles.pairs import (
    DOMAINS,
    commit_tiny,
    finish_tiny,
    make_spec,
)


def jpeg(image):
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "JPEG", quality=90)
    return np.asarray(Image.open(stream))


def near_copy(image, number):
    rng = np.random.default_rng(number)
    changed = [lambda: image + rng.normal(0, 1.5, image.shape), lambda: image * 0.93 + 8, lambda: jpeg(image)]
    return np.clip(changed[number % 3](), 0, 255).astype(np.uint8)


@pytest.mark.slow
@pytest.mark.parametrize("domain", DOMAINS)
def test_one_percent_of_near_copies_is_found_at_one_percent_of_false_alarms(domain):
    phantoms = [draw(domain, seed).image for seed in range(2000)]
    reference, holdout, others = Reference(phantoms[:700]), phantoms[700:1100], phantoms[1100:2000]
    copies = [near_copy(phantoms[place * 70], place) for place in range(9)]
    apart = reference.distances(holdout)
    assert copied(reference.distances(copies), apart).mean() >= 0.95
    assert copied(reference.distances(others), apart).mean() <= 0.01


def test_a_copy_is_traced_to_its_record_and_another_image_is_far():
    phantoms = [draw("pathology", seed).image for seed in range(30)]
    reference = Reference(phantoms[:20])
    found = reference.distances([near_copy(phantoms[7], place) for place in range(3)])
    assert found.record.tolist() == [7, 7, 7]
    assert found.ratio.max() < 0.2
    others = reference.distances(phantoms[20:])
    assert others.ratio.min() > 0.5
    assert not copied(others, None).any()


def test_a_small_shift_does_not_hide_a_copy_of_texture():
    phantoms = [draw("pathology", seed).image for seed in range(20)]
    found = Reference(phantoms).distances([np.roll(phantoms[3], (1, 1), (0, 1))])
    assert (found.record[0], found.ratio[0] < 0.5) == (3, True)


def test_a_reference_of_one_or_of_blank_images_gives_numbers():
    found = Reference([np.zeros((8, 8), np.uint8)]).distances([np.zeros((8, 8), np.uint8), draw(DOMAINS[0], 1).image])
    assert np.isfinite(found.nearest).all()
    assert found.ratio.tolist() == [1.0, 1.0]
    with pytest.raises(ValueError, match="holds no image"):
        Reference([])


def test_a_copy_counts_though_the_reference_holds_its_record_twice_or_no_other():
    phantoms = [draw("chest_xray", seed).image for seed in range(8)]
    for records in ([*phantoms, *phantoms], phantoms[:1]):
        found = Reference(records).distances([phantoms[0]])
        assert copied(found, None).all()
        assert copied(found, found).all()
    near = near_copy(phantoms[0], 1)
    assert copied(Reference([*phantoms, *phantoms]).distances([near]), None).all()


def test_a_holdout_that_is_part_of_the_reference_is_left_out_or_refused(tmp_path):
    spec = make_spec(output={"dir": "out/tiny", "dicom": None})
    finish_tiny(tmp_path / "out", spec)
    shards = [str(tmp_path / "out" / "shards" / f"00000{shard}" / "pairs.parquet") for shard in range(3)]
    with pytest.raises(InputError, match="every record is in the reference too"):
        assess(tmp_path / "out", shards[0], shards[0], "image", "report")
    both = tmp_path / "both.parquet"
    pq.write_table(pa.concat_tables([pq.read_table(shard, columns=["image", "report"]) for shard in shards[:2]]), both)
    found = assess(tmp_path / "out", shards[0], str(both), "image", "report")
    assert (found.holdout, found.copied_images) == (3, 4)
    assert [warning.split()[0] for warning in found.warnings] == ["4", "3"]
    assert "warning: 4 held-out records are in the reference too" in privacy_text(found)
    assert [(copy.record, copy.image) for copy in found.copied_pairs if copy.image] == [(n, True) for n in range(4)]


def test_a_larger_reference_is_not_closer_for_its_size(tmp_path):
    """Of two random halves of one kind the share is about one half, whichever is larger."""
    finished(tmp_path / "out")
    dataset = open_dataset(tmp_path / "out")
    drawn = [GivenPair(row=seed, pixels=draw("chest_xray", seed).image, report=None) for seed in range(9000, 9240)]
    few, many = drawn[:40], drawn[40:]
    shares = [privacy._closer(dataset, many, few), privacy._closer(dataset, few, many)]
    assert all(0.1 < share < 0.9 for share in shares)
    assert sum(shares) == pytest.approx(1)
    assert privacy._closer(dataset, few, []) is None


def test_the_longest_verbatim_stretch_is_counted_in_words():
    known = known_ngrams(["one two three four five six seven eight nine ten eleven twelve"])
    assert longest_copy("Two, three four five six seven eight nine ten. And more", known) == 9
    assert longest_copy("two three four five six seven eight", known) == 0
    assert longest_copy("", known) == 0
    assert copy_threshold([]) == 2 * NGRAM
    assert copy_threshold([0] * 99 + [30]) in (0, 30)


def finished(folder):
    """A finished dataset of nine pairs."""
    return finish_tiny(folder, make_spec(output={"dir": "out/tiny", "dicom": None}))


def test_what_cannot_be_read_is_counted_and_named_and_nothing_is_compared(tmp_path):
    finished(tmp_path / "out")
    folder = tmp_path / "reference"
    folder.mkdir()
    Image.fromarray(draw("chest_xray", 1).image).save(folder / "a.png")
    for number in range(12):
        (folder / f"b{number:02}.png").write_bytes(b"nothing")
    with pytest.raises(
        InputError, match=r"12 of 13 records cannot be read.*row 1 cannot be decoded.*; and 2 more"
    ) as found:
        assess(tmp_path / "out", str(folder), None, "image", "report")
    assert "b00.png" not in str(found.value)
    with pytest.raises(InputError, match=r"row 1 cannot be decoded[^;]* \(.*b00\.png\)"):
        assess(tmp_path / "out", str(folder), None, "image", "report", named=True)


def test_what_is_no_record_is_counted_by_kind_and_not_named(tmp_path):
    finished(tmp_path / "out")
    folder = tmp_path / "reference"
    folder.mkdir()
    Image.fromarray(draw("chest_xray", 1).image).save(folder / "a.png")
    for name in ("Jane Doe.csv", "more.csv", "LICENSE"):
        (folder / name).write_text("x")
    [warning] = assess(tmp_path / "out", str(folder), None, "image", "report").warnings
    assert warning == "3 files beside the 1 records were not compared: 2 .csv, 1 without suffix"


def test_the_result_goes_into_card_and_manifest_until_data_changes(tmp_path):
    spec = make_spec(output={"dir": "out/tiny", "dicom": None})
    finish_tiny(tmp_path / "out", spec)
    commit_tiny(tmp_path / "reference", spec)
    places = [str(tmp_path / "reference" / "shards" / f"00000{shard}") for shard in (0, 2)]
    found = assess(tmp_path / "out", places[0] + "/pairs.parquet", places[1] + "/pairs.parquet", "image", "report")
    # One of the three held-out records is a copy of one in the reference.
    assert (found.pairs, found.reference, found.holdout) == (9, 4, 2)
    assert found.copied_images >= 4
    bare = assess(tmp_path / "out", places[0] + "/pairs.parquet", None, "image", "report")
    # Sentences of the grammar recur, so without a holdout reports of others may count too.
    assert (bare.copied_images, bare.copied_reports >= 4) == (4, True)
    record_privacy(tmp_path / "out", bare)
    card = (tmp_path / "out" / "README.md").read_text()
    assert "images that count as copies | 4 (half as far" in card
    assert "does not prove that nothing leaked" in card
    assert json.loads((tmp_path / "out" / PRIVACY).read_text())["copied_pairs"] == [
        asdict(copy) for copy in bare.copied_pairs
    ]
    assert not inspect(tmp_path / "out").problems
    rules = make_spec(output={"dir": "out/tiny", "dicom": None}, filters=[{"name": "image_stats", "drop_below": 0.6}])
    refilter(tmp_path / "out", rules)
    assert not store_at(tmp_path / "out").exists(PRIVACY)
    assert "was not tested here" in (tmp_path / "out" / "README.md").read_text()


def test_a_comparison_with_nothing_is_refused_or_said(tmp_path):
    spec = make_spec(output={"dir": "out/tiny", "dicom": None})
    finish_tiny(tmp_path / "out", spec)
    commit_tiny(tmp_path / "reference", spec)
    place = str(tmp_path / "reference" / "shards" / "000000" / "pairs.parquet")
    with pytest.raises(InputError, match=r"has no column 'text'.*--report-column"):
        assess(tmp_path / "out", place, None, "image", "text")
    images_alone = assess(tmp_path / "out", place, None, "image", "")
    assert (images_alone.reference_reports, images_alone.copied_reports) == (0, 0)
    record_privacy(tmp_path / "out", images_alone)
    assert "not tested: the reference has no reports" in (tmp_path / "out" / "README.md").read_text()
    empty = tmp_path / "empty.parquet"
    pq.write_table(pq.read_table(place).slice(0, 0), empty)
    with pytest.raises(InputError, match=r"empty\.parquet: holds no record"):
        assess(tmp_path / "out", place, str(empty), "image", "report")
    with pytest.raises(InputError, match=r"empty\.parquet: holds no record"):
        assess(tmp_path / "out", str(empty), None, "image", "report")


@pytest.mark.parametrize(
    "report",
    [
        "폐는 깨끗하고 심장 크기는 정상이며 흉수나 기흉은 보이지 않고 뼈는 온전하다",
        "Лёгочные поля чистые без очаговых теней сердце обычной формы и размеров",
        "双肺清晰未见实变影心影大小正常纵隔居中双侧肋膈角锐利骨质完整",
    ],
)
def test_verbatim_copies_are_measured_in_any_script(report):
    known = known_ngrams([report])
    assert known
    assert longest_copy(report, known) == len(words(report))
    assert longest_copy(" ".join(reversed(words(report))), known) == 0
