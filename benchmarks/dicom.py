"""DICOM objects per second of one core: images by transfer syntax and size, reports, and whole shards on disk.

    python -m benchmarks.dicom --out dicom.json

Seconds are CPU seconds of this process, so that other work on the machine does not count; settings take turns, and the
median of the rounds is given. Pictures are phantoms enlarged, with noise of two levels, which compress about as far as
radiographs do.
"""

from __future__ import annotations

import io
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from PIL import Image

from benchmarks.context import context, deliver, parser
from medim_forge.generator.dataset.provenance import Provenance, provenance_of
from medim_forge.generator.jobspec import DicomSection
from medim_forge.generator.jobspec.load import parse_spec
from medim_forge.generator.phantoms import DOMAINS, OPENING, draw
from medim_forge.generator.records import Domain, Judged, Pair, PairRequest, Prompt, ReplicaFacts, Shard, Verdict
from medim_forge.generator.similarity import sign
from medim_forge.generator.writers.dicom.encode import TRANSFER_SYNTAXES, encode_dicom
from medim_forge.generator.writers.dicom.image import image_dataset
from medim_forge.generator.writers.dicom.report import report_dataset
from medim_forge.generator.writers.dicom.writer import DicomWriter
from medim_forge.generator.writers.uids import pair_uids

SIZES = (96, 256, 512)
PAIRS = 24
ROUNDS = 5
ARCHIVES = (None, "zip", "tar")


def make_provenance() -> Provenance:
    """That of a joint job of the embedded checkpoint."""
    values = {
        "kind": "generate",
        "name": "benchmark",
        "date": "2026-11-23",
        "task": "joint",
        "prompts": [{"domain": domain, "pairs": 1} for domain in DOMAINS],
        "output": {"dir": "out"},
    }
    facts = ReplicaFacts(model_sha256="ab" * 32, device="cpu", versions={}, training_data_terms=("None.",))
    return provenance_of(parse_spec(values, source="benchmark"), facts)


def make_pair(index: int, domain: Domain, size: int) -> Pair:
    """A phantom of this size."""
    phantom = draw(domain, index)
    rng = np.random.default_rng(index)
    grown = np.asarray(Image.fromarray(phantom.image).resize((size, size), Image.Resampling.BICUBIC))
    noisy = grown + rng.normal(0.0, 2.0, grown.shape)
    prompt = Prompt(domain=domain, text=OPENING[domain])
    return Pair(
        request=PairRequest(pair_id=f"00000000-{index:07d}", pair_index=index, seed=index, prompt=prompt),
        image=noisy.round().clip(0, 255).astype(np.uint8),
        image_codes=np.zeros(1, np.int32),
        report=phantom.report,
        prompt_chars=len(OPENING[domain]),
        report_logprob=-1.0,
        image_logprob=-1.0,
        agreement=0.0,
        embedding=np.zeros(1, np.float16),
    )


def per_second(work: dict[str, Callable[[], Any]]) -> dict[str, float]:
    """How often each piece of work is done in a CPU second, `PAIRS` times a call; all take turns."""
    for one in work.values():
        one()
    seconds: dict[str, list[float]] = {name: [] for name in work}
    for _ in range(ROUNDS):
        for name, one in work.items():
            started = time.process_time()
            one()
            seconds[name].append(time.process_time() - started)
    return {name: round(PAIRS / statistics.median(found), 1) for name, found in seconds.items()}


def image_work(provenance: Provenance, pairs: list[Pair], syntax: str) -> Callable[[], int]:
    """Makes the image objects of the pairs; the bytes they have together."""
    section, uid = DicomSection(), TRANSFER_SYNTAXES[syntax]

    def work() -> int:
        return sum(
            len(encode_dicom(image_dataset(provenance, pair, pair_uids(provenance, pair), section), uid))
            for pair in pairs
        )

    return work


def report_work(provenance: Provenance, pairs: list[Pair]) -> Callable[[], int]:
    """Makes the report objects of the pairs."""
    known = [(pair, pair_uids(provenance, pair)) for pair in pairs]
    images = [image_dataset(provenance, pair, uids, DicomSection()) for pair, uids in known]

    def work() -> int:
        return sum(
            len(encode_dicom(report_dataset(provenance, pair, uids, image)))
            for (pair, uids), image in zip(known, images, strict=True)
        )

    return work


def shard_work(provenance: Provenance, pairs: list[Pair], archive: Any) -> Callable[[], None]:
    """Writes a shard of the pairs, image and report of each."""
    writer = DicomWriter(provenance, DicomSection(archive=archive))
    verdict = Verdict(kept=True, reasons=(), scores={})
    judged = [Judged(pair=pair, verdict=verdict, signature=sign(pair)) for pair in pairs]
    shard = Shard(index=0, task="joint", requests=tuple(pair.request for pair in pairs))

    def work() -> None:
        with tempfile.TemporaryDirectory() as folder:
            writer.write(Path(folder), shard, judged, [])

    return work


def main() -> None:
    """Measure and deliver."""
    arguments = parser(__doc__).parse_args()
    provenance = make_provenance()
    images: dict[str, Callable[[], int]] = {}
    others: dict[str, Callable[[], Any]] = {}
    ratios = {}
    for domain in DOMAINS:
        for size in SIZES:
            pairs = [make_pair(index, domain, size) for index in range(PAIRS)]
            raw = sum(pair.image.nbytes for pair in pairs)
            for syntax in TRANSFER_SYNTAXES:
                name = f"{domain} {size} {syntax}"
                images[name] = image_work(provenance, pairs, syntax)
                ratios[name] = round(raw / images[name](), 2)
        small = [make_pair(index, domain, SIZES[0]) for index in range(PAIRS)]
        others[f"{domain} report"] = report_work(provenance, small)
        for archive in ARCHIVES:
            others[f"{domain} pair on disk, {archive or 'files'}"] = shard_work(provenance, small, archive)
    check(provenance)
    result = {
        "benchmark": "dicom",
        **context("cpu"),
        "unit": "per CPU second of one core",
        "pairs": PAIRS,
        "rounds": ROUNDS,
        "image_objects": per_second(images),
        "bytes_of_pixels_per_byte_of_file": ratios,
        "other": per_second(others),
    }
    deliver(result, arguments.out)


def check(provenance: Provenance) -> None:
    """What is measured is right: every syntax gives the pixels back."""
    pair = make_pair(0, "pathology", SIZES[1])
    for syntax in TRANSFER_SYNTAXES:
        files = DicomWriter(provenance, DicomSection(transfer_syntax=syntax)).objects(pair)
        pixels = pydicom.dcmread(io.BytesIO(files["image.dcm"])).pixel_array
        if not np.array_equal(pixels, pair.image):
            raise SystemExit(f"{syntax} does not give the pixels back")


if __name__ == "__main__":
    main()
