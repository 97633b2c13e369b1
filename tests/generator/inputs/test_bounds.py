"""Given files that state or hold far more than they weigh: each is refused in a sentence, and memory stays small."""

from __future__ import annotations

import io
import json
import re
import resource
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import DeflatedExplicitVRLittleEndian, JPEGBaseline8Bit, RLELossless

from medim_forge.generator.corpus.dicom_tree import read_header as read_tree_header
from medim_forge.generator.corpus.pictures import decode
from medim_forge.generator.errors import InputError
from medim_forge.generator.inputs import bounds, dicom_bounds
from medim_forge.generator.inputs.dicom import read_dicom
from medim_forge.generator.inputs.images import decode_image

ROOT = Path(__file__).parents[3]
# Of each file that it is given: how it is refused, and by how many MiB the process grew over it.
READ = """
import json, resource, sys
from pathlib import Path
from medim_forge.generator.corpus.pictures import decode
from medim_forge.generator.inputs.dicom import read_dicom
from medim_forge.generator.inputs.images import decode_image
from medim_forge.generator.errors import InputError
for path in sorted(Path(sys.argv[1]).iterdir()):
    content, before = path.read_bytes(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    said = "taken"
    try:
        decode(content)
    except InputError as error:
        said = str(error)
    print(json.dumps([path.name, said, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024]))
"""


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width, height, *extra, colour=0):
    header = struct.pack(">IIBBBBB", width, height, 8, colour, 0, 0, 0)
    pixels = zlib.compress(bytes(1 + width * (3 if colour else 1)) * min(height, 16))
    chunks = (chunk(b"IHDR", header), *extra, chunk(b"IDAT", pixels), chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def webp(width, height):
    sides = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    body = b"WEBPVP8X" + struct.pack("<I", 10) + b"\0\0\0\0" + sides
    return b"RIFF" + struct.pack("<I", len(body)) + body


def tiff_with_tiles(side):
    """A deflated TIFF of 16 x 16 pixels, in one tile that is as large as it says."""
    pixels = zlib.compress(bytes(256))
    tags = {256: 16, 257: 16, 258: 8, 259: 8, 262: 1, 277: 1, 322: side, 323: side, 324: 8, 325: len(pixels)}
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    head = struct.pack("<2sHI", b"II", 42, 8 + len(pixels))
    return head + pixels + struct.pack("<H", len(tags)) + entries + bytes(4)


def described(syntax, pixels, rows=16, columns=16):
    dataset = Dataset()
    dataset.SOPClassUID, dataset.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.7", "2.25.1"
    dataset.Rows, dataset.Columns, dataset.SamplesPerPixel = rows, columns, 1
    dataset.PhotometricInterpretation, dataset.PixelRepresentation = "MONOCHROME2", 0
    dataset.BitsAllocated = dataset.BitsStored = 8
    dataset.HighBit = 7
    dataset.add_new("PixelData", "OB", pixels)
    dataset["PixelData"].is_undefined_length = syntax.is_encapsulated
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = syntax
    stream = io.BytesIO()
    dataset.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def jpeg(side):
    stream = io.BytesIO()
    Image.new("L", (side, side)).save(stream, "JPEG")
    return stream.getvalue()


def run_lengths():
    """A frame of one segment, whose runs stand for 64 times as many bytes as it has."""
    return struct.pack("<16I", 1, 64, *[0] * 14) + b"\x81\0" * 2**20


def deflated_zeros(wbits, mebibytes=128):
    stream, block = zlib.compressobj(9, zlib.DEFLATED, wbits), bytes(2**20)
    return b"".join(stream.compress(block) for _ in range(mebibytes)) + stream.flush()


def deflated_dicom():
    """A valid object that holds a private element of 257 MiB."""
    content = described(DeflatedExplicitVRLittleEndian, bytes(256))
    meta = pydicom.dcmread(io.BytesIO(content)).file_meta
    head = 128 + 4 + 12 + meta.FileMetaInformationGroupLength
    plain = zlib.decompress(content[head:], -zlib.MAX_WBITS)
    element = struct.pack("<HH2sHI", 0x7FE1, 0x1010, b"OB", 0, 257 * 2**20)
    stream, block = zlib.compressobj(6, zlib.DEFLATED, -zlib.MAX_WBITS), bytes(2**20)
    return b"".join([
        content[:head], stream.compress(plain + element), *(stream.compress(block) for _ in range(257)),
        stream.flush(),
    ])  # fmt: skip


BOMBS = {
    "png that states 100,000 a side": (lambda: png(100_000, 100_000), "above the limit of 268,435,456 samples"),
    "png of a wide RGB": (lambda: png(20_000, 5_000, colour=2), "20000 x 5000 pixels .channels 3, frames 1., above"),
    "png with a text that inflates to 128 MiB": (
        lambda: png(16, 16, chunk(b"iTXt", b"a\0\1\0\0\0" + deflated_zeros(zlib.MAX_WBITS))),
        "cannot be decoded",
    ),
    "webp": (lambda: webp(16_777_216, 255), "16777216 x 255 pixels"),
    "tiff with tiles larger than it": (lambda: tiff_with_tiles(2**20), "1048576 x 1048576 pixels"),
    "deflated dicom": (
        deflated_dicom,
        "inflates to more than the limit of 268,435,456 bytes. Store it uncompressed",
    ),
    "dicom that states a large picture": (
        lambda: described(pydicom.uid.ExplicitVRLittleEndian, bytes(256), 65535, 65535),
        "65535 x 65535 pixels",
    ),
    "dicom with a larger jpeg in it": (
        lambda: described(JPEGBaseline8Bit, encapsulate([jpeg(8_000)])),
        "they state 8000 x 8000 of 1 samples, above the 16 x 16 of 1 of the header",
    ),
    "dicom of run lengths": (
        lambda: described(RLELossless, encapsulate([run_lengths()])),
        "run lengths that stand for more than the 256 bytes",
    ),
}


@pytest.fixture(scope="module")
def bombs(tmp_path_factory):
    """How each bomb was refused, and by how many MiB the process that read it grew."""
    folder = tmp_path_factory.mktemp("bombs")
    for name, (made, _) in BOMBS.items():
        (folder / name).write_bytes(made())
        assert (folder / name).stat().st_size < 4 * 2**20, "a bomb weighs little"
    command = [sys.executable, "-c", READ, str(folder)]
    lines = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True).stdout.splitlines()
    return folder, {name: (said, grown) for name, said, grown in map(json.loads, lines)}


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_refused_in_a_sentence_before_memory_is_taken_for_it(name, bombs):
    said, grown = bombs[1][name]
    assert re.search(BOMBS[name][1], said)
    assert grown < 100


def test_the_header_of_a_corpus_is_inflated_within_the_limit_too(bombs):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(InputError, match="inflates to more than the limit"):
        read_tree_header(bombs[0] / "deflated dicom")
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024 < 100


def test_a_deflated_object_below_the_limit_is_read_as_the_library_reads_it():
    path = Path(get_testdata_file("image_dfl.dcm"))
    library = pydicom.dcmread(path)
    with path.open("rb") as file:
        ours = dicom_bounds.read_bounded(file)
    assert ours == library
    assert ours.file_meta == library.file_meta
    assert np.array_equal(ours.pixel_array, library.pixel_array)
    with path.open("rb") as file:
        assert "PixelData" not in dicom_bounds.read_bounded(file, stop_before_pixels=True)


def test_a_picture_of_the_limit_is_taken_and_one_sample_more_is_not(monkeypatch):
    stream = io.BytesIO()
    Image.new("RGB", (20, 10)).save(stream, "PNG")
    monkeypatch.setattr(bounds, "LARGEST_PICTURE", 600)
    assert decode_image(stream.getvalue()).size == (20, 10)
    monkeypatch.setattr(bounds, "LARGEST_PICTURE", 599)
    with pytest.raises(InputError, match="is 20 x 10 pixels"):
        decode_image(stream.getvalue())


def test_postscript_under_another_name_starts_no_other_program(monkeypatch):
    def started(*_, **__):
        raise AssertionError("a program was started")

    monkeypatch.setattr(subprocess, "Popen", started)
    content = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n%%EOF\n"
    for read in (decode_image, decode):
        with pytest.raises(InputError, match="it is none of BMP, GIF, JPEG"):
            read(content)


def test_a_frame_may_be_as_large_as_its_header_says():
    assert read_dicom(described(JPEGBaseline8Bit, encapsulate([jpeg(16)]))).shape == (16, 16)
