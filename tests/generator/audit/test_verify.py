"""`verify` finds what was changed after the fact, and says in which pair or file."""

from __future__ import annotations

import shutil

import pyarrow as pa
import pyarrow.parquet as pq
import pydicom
import pytest

from medim_forge.generator.audit.verify import inspect, verify
from medim_forge.generator.cli.text import verified_text
from medim_forge.generator.dataset.png import encode_png
from medim_forge.generator.errors import StoreError, VerifyError
from medim_forge.generator.files import file_record
from medim_forge.generator.jobspec import DicomSection
from medim_forge.generator.store.documents import sealed_text, unsealed
from medim_forge.generator.store.protocol import shard_folder
from medim_forge.generator.writers.dicom.writer import DicomWriter
from tests.doubles.pairs import finish_tiny, make_pair, make_provenance, make_spec

PAIR = "3f2a9c1b-0000002"


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    out = tmp_path_factory.mktemp("finished") / "out"
    finish_tiny(out)
    return out


@pytest.fixture
def folder(finished, tmp_path):
    return shutil.copytree(finished, tmp_path / "out")


def flip(path, where):
    """Inverts one byte: `where` is an offset, or bytes after whose first 100 it lies."""
    content = bytearray(path.read_bytes())
    offset = where if isinstance(where, int) else content.index(where) + 100
    content[offset] ^= 0xFF
    path.write_bytes(content)


def png_of(index):
    return encode_png(make_pair(index).image, make_provenance().digital_source_type)


def test_a_dataset_as_it_was_made_passes(finished):
    report = verify(finished)
    assert report.problems == ()
    # Ten kept and one dropped in the shards, nine again in data/.
    assert (report.shards, report.images, report.dicom_objects) == (3, 20, 20)
    assert verified_text(report).endswith("all as recorded")


def test_a_dataset_without_dicom_passes(tmp_path):
    finish_tiny(tmp_path, make_spec(output={"dir": "x", "dicom": None}))
    assert verify(tmp_path).dicom_objects == 0


@pytest.mark.parametrize("where", ["shards/000000/pairs.parquet", "data/train-00000-of-00001.parquet"])
def test_one_flipped_byte_in_a_png_names_the_pair(folder, where):
    flip(folder / where, png_of(2))
    with pytest.raises(VerifyError, match=rf"pair {PAIR}: image is not the one that was written"):
        verify(folder)
    problems = inspect(folder).problems
    assert any(problem.startswith(f"{where}: is not the file that was written") for problem in problems)
    others = [f"3f2a9c1b-{index:07d}" for index in range(12) if index != 2]
    assert not any(other in problem for problem in problems for other in others)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("README.md", r"README\.md: is not the file"),
        ("contact_sheet.png", r"contact_sheet\.png: is not the file"),
        (f"shards/000000/dicom/{PAIR}/image.dcm", rf"{PAIR}: image\.dcm: pixels differ from the PNG"),
        ("shards/000002/_rejected.parquet", r"_rejected\.parquet: is not the file"),
    ],
)
def test_one_flipped_byte_in_any_file_is_found(folder, name, words):
    flip(folder / name, (folder / name).stat().st_size - 40)
    with pytest.raises(VerifyError, match=words):
        verify(folder)


@pytest.mark.parametrize("name", ["README.md", "shards/000000/pairs.parquet", f"shards/000000/dicom/{PAIR}/report.dcm"])
def test_a_missing_file_is_found(folder, name):
    (folder / name).unlink()
    with pytest.raises(VerifyError, match=f"{name}: is missing"):
        verify(folder)


def test_a_missing_shard_is_found(folder):
    shutil.rmtree(shard_folder(folder, 1))
    with pytest.raises(VerifyError, match=r"counts\.pairs is 12, the shards hold 8"):
        verify(folder)


def test_a_file_that_nobody_recorded_is_found(folder):
    (shard_folder(folder, 0) / "dicom" / "extra.dcm").write_bytes(b"")
    with pytest.raises(VerifyError, match=r"shards/000000/dicom/extra\.dcm: is not in the manifest"):
        verify(folder)


def edit_dicom(change):
    def damage(folder):
        base = shard_folder(folder, 0) / "dicom" / PAIR
        for name in ("image.dcm", "report.dcm"):
            dataset = pydicom.dcmread(base / name)
            change(name, dataset)
            dataset.save_as(base / name)

    return damage


def drop_mark(name, dataset):
    if name == "report.dcm":
        del dataset.SyntheticData


def other_uid(name, dataset):
    if name == "image.dcm":
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = "2.25.1"


def other_words(name, dataset):
    if name == "report.dcm":
        dataset.ContentSequence[-1].ContentSequence[0].TextValue = "Normal."


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (drop_mark, r"report\.dcm: Synthetic Data \(0008,001C\) is None, not YES"),
        (other_uid, r"image\.dcm: SOP Instance UID is 2\.25\.1, the row says"),
        (other_words, r"report\.dcm: its words are not those of the row"),
    ],
)
def test_dicom_objects_that_do_not_fit_their_row_are_found(folder, change, words):
    edit_dicom(change)(folder)
    with pytest.raises(VerifyError, match=rf"pair {PAIR}: {words}"):
        verify(folder)


def test_hashes_that_were_changed_along_do_not_hide_a_wrong_object(folder):
    name = f"dicom/{PAIR}/image.dcm"
    path = shard_folder(folder, 0) / name
    wrong = DicomWriter(make_provenance(), DicomSection()).objects(make_pair(2, image=255 - make_pair(2).image))
    path.write_bytes(wrong["image.dcm"])
    found = file_record(path, path.relative_to(folder).as_posix())
    for record, key in ((shard_folder(folder, 0) / "_shard.json", name), (folder / "manifest.json", found.path)):
        values = unsealed(record.read_bytes())
        for entry in values["files"]:
            if entry["path"] == key:
                entry.update(size=found.size, sha256=found.sha256)
        record.write_text(sealed_text(values))
    problems = inspect(folder).problems
    assert any(f"pair {PAIR}: image.dcm: pixels differ" in problem for problem in problems)
    assert all(f"pair {PAIR}: " in problem for problem in problems)


@pytest.mark.parametrize(("key", "value"), [("kept", 9), ("data_rows", 8), ("duplicates", 0), ("quarantined", 0)])
def test_counts_that_do_not_add_up_are_found(folder, key, value):
    manifest = unsealed((folder / "manifest.json").read_bytes())
    manifest["counts"][key] = value
    (folder / "manifest.json").write_text(sealed_text(manifest))
    with pytest.raises(VerifyError, match=r"manifest\.json: counts\."):
        verify(folder)


def test_columns_of_another_job_are_found(folder):
    manifest = unsealed((folder / "manifest.json").read_bytes())
    manifest["training_data_terms"] = ["Other terms."]
    (folder / "manifest.json").write_text(sealed_text(manifest))
    with pytest.raises(VerifyError, match=r"pairs\.parquet: columns or metadata are not those of this job"):
        verify(folder)


def test_a_kept_row_without_image_is_found(folder):
    path = shard_folder(folder, 0) / "pairs.parquet"
    table = pq.read_table(path)
    place = table.column_names.index("image")
    image = table.schema.field("image")
    pq.write_table(table.set_column(place, image, pa.nulls(len(table), image.type)), path)
    with pytest.raises(VerifyError, match=rf"pairs\.parquet: pair {PAIR}: has no image"):
        verify(folder)


def test_a_folder_that_is_not_finished_is_told_so(folder):
    (folder / "manifest.json").unlink()
    with pytest.raises(StoreError, match=r"manifest\.json: cannot be read .*`medim run` writes it"):
        verify(folder)


def test_a_manifest_without_its_parts_is_told_so(folder):
    (folder / "manifest.json").write_text(sealed_text({}))
    with pytest.raises(StoreError, match=r"manifest\.json: is incomplete \(KeyError\('counts'\)\)"):
        verify(folder)


def test_a_dataset_without_its_last_mark_is_not_finished(folder, tmp_path):
    (folder / "_SUCCESS").unlink()
    # One of its rows was quarantined, and its job allows none: so it ends.
    assert inspect(folder).problems == ()
    finish_tiny(tmp_path / "allowed", make_spec(compute={"pairs_per_shard": 4, "max_quarantined": 1}))
    assert inspect(tmp_path / "allowed").problems == ()
    (tmp_path / "allowed" / "_SUCCESS").unlink()
    found = inspect(tmp_path / "allowed").problems
    assert found == ("_SUCCESS: is missing: the dataset is not finished; run its job again",)


def test_a_record_of_a_shard_that_nobody_planned_is_found(folder):
    (folder / "shards/000007").mkdir()
    shutil.copy(folder / "shards/000000/_shard.json", folder / "shards/000007")
    assert inspect(folder).problems == ("shards/000007/_shard.json: is not in the manifest",)
