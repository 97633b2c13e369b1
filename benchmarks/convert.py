"""Peak memory and time of converting a checkpoint of the published sizes, and of loading what came out.

    python -m benchmarks.convert --out convert.json --scratch /big/disk

The source is synthetic: the official names and shapes with random values, written to disk in pieces, so that nothing
holds it whole. Converting and loading run in processes of their own, whose peak resident memory (pages of mapped files
included) the system reports. Needs about 30 GB of disk below `--scratch`, which are freed at the end.
"""

from __future__ import annotations

import json
import resource
import shutil
import struct
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers

from benchmarks.context import ROOT, context, deliver, parser
from medim_forge.model import checkpoint
from medim_forge.model.config import medim
from medim_forge.model.convert import Request, convert
from medim_forge.model.convert.text import ADDED, SPECIALS
from medim_forge.model.network import Backbone, Vqgan

BLOCK = 1 << 24


def main() -> None:
    """The figures are printed or in the file."""
    given = options()
    if given.step:
        print(json.dumps(STEPS[given.step](given.scratch, given.load_dtype)))
        return
    given.scratch.mkdir(parents=True, exist_ok=True)
    try:
        started = time.perf_counter()
        written = write_sources(given.scratch)
        result = {
            "benchmark": "convert",
            **context("cpu"),
            "source_bytes": written,
            "seconds_to_write_the_source": round(time.perf_counter() - started, 1),
            "convert": in_own_process("convert", given),
            "load": in_own_process("load", given),
        }
    finally:
        shutil.rmtree(given.scratch, ignore_errors=True)
    deliver(result, given.out)


def options() -> Any:
    """What the command line says."""
    made = parser(__doc__)
    made.add_argument("--scratch", type=Path, default=ROOT / "out" / "convert_benchmark", help="a new folder")
    made.add_argument("--load-dtype", choices=("bfloat16", "float32"), default="bfloat16")
    made.add_argument("--step", choices=("convert", "load"), help="one step, in this process")
    return made.parse_args()


def in_own_process(step: str, given: Any) -> dict[str, Any]:
    """What a step reports that ran alone."""
    command = [sys.executable, "-m", "benchmarks.convert", "--step", step, "--scratch", str(given.scratch)]
    done = subprocess.run(  # noqa: S603 - our own command
        [*command, "--load-dtype", given.load_dtype], cwd=ROOT, capture_output=True, text=True, check=True
    )
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def convert_step(scratch: Path, _dtype: str) -> dict[str, Any]:
    """Convert the sources."""
    started = time.perf_counter()
    request = Request(backbone=scratch / "official", tokenizer=scratch / "tokenizer", vqgan=scratch / "vqgan.ckpt")
    convert(request, scratch / "converted")
    sizes = [path.stat().st_size for path in (scratch / "converted").iterdir()]
    return {**measured(started), "converted_bytes": sum(sizes), "files": len(sizes)}


def load_step(scratch: Path, dtype: str) -> dict[str, Any]:
    """Load the converted folder onto the CPU."""
    started, before = time.perf_counter(), peak_gb()
    loaded = checkpoint.load(scratch / "converted", dtype=getattr(torch, dtype))
    parameters = [parameter for part in (loaded.backbone, *loaded.image_tokenizers) for parameter in part.parameters()]
    held = sum(parameter.numel() * parameter.element_size() for parameter in parameters) / 1e9
    return {
        **measured(started),
        "dtype": dtype,
        "peak_before_gb": before,
        "weights_gb": round(held, 3),
        "backbone_parameters": sum(parameter.numel() for parameter in loaded.backbone.parameters()),
    }


STEPS = {"convert": convert_step, "load": load_step}


def measured(started: float) -> dict[str, float]:
    """Seconds since then, and the peak of this process."""
    return {"seconds": round(time.perf_counter() - started, 1), "peak_rss_gb": peak_gb()}


def peak_gb() -> float:
    """Peak resident memory of this process, GB (Linux counts in KiB)."""
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9, 3)


def write_sources(scratch: Path) -> int:
    """Backbone, image tokenizer and report tokenizer of the published sizes lie there; bytes of the backbone."""
    sizes = medim()
    with torch.device("meta"):
        backbone = Backbone(sizes.backbone, sizes.layout.vocab)
    shapes = {f"model.{name}": tuple(tensor.shape) for name, tensor in backbone.state_dict().items()}
    (scratch / "official").mkdir()
    written = write_safetensors(scratch / "official" / "model.safetensors", shapes)
    tokenizer = Vqgan(sizes.image_tokenizers[0]).state_dict()
    image = {name: torch.randn(tensor.shape) * 0.02 for name, tensor in tokenizer.items()}
    torch.save({"state_dict": image}, scratch / "vqgan.ckpt")
    write_tokenizer(scratch / "tokenizer", sizes.layout.report_vocab)
    return written


def write_safetensors(path: Path, shapes: dict[str, tuple[int, ...]]) -> int:
    """A float32 file of these shapes with random values; its size."""
    header, end = {}, 0
    for name, shape in shapes.items():
        size = 4 * int(torch.Size(shape).numel())
        header[name] = {"dtype": "F32", "shape": list(shape), "data_offsets": [end, end + size]}
        end += size
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    block = (torch.randn(BLOCK // 4, generator=torch.Generator().manual_seed(0)) * 0.02).numpy().tobytes()
    with path.open("wb") as stream:
        stream.write(struct.pack("<Q", len(text)) + text)
        for at in range(0, end, BLOCK):
            stream.write(block[: min(BLOCK, end - at)])
    return path.stat().st_size


def write_tokenizer(folder: Path, size: int) -> None:
    """A tokenizer with as many ids as the published one: bytes, and words that nobody writes."""
    folder.mkdir()
    pieces = [*SPECIALS, *(f"<0x{byte:02X}>" for byte in range(256))]
    pieces += [f"word{number}" for number in range(size - len(ADDED) - len(pieces))]
    made = Tokenizer(
        models.BPE(vocab={piece: number for number, piece in enumerate(pieces)}, merges=[], byte_fallback=True)
    )
    made.normalizer = normalizers.Replace(" ", "▁")
    made.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    made.add_special_tokens([AddedToken(token, normalized=False, special=True) for token in (*SPECIALS, *ADDED)])
    made.save(str(folder / "tokenizer.json"))


if __name__ == "__main__":
    main()
