"""A real PACS takes a shard and gives back what was sent: C-STORE with dcmtk, then QIDO-RS and WADO-RS."""

from __future__ import annotations

import io
import zipfile

import numpy as np
import pydicom
import pytest

from medim_forge.generator.writers.dicom.encode import TRANSFER_SYNTAXES
from medim_forge.generator.writers.dicom.report import sections
from tests.doubles.dicom_tools import need, output
from tests.doubles.pacs import DICOMWEB_PLUGIN, SENDER, running
from tests.doubles.pairs import commit_shard, make_judged, make_pair, make_spec

pytestmark = pytest.mark.slow

# What storescu has to propose for each of our transfer syntaxes.
PROPOSALS = {"explicit_vr_little_endian": [], "jpeg_ls_lossless": ["-xt"], "jpeg_2000_lossless": ["-xv"]}
# Per transfer syntax another form of the same shard, so that every object we write meets the PACS.
SECTIONS = {
    "explicit_vr_little_endian": {},
    "jpeg_ls_lossless": {"archive": "zip", "microns_per_pixel": 0.5},
    "jpeg_2000_lossless": {"archive": "tar"},
}


@pytest.fixture(scope="module")
def pacs(tmp_path_factory):
    need("Orthanc", "storescu")
    assert DICOMWEB_PLUGIN.exists(), "install the Debian package orthanc-dicomweb"
    with running(tmp_path_factory.mktemp("pacs")) as started:
        yield started


def sent(pacs, tmp_path, syntax):
    """The pairs of a shard that was sent, with their job's name in every id."""
    section = SECTIONS[syntax] | {"transfer_syntax": syntax}
    spec = make_spec(name=syntax, output={"dir": "out/x", "dicom": section})
    letters = "Größe 5 µm, ≥ 2 nodules. Impression: Ärztlich unauffällig."
    pairs = [make_pair(0, report=f"PA view. {letters}"), *(make_pair(index) for index in range(1, 6))]
    commit_shard(tmp_path / "set", spec, 0, [make_judged(pair) for pair in pairs])
    folder = tmp_path / "set" / "shards" / "000000"
    if "archive" in section:
        (tmp_path / "unpacked").mkdir()
        if section["archive"] == "zip":
            zipfile.ZipFile(folder / "dicom.zip").extractall(tmp_path / "unpacked")
        else:
            output("tar", "-xf", folder / "dicom.tar", "-C", tmp_path / "unpacked")
    files = tmp_path / "unpacked" if "archive" in section else folder / "dicom"
    # A second association for the reports, which are never compressed.
    for pattern, options in (("image.dcm", PROPOSALS[syntax]), ("report.dcm", [])):
        target = ["-aet", SENDER, "-aec", "ORTHANC", "127.0.0.1", str(pacs.dicom)]
        output("storescu", "-R", *options, "+sd", "+r", "+sp", pattern, *target, files)
    return pairs, files


@pytest.mark.parametrize("syntax", TRANSFER_SYNTAXES)
def test_a_shard_comes_back_from_the_pacs_as_it_was_sent(pacs, tmp_path, syntax):
    pairs, files = sent(pacs, tmp_path, syntax)
    for pair in pairs:
        image = pydicom.dcmread(files / pair.pair_id / "image.dcm")
        report = pydicom.dcmread(files / pair.pair_id / "report.dcm")
        [study] = pacs.query(f"studies?StudyInstanceUID={image.StudyInstanceUID}")
        assert study["00100020"]["Value"] == [f"SYN-{pair.pair_id}"]
        series = pacs.query(f"studies/{image.StudyInstanceUID}/series")
        assert {found["00080060"]["Value"][0] for found in series} == {image.Modality, "SR"}

        back = [pydicom.dcmread(io.BytesIO(content)) for content in pacs.retrieve(f"studies/{image.StudyInstanceUID}")]
        assert len(back) == 2
        by_uid = {instance.SOPInstanceUID: instance for instance in back}
        seen = by_uid[image.SOPInstanceUID]
        assert seen.file_meta.TransferSyntaxUID == TRANSFER_SYNTAXES[syntax]
        assert np.array_equal(seen.pixel_array, pair.image)
        assert seen == image
        words = by_uid[report.SOPInstanceUID]
        assert words == report
        texts = [item.TextValue for section in words.ContentSequence for item in section.get("ContentSequence", ())]
        assert texts == [text for text in sections(pair.report) if text]
        assert seen.SyntheticData == words.SyntheticData == "YES"


def test_what_is_sent_twice_is_there_once(pacs, tmp_path):
    studies = []
    for folder in ("once", "twice"):
        pairs, files = sent(pacs, tmp_path / folder, "explicit_vr_little_endian")
        uids = {pydicom.dcmread(files / pair.pair_id / "image.dcm").StudyInstanceUID for pair in pairs}
        studies.append((uids, [study["0020000D"]["Value"][0] for study in pacs.query("studies?PatientID=SYN-*")]))
    (first, found), (second, found_again) = studies
    assert first == second
    assert len(first) == len(pairs)
    assert sorted(found_again) == sorted(found)
    assert first <= set(found)
    for study in first:
        assert len(pacs.query(f"studies/{study}/instances")) == 2
