"""Given images and reports: read by row, and what cannot be read becomes a quarantined row."""

from __future__ import annotations

import hashlib
import io

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from medim_forge.generator.errors import InputError, SpecError
from medim_forge.generator.inputs.load import given_reports, load_inputs
from medim_forge.generator.inputs.places import find_images, find_tables
from medim_forge.generator.inputs.survey import survey_inputs
from medim_forge.generator.phantoms import read_findings
from medim_forge.generator.plan.plan import make_plan


def png(level: int) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(np.full((4, 4), level, np.uint8)).save(stream, "PNG")
    return stream.getvalue()


@pytest.fixture
def given(spec, tmp_path):
    """A job on Parquet inputs: `given(task, table, ...)` writes the table and returns the job."""

    def make(task, columns, row_group_size=2, name="in.parquet", **inputs):
        pq.write_table(pa.table(columns), tmp_path / name, row_group_size=row_group_size)
        section = {"source": "parquet", "path": str(tmp_path), "domain": "chest_xray", **inputs}
        return spec(task=task, prompts=None, inputs=section)

    return make


def loaded(job):
    plan = make_plan(job)
    return [load_inputs(job, shard) for shard in plan]


def test_reports_are_read_row_by_row_across_row_groups_and_files(given, tmp_path):
    pq.write_table(pa.table({"report": ["zero", "one", "two"]}), tmp_path / "a.parquet", row_group_size=2)
    job = given("report_to_image", {"report": ["three", "four"]}, name="b.parquet")
    requests = [request for shard, bad in loaded(job) for request in shard.requests if not bad]
    assert [request.given_report for request in requests] == ["zero", "one", "two", "three", "four"]
    assert [request.source_row for request in requests] == [0, 1, 2, 3, 4]
    assert all(request.prompt.text == "" and request.given_image is None for request in requests)


def test_report_tells_which_findings_are_asked_for(given):
    job = given("report_to_image", {"report": ["There is a small right pleural effusion."]})
    [(shard, _)] = loaded(job)
    assert shard.requests[0].prompt.findings == ("effusion_right",)


@pytest.mark.parametrize(
    "wrap", [lambda content: content, lambda content: {"bytes": content, "path": None}], ids=["bytes", "struct"]
)
def test_images_are_read_as_bytes_or_as_struct(given, wrap):
    job = given("image_to_report", {"image": [wrap(png(1)), wrap(png(2))]})
    [(shard, bad)] = loaded(job)
    assert [request.given_image for request in shard.requests] == [png(1), png(2)]
    assert bad == []


def test_unreadable_images_are_quarantined_and_the_rest_go_on(given):
    content = [png(0), b"not an image", None, png(3)[:40], b"", png(5)]
    shards = loaded(given("image_to_report", {"image": content}))
    assert [request.pair_index for shard, _ in shards for request in shard.requests] == [0, 5]
    rows = [row for _, bad in shards for row in bad]
    assert [row.request.pair_index for row in rows] == [1, 2, 3, 4]
    assert {row.stage for row in rows} == {"input"}
    assert all(row.error.startswith("InputError: row ") and "Traceback" in row.traceback for row in rows)
    assert "row 1, column image, " in rows[0].error
    assert "cannot be decoded" in rows[0].error


def test_a_row_that_does_not_decode_can_be_traced_to_its_input(given):
    job = given("image_to_report", {"image": [b"no image", None], "id": ["a", "b"]}, keep_columns=["id"])
    [(_, (broken, empty))] = loaded(job)
    assert broken.request.given.sha256 == hashlib.sha256(b"no image").hexdigest()
    assert broken.request.given.columns == {"id": "a"}
    assert empty.request.given is None


def test_the_images_themselves_are_no_column_to_keep(given):
    with pytest.raises(
        SpecError, match=r"keep_columns = 'image' holds bytes in table 0, and columns are kept as text. Leave it out"
    ):
        make_plan(given("image_to_report", {"image": [png(0)]}, keep_columns=["image"]))


@pytest.mark.parametrize(
    ("task", "column", "values", "words"),
    [
        ("report_to_image", "report", pa.array([1, 2]), "'report' holds int64 in table 0, and reports are text"),
        (
            "report_to_image",
            "report",
            pa.array([["a"], ["b"]]),
            "holds list<.* string> in table 0, and reports are text",
        ),
        ("report_to_image", "report", pa.array([None, None]), "holds null in table 0, and reports are text"),
        (
            "image_to_report",
            "image",
            pa.array(["a.png", "b.png"]),
            "'image' holds text in table 0, and images are bytes",
        ),
        ("image_to_report", "image", pa.array([1, 2]), "holds int64 in table 0, and images are bytes"),
        ("image_to_report", "image", pa.array([{"path": "a"}, {"path": "b"}]), "holds struct<path: string> in table 0"),
    ],
)
def test_columns_of_another_type_are_refused_before_anything_is_made(given, task, column, values, words):
    with pytest.raises(SpecError, match=words):
        make_plan(given(task, {column: values}))


@pytest.mark.parametrize(
    "kind", [pa.large_string(), pa.string_view(), pa.binary(), pa.dictionary(pa.int32(), pa.string())]
)
def test_columns_that_hold_text_in_another_way_are_taken(given, kind):
    [(shard, bad)] = loaded(given("report_to_image", {"report": pa.array(["a", "b"], pa.string()).cast(kind)}))
    assert ([request.given_report for request in shard.requests], bad) == (["a", "b"], [])


def test_a_report_that_is_no_utf8_is_refused_with_its_row_and_no_word_of_it(given):
    text = "Größe ZZPLANTED".encode("latin-1")
    job = given("report_to_image", {"report": pa.array([b"fine", text])})
    with pytest.raises(SpecError, match=r"report_column: row 1 is no text in UTF-8.*write the table again") as caught:
        list(given_reports(job, 10))
    assert "ZZPLANTED" not in str(caught.value)


def test_empty_report_is_quarantined(given):
    [(shard, bad)] = loaded(given("report_to_image", {"report": ["fine", "  ", None]}))
    assert len(shard.requests) == 1
    assert [row.request.pair_index for row in bad] == [1, 2]


def test_a_giant_report_is_quarantined_by_its_size(given, monkeypatch):
    monkeypatch.setattr("medim_forge.generator.inputs.parquet.LARGEST_REPORT", 9)
    [(shard, bad)] = loaded(given("report_to_image", {"report": ["0123456789", "012345678"]}))
    assert [request.given_report for request in shard.requests] == ["012345678"]
    assert "holds 10 characters, and a report may have 9" in bad[0].error


def test_limit_takes_the_first_rows(given):
    job = given("report_to_image", {"report": ["a", "b", "c", "d"]}, limit=3)
    assert make_plan(job).pairs == 3
    assert make_plan(given("report_to_image", {"report": ["a"]}, limit=3)).pairs == 1


def test_glob_and_file_name_the_same_rows_as_the_folder(given, tmp_path):
    for path in (str(tmp_path / "*.parquet"), str(tmp_path / "in.parquet")):
        job = given("report_to_image", {"report": ["a", "b"]}, path=path)
        assert [request.given_report for shard, _ in loaded(job) for request in shard.requests] == ["a", "b"]


def test_missing_column_is_refused_naming_those_there_are(given):
    with pytest.raises(SpecError, match=r"inputs\.report_column = 'text' is not a column of .* It has: report, id"):
        make_plan(given("report_to_image", {"report": ["a"], "id": [1]}, report_column="text"))


@pytest.mark.parametrize("path", ["nothing", "nothing/*.parquet"])
def test_missing_input_files_are_refused(spec, tmp_path, path):
    section = {"source": "parquet", "path": str(tmp_path / path), "domain": "chest_xray"}
    with pytest.raises(SpecError, match="names no Parquet file"):
        make_plan(spec(task="report_to_image", prompts=None, inputs=section))


def test_file_that_is_not_parquet_is_refused(spec, tmp_path):
    (tmp_path / "x.parquet").write_text("no")
    section = {"source": "parquet", "path": str(tmp_path), "domain": "chest_xray"}
    with pytest.raises(SpecError, match="is not Parquet"):
        make_plan(spec(task="report_to_image", prompts=None, inputs=section))


def test_inputs_without_rows_are_refused(given):
    with pytest.raises(SpecError, match="holds no rows"):
        make_plan(given("report_to_image", {"report": pa.array([], pa.string())}))


def test_the_plan_changes_with_what_the_job_takes_of_its_inputs_and_with_nothing_else(given):
    def planned(**columns):
        job = given("report_to_image", {"report": ["a", None, "c"], "age": [1, 2, 3]} | columns, keep_columns=["age"])
        return survey_inputs(job)

    first = planned()
    assert (first.record["rows"], first.record["sha256"]) == (3, first.manifest.sha256)
    assert planned(other=[5, 6, 7]).record == first.record
    changed = [planned(report=["a", None, "d"]), planned(age=[1, 2, 4]), planned(report=["a", "", "c1"])]
    assert len({first.manifest.sha256, *(other.manifest.sha256 for other in changed)}) == 4


def test_a_row_of_a_table_is_known_by_the_digest_of_what_is_taken_of_it(given):
    images = [png(1), b"no image", None]
    manifest = survey_inputs(given("image_to_report", {"image": images})).manifest
    assert [
        manifest.holds(row, (len(image), hashlib.sha256(image).hexdigest())) for row, image in enumerate(images[:2])
    ]
    assert manifest.sizes.tolist() == [len(images[0]), len(images[1]), 0]


@pytest.mark.parametrize("domain", ["chest_xray", "pathology"])
def test_phantom_inputs_are_the_same_each_time_and_fit_their_domain(spec, domain):
    section = {"source": "phantoms", "domain": domain, "pairs": 4, "seed": 3}
    reports = spec(task="report_to_image", prompts=None, inputs=section)
    images = spec(task="image_to_report", prompts=None, inputs=section)
    assert loaded(reports) == loaded(reports)
    rows = [request for shard, _ in loaded(reports) for request in shard.requests]
    assert len({request.given_report for request in rows}) > 1
    assert all(request.prompt.findings == tuple(sorted(read_findings(request.given_report))) for request in rows)
    given = [request.given_image for shard, _ in loaded(images) for request in shard.requests]
    assert {Image.open(io.BytesIO(image)).mode for image in given} == {"L" if domain == "chest_xray" else "RGB"}


def test_joint_job_has_no_inputs_to_load(spec):
    job = spec()
    shard = make_plan(job).shard(0)
    assert load_inputs(job, shard) == (shard, [])


def test_two_stars_before_a_name_search_all_folders_below_and_never_the_whole_disk(tmp_path):
    (tmp_path / "data" / "deep").mkdir(parents=True)
    for name in ("a.parquet", "data/b.parquet", "data/deep/c.parquet"):
        (tmp_path / name).touch()
    assert [path.name for path in find_tables(f"{tmp_path}/data/**.parquet")] == ["b.parquet", "c.parquet"]
    assert [path.name for path in find_tables(f"{tmp_path}/**/c.parquet")] == ["c.parquet"]
    for place in ("/**x", "/**", "/"):
        with pytest.raises(InputError, match="whole disk"):
            find_images(place, "images", fresh=True)
