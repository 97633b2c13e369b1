"""One archive per shard: the same bytes each time, readable by anyone, and by member."""

from __future__ import annotations

import io
import tarfile
import zipfile

import pydicom
import pytest

from medim_forge.generator.errors import InputError
from medim_forge.generator.jobspec import DicomSection
from medim_forge.generator.writers.dicom.archive import beside, object_path, read_object, write_objects
from medim_forge.generator.writers.dicom.writer import DicomWriter
from tests.doubles.pairs import make_judged, make_pair, make_provenance, make_shard

ITEMS = [("a-1", "image.dcm", b"first"), ("a-1", "report.dcm", b""), ("a-2", "image.dcm", b"x" * 1000)]
KINDS = [None, "zip", "tar"]


@pytest.mark.parametrize("kind", KINDS)
def test_every_object_is_read_back_by_its_path(tmp_path, kind):
    folder = tmp_path / "shards" / "000003"
    folder.mkdir(parents=True)
    records = write_objects(folder, ITEMS, kind)
    for pair_id, name, content in ITEMS:
        inside = object_path(pair_id, name, kind)
        assert read_object(folder, inside) == content
        assert read_object(tmp_path, f"shards/000003/{inside}") == content
    assert beside(object_path("a-1", "image.dcm", kind), "report.dcm") == object_path("a-1", "report.dcm", kind)
    assert sum(record.size for record in records) >= 1005
    assert [(folder / record.path).stat().st_size for record in records] == [record.size for record in records]


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_an_archive_is_the_same_bytes_each_time_and_names_no_time_and_no_owner(tmp_path, kind):
    written = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        [record] = write_objects(tmp_path / name, ITEMS, kind)
        written.append((record, (tmp_path / name / record.path).read_bytes()))
    assert written[0] == written[1]
    stream = io.BytesIO(written[0][1])
    if kind == "zip":
        entries = zipfile.ZipFile(stream).infolist()
        assert {entry.date_time for entry in entries} == {(1980, 1, 1, 0, 0, 0)}
        assert zipfile.ZipFile(stream).testzip() is None
        names = [entry.filename for entry in entries]
    else:
        with tarfile.open(fileobj=stream) as archive:
            members = archive.getmembers()
        stamps = {(entry.mtime, entry.uid, entry.gid, entry.uname, entry.gname, entry.mode) for entry in members}
        assert stamps == {(0, 0, 0, "", "", 0o644)}
        names = [member.name for member in members]
    assert names == [f"{pair_id}/{name}" for pair_id, name, _ in ITEMS]


@pytest.mark.parametrize("kind", KINDS)
def test_a_shard_without_kept_pairs_has_no_objects_and_no_archive(tmp_path, kind):
    assert write_objects(tmp_path, [], kind) == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_a_shard_is_written_as_one_file_that_holds_kept_pairs_only(tmp_path, kind):
    judged = [make_judged(make_pair(0)), make_judged(make_pair(1), reasons=("std<4",)), make_judged(make_pair(2))]
    shard = make_shard(0, [item.pair.request for item in judged])
    writer = DicomWriter(make_provenance(), DicomSection(archive=kind))
    [record] = writer.write(tmp_path, shard, judged, [])
    assert [path.name for path in tmp_path.iterdir()] == [record.path] == [f"dicom.{kind}"]
    for index in (0, 2):
        pair = make_pair(index)
        content = read_object(tmp_path, object_path(pair.pair_id, "image.dcm", kind))
        assert content == writer.objects(pair)["image.dcm"]
        assert pydicom.dcmread(io.BytesIO(content)).PatientID == f"SYN-{pair.pair_id}"
    with pytest.raises(InputError, match=r"holds no 3f2a9c1b-0000001/image\.dcm"):
        read_object(tmp_path, object_path(make_pair(1).pair_id, "image.dcm", kind))


@pytest.mark.parametrize("kind", KINDS)
def test_a_missing_or_broken_store_is_an_error_that_names_the_path(tmp_path, kind):
    path = object_path("a-1", "image.dcm", kind)
    with pytest.raises(InputError, match=r"a-1/image\.dcm cannot be read \(FileNotFoundError"):
        read_object(tmp_path, path)
    if kind:
        write_objects(tmp_path, ITEMS, kind)
        (tmp_path / f"dicom.{kind}").write_bytes(b"no archive" * 100)
        with pytest.raises(InputError, match="cannot be read"):
            read_object(tmp_path, path)
