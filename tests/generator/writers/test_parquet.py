"""What the Parquet files of a shard hold, and what they say about themselves."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from medim_forge.generator.dataset.png import decode_png, encode_png
from medim_forge.generator.dataset.schema import PAIRS_FILE, REJECTED_FILE, pairs_schema, rejected_schema
from medim_forge.generator.errors import RowError
from medim_forge.generator.writers.parquet import ParquetWriter
from tests.doubles.pairs import make_judged, make_pair, make_provenance, make_quarantined, make_shard


def write(folder: Path, judged, quarantined=(), *, dicom=True, **changes):
    folder.mkdir(parents=True, exist_ok=True)
    shard = make_shard(42, [item.pair.request for item in judged] + [item.request for item in quarantined])
    return ParquetWriter(make_provenance(**changes), dicom=dicom).write(folder, shard, judged, quarantined)


def rows(path: Path) -> list[dict]:
    return pq.read_table(path).to_pylist()


def test_a_kept_pair_comes_back_as_it_was_made(tmp_path):
    pair = make_pair(3)
    write(tmp_path, [make_judged(pair)])
    (row,) = rows(tmp_path / PAIRS_FILE)
    assert (row["pair_id"], row["pair_index"], row["seed"], row["shard"]) == (pair.pair_id, 3, 2**62 + 3, 42)
    assert row["report"] == pair.report
    assert row["report"][: row["prompt_chars"]] == pair.request.prompt.text
    assert row["image_codes"] == pair.image_codes.tolist()
    assert np.array_equal(decode_png(row["image"]["bytes"]), pair.image)
    assert row["image"]["path"] == f"{pair.pair_id}.png"
    assert (row["width"], row["height"]) == (96, 96)
    assert row["image_sha256"] == hashlib.sha256(row["image"]["bytes"]).hexdigest()
    assert row["dicom_path"] == f"shards/000042/dicom/{pair.pair_id}/image.dcm"
    assert row["synthetic"] is True
    assert row["score_agreement"] == 0.5
    assert row["findings_report"] == sorted(row["findings_report"])


def test_dropped_and_quarantined_rows_are_kept_apart_with_their_reasons(tmp_path):
    judged = [make_judged(make_pair(0)), make_judged(make_pair(1), reasons=("agreement<0.1", "std<4"))]
    write(tmp_path, judged, [make_quarantined(2)])
    assert [row["pair_index"] for row in rows(tmp_path / PAIRS_FILE)] == [0]
    dropped, quarantined = rows(tmp_path / REJECTED_FILE)
    assert dropped["stage"] == "filter"
    assert dropped["reasons"] == ["agreement<0.1", "std<4"]
    assert dropped["error"] is None
    assert dropped["score_agreement"] == 0.5
    assert np.array_equal(decode_png(dropped["image"]["bytes"]), judged[1].pair.image)
    assert dropped["dicom_path"] is None
    assert (quarantined["stage"], quarantined["error"]) == ("generate", "RowError: NaN logits")
    assert quarantined["traceback"].startswith("Traceback")
    assert quarantined["image"] is None
    assert quarantined["report"] is None
    assert quarantined["seed"] == 2**62 + 2


def test_a_quarantined_row_keeps_the_report_it_was_given(tmp_path):
    row = make_quarantined(2)
    given = dataclasses.replace(row, request=dataclasses.replace(row.request, given_report="No effusion."))
    write(tmp_path, [], [given])
    assert rows(tmp_path / REJECTED_FILE)[0]["report"] == "No effusion."


def test_rows_are_in_order_of_pair_index_whatever_order_they_come_in(tmp_path):
    judged = [make_judged(make_pair(index)) for index in (3, 0, 2)]
    write(tmp_path, judged)
    assert [row["pair_index"] for row in rows(tmp_path / PAIRS_FILE)] == [0, 2, 3]


def test_both_files_are_written_when_there_are_no_rows(tmp_path):
    records = write(tmp_path, [])
    assert [record.path for record in records] == [REJECTED_FILE, PAIRS_FILE]
    assert rows(tmp_path / PAIRS_FILE) == []
    assert rows(tmp_path / REJECTED_FILE) == []


def test_the_same_rows_are_the_same_bytes_and_the_records_hold_their_digest(tmp_path):
    judged = [make_judged(make_pair(index)) for index in range(3)]
    first = write(tmp_path / "a", judged, [make_quarantined(3)])
    second = write(tmp_path / "b", judged, [make_quarantined(3)])
    assert first == second
    for record in first:
        content = (tmp_path / "a" / record.path).read_bytes()
        assert (len(content), hashlib.sha256(content).hexdigest()) == (record.size, record.sha256)


def test_a_number_that_is_not_there_is_null_and_not_nan(tmp_path):
    pair = make_pair(0, report_logprob=float("nan"), agreement=float("nan"))
    judged = make_judged(pair)
    scores = {**judged.verdict.scores, "agreement": float("nan")}
    write(tmp_path, [dataclasses.replace(judged, verdict=dataclasses.replace(judged.verdict, scores=scores))])
    (row,) = rows(tmp_path / PAIRS_FILE)
    assert row["report_logprob"] is None
    assert row["agreement"] is None
    assert row["score_agreement"] is None
    assert row["image_logprob"] == -2.0


def test_without_dicom_no_row_points_at_dicom(tmp_path):
    write(tmp_path, [make_judged(make_pair(0))], dicom=False)
    (row,) = rows(tmp_path / PAIRS_FILE)
    assert row["dicom_path"] is None
    assert row["sop_instance_uid"] is None


def test_an_image_of_another_type_names_the_pair(tmp_path):
    pair = make_pair(0, image=np.zeros((4, 4), np.float32))
    with pytest.raises(RowError, match=r"pair 3f2a9c1b-0000000: image has dtype float32"):
        write(tmp_path, [make_judged(pair)])


def test_every_file_says_that_it_is_synthetic_and_who_made_it(tmp_path):
    write(tmp_path, [make_judged(make_pair(0))], training_data_terms=("Terms of the archive.",))
    for name in (PAIRS_FILE, REJECTED_FILE):
        metadata = {key.decode(): value.decode() for key, value in pq.read_metadata(tmp_path / name).metadata.items()}
        assert metadata["synthetic"] == "true"
        assert metadata["digital_source_type"].endswith("/trainedAlgorithmicMedia")
        assert metadata["model_sha256"] == "ab" * 32
        assert json.loads(metadata["training_data_terms"]) == ["Terms of the archive."]
        features = json.loads(metadata["huggingface"])["info"]["features"]
        assert features["image"] == {"_type": "Image"}
        assert list(features) == pq.read_schema(tmp_path / name).names


def test_every_column_has_a_description():
    for schema in (pairs_schema(make_provenance()), rejected_schema(make_provenance())):
        assert [field.name for field in schema if not field.metadata.get(b"description")] == []


def test_the_layout_suits_image_text_trainers(tmp_path):
    tiny = make_pair(0, image=np.zeros((8, 8), np.uint8))
    judged = [make_judged(tiny)] * 130
    write(tmp_path, judged)
    metadata = pq.read_metadata(tmp_path / PAIRS_FILE)
    assert [metadata.row_group(number).num_rows for number in range(metadata.num_row_groups)] == [128, 2]
    first = metadata.row_group(0)
    leaves = {first.column(i).path_in_schema: first.column(i) for i in range(first.num_columns)}
    assert leaves["image.bytes"].compression == "UNCOMPRESSED"
    assert leaves["report"].compression == "ZSTD"
    assert leaves["report"].statistics is None
    assert leaves["pair_index"].statistics.max == 0
    assert leaves["pair_id"].has_offset_index
    assert leaves["domain"].has_dictionary_page
    assert not leaves["report"].has_dictionary_page


@pytest.mark.parametrize(("image", "term"), [("generated", "trainedAlgorithmicMedia"), ("drawn", "algorithmicMedia")])
def test_the_png_carries_its_digital_source_type(image, term):
    provenance = make_provenance(image=image)
    png = encode_png(make_pair(0).image, provenance.digital_source_type)
    with Image.open(io.BytesIO(png)) as image:
        packet = image.info["XML:com.adobe.xmp"]
    assert f'DigitalSourceType="http://cv.iptc.org/newscodes/digitalsourcetype/{term}"' in packet


def test_of_a_given_image_no_source_type_is_claimed():
    provenance = make_provenance(image="given", task="image_to_report")
    with Image.open(io.BytesIO(encode_png(make_pair(0).image, provenance.digital_source_type))) as image:
        assert image.info == {}


def test_equal_pixels_are_equal_files_and_colour_survives():
    grey, colour = make_pair(0).image, make_pair(1).image
    assert encode_png(grey, "x") == encode_png(grey.copy(), "x")
    assert encode_png(grey, "x") != encode_png(255 - grey, "x")
    assert np.array_equal(decode_png(encode_png(np.asfortranarray(colour), "x")), colour)
