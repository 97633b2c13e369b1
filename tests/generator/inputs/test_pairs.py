"""One reader of users' pairs: from Parquet, pictures and DICOM come the same pixels, by row or in order."""

from __future__ import annotations

import io
import shutil

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from pydicom.data import get_testdata_file

from medim_forge.generator.errors import InputError
from medim_forge.generator.inputs import FilePairs, GivenPair, Unreadable, open_pairs
from medim_forge.generator.inputs.dicom import read_dicom
from medim_forge.generator.jobspec import DicomSection
from medim_forge.generator.phantoms import draw
from medim_forge.generator.writers.dicom.writer import DicomWriter
from tests.doubles.pairs import make_pair, make_provenance

WINDOWED = ("CT_small.dcm", "MR_small_jpeg_ls_lossless.dcm", "examples_palette.dcm")


def png(image):
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "PNG")
    return stream.getvalue()


def table(path, images, reports=None, **options):
    columns = {"image": images} | ({} if reports is None else {"report": reports})
    pq.write_table(pa.table(columns), path, **options)
    return str(path)


def test_a_folder_mixes_pictures_and_dicom_with_reports_beside_them(tmp_path):
    pair = make_pair(0)
    Image.fromarray(pair.image).save(tmp_path / "a.png")
    (tmp_path / "a.txt").write_text("\ufeffA report.\n")
    objects = DicomWriter(make_provenance(), DicomSection()).objects(pair)
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "no_suffix").write_bytes(objects["image.dcm"])
    (tmp_path / "DICOMDIR").write_bytes(b"an index")
    (tmp_path / ".hidden.png").write_bytes(b"")
    (tmp_path / "labels.csv").write_text("a,b")
    (tmp_path / "empty.txt").write_text("of no image")
    pairs = open_pairs(str(tmp_path))
    assert [path.name for path in pairs.left_out] == ["empty.txt", "labels.csv"]
    first, second = pairs
    assert (first.row, first.report, second.row, second.report) == (0, "A report.", 1, None)
    assert pairs.report(0) == "A report."
    with pytest.raises(InputError, match=r"row 1 has no report beside its image\. Write it to .* ends in \.txt"):
        pairs.report(1)
    assert np.array_equal(first.pixels, pair.image)
    assert np.array_equal(second.pixels, read_dicom(objects["image.dcm"]))


@pytest.mark.parametrize("name", WINDOWED)
def test_dicom_has_the_pixels_that_a_job_is_given(tmp_path, name):
    path = tmp_path / "image.dcm"
    shutil.copy(get_testdata_file(name), path)
    [pair] = open_pairs(str(path))
    [job] = [FilePairs(place="", kind="dicom", files=(path,))]
    assert np.array_equal(pair.pixels, np.asarray(Image.open(io.BytesIO(job.image(0)))))


def test_rows_in_order_are_the_rows_by_number_across_tables_and_row_groups(tmp_path):
    images = [png(draw("pathology", seed).image) for seed in range(5)]
    table(tmp_path / "a.parquet", images[:3], ["zero", " one ", None], row_group_size=2)
    table(tmp_path / "b.parquet", [{"bytes": image, "path": None} for image in images[3:]], ["", "four"])
    pairs = open_pairs(str(tmp_path))
    assert [pair.row for pair in pairs] == list(range(len(pairs))) == [0, 1, 2, 3, 4]
    assert [pair.report for pair in pairs] == ["zero", "one", None, None, "four"]
    for pair in pairs:
        if pair.report is None:
            with pytest.raises(InputError, match=f"row {pair.row}, column report, holds no report"):
                pairs.report(pair.row)
        else:
            assert pair.report == pairs.report(pair.row)
        assert pairs.image(pair.row) == images[pair.row]
        assert np.array_equal(pair.pixels, draw("pathology", pair.row).image)


def test_a_row_that_cannot_be_read_keeps_its_number_and_says_why(tmp_path):
    two, page = io.BytesIO(), Image.fromarray(np.zeros((4, 4), np.uint8))
    page.save(two, "TIFF", save_all=True, append_images=[page])
    images = [png(draw("chest_xray", 1).image), b"no", None, two.getvalue()]
    place = table(tmp_path / "a.parquet", images, [1, 2, 3, 4])
    rows = list(open_pairs(place, report_column=""))
    assert [type(row) for row in rows] == [GivenPair, Unreadable, Unreadable, Unreadable]
    reasons = [row.reason for row in rows[1:]]
    assert [reason.split(", column image, ")[0] for reason in reasons] == ["row 1", "row 2", "row 3"]
    for reason, words in zip(reasons, ("cannot be decoded", "holds no image bytes", "holds 2 pages"), strict=True):
        assert words in reason
    assert "column report, holds no report, but int" in next(iter(open_pairs(place))).reason


def test_a_damaged_row_group_costs_its_own_rows_alone(tmp_path):
    images = [np.random.default_rng(row).bytes(3000) for row in range(4)]
    place = tmp_path / "a.parquet"
    table(place, images, row_group_size=2)
    content = bytearray(place.read_bytes())
    content[4:100] = bytes(96)
    place.write_bytes(content)
    rows = list(open_pairs(str(place), report_column=""))
    assert [row.row for row in rows] == [0, 1, 2, 3]
    assert ["Repair its file" in row.reason for row in rows] == [True, True, False, False]


def test_text_that_is_no_utf8_is_named(tmp_path):
    text = pa.Array.from_buffers(pa.string(), 1, [None, pa.py_buffer(b"\0\0\0\0\2\0\0\0"), pa.py_buffer(b"\xff\xfe")])
    [row] = open_pairs(table(tmp_path / "a.parquet", [png(draw("chest_xray", 1).image)], text))
    assert "row 0 cannot be read" in row.reason


def test_broken_files_and_reports_are_rows_too(tmp_path):
    (tmp_path / "a.png").write_bytes(b"nothing")
    Image.fromarray(draw("chest_xray", 1).image).save(tmp_path / "b.png")
    (tmp_path / "b.txt").write_bytes(b"\xff\xfe\xff")
    (tmp_path / "c.dcm").write_bytes(b"nothing")
    reasons = [row.reason for row in open_pairs(str(tmp_path))]
    wanted = ("row 0 cannot be decoded", "row 1 has a report that is no UTF-8 text", "row 2 is not DICOM")
    assert [words for words, reason in zip(wanted, reasons, strict=True) if words in reason] == list(wanted)


def test_tables_are_read_before_images_and_images_beside_them_are_left_out(tmp_path):
    table(tmp_path / "a.parquet", [png(draw("chest_xray", 1).image)], ["one"])
    Image.fromarray(draw("chest_xray", 2).image).save(tmp_path / "b.png")
    for place in (tmp_path, tmp_path / "*"):
        pairs = open_pairs(str(place))
        assert (len(pairs), [path.name for path in pairs.left_out]) == (1, ["b.png"])


def test_a_place_without_pairs_and_a_table_without_columns_are_refused(tmp_path):
    for place in (tmp_path, tmp_path / "nothing", tmp_path / "*.png"):
        with pytest.raises(InputError, match="holds neither Parquet nor images"):
            open_pairs(str(place))
    place = table(tmp_path / "a.parquet", [b""])
    with pytest.raises(InputError, match=r"has no column 'report'; it has image.*--report-column"):
        open_pairs(place)
    with pytest.raises(InputError, match=r"has no column 'png'; it has image.*--image-column"):
        open_pairs(place, image_column="png")
    (tmp_path / "b.parquet").write_text("no")
    with pytest.raises(InputError, match="is not Parquet"):
        open_pairs(str(tmp_path))


@pytest.mark.parametrize("kind", [pa.binary(), pa.large_binary(), pa.large_string(), pa.string_view()])
def test_reports_are_text_in_any_column_that_can_hold_it(tmp_path, kind):
    reports = pa.array(["one", None, " zwei ä "], pa.string()).cast(kind)
    place = table(tmp_path / "a.parquet", [png(draw("chest_xray", seed).image) for seed in range(3)], reports)
    assert [pair.report for pair in open_pairs(place)] == ["one", None, "zwei ä"]


def test_hidden_files_are_passed_over(tmp_path):
    table(tmp_path / "a.parquet", [png(draw("chest_xray", 1).image)], ["one"])
    (tmp_path / "._a.parquet").write_bytes(b"what a file system keeps beside it")
    assert len(list(open_pairs(str(tmp_path)))) == len(list(open_pairs(f"{tmp_path}/*.parquet"))) == 1
