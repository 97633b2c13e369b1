"""Given images in files: which there are, in which order, and one of them."""

from __future__ import annotations

import io
from functools import lru_cache
from pathlib import Path

from medim_forge.generator.errors import InputError, SpecError
from medim_forge.generator.inputs.parquet import glob_files
from medim_forge.generator.jobspec.inputs import FileInputs

# What a folder of pictures is searched for. DICOM files need no suffix, so a folder of them is taken whole.
_SUFFIXES = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})
# The index of a DICOM medium lies beside the images and is none.
_INDEX = "DICOMDIR"


def image_files(inputs: FileInputs, source: str, *, fresh: bool = False) -> tuple[Path, ...]:
    """The files that the inputs name, sorted by path, as many as the job uses.

    Args:
        inputs: of the job.
        source: the job file, for errors.
        fresh: look again; else what was found before serves, because a shard reads one file after the other.

    Raises:
        SpecError: there is none.
    """
    if fresh:
        _found.cache_clear()
    found = _found(inputs.path, inputs.source == "dicom")
    if not found:
        wanted = "DICOM file" if inputs.source == "dicom" else f"image ({', '.join(sorted(_SUFFIXES))})"
        raise SpecError(f"{source}: inputs.path = {inputs.path!r} names no {wanted}. Give a file, folder or glob.")
    return found[: inputs.limit]


def read_file(inputs: FileInputs, source: str, row: int) -> bytes:
    """The encoded image (PNG, JPEG, ...) of one file, known to decode.

    Args:
        inputs: of the job.
        source: the job file, for errors.
        row: which file.

    Raises:
        InputError: it cannot be read; names the file.
    """
    files = image_files(inputs, source)
    if row >= len(files):
        raise InputError(f"row {row} is beyond {inputs.path}, which has {len(files)} files. Were files removed?")
    path = files[row]
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}). Mend the file.") from error
    if inputs.source == "images":
        return decodable(content, str(path))
    from PIL import Image

    from medim_forge.generator.inputs.dicom import read_dicom

    try:
        picture = read_dicom(content)
    except InputError as error:
        raise InputError(f"{path} {error}") from error
    stream = io.BytesIO()
    # Fast: the bytes live only until the replica reads them.
    Image.fromarray(picture).save(stream, "PNG", compress_level=1)
    return stream.getvalue()


def decodable(content: bytes, where: str) -> bytes:
    """The encoded image, known to decode.

    Raises:
        InputError: it does not; `where` leads the message.
    """
    from PIL import Image

    try:
        with Image.open(io.BytesIO(content)) as image:
            image.load()
    except Exception as error:
        raise InputError(f"{where} cannot be decoded ({type(error).__name__}: {error}). Give a PNG or JPEG.") from error
    return content


@lru_cache(maxsize=4)
def _found(path: str, dicom: bool) -> tuple[Path, ...]:
    given = Path(path)
    if given.is_file():
        return (given,)
    if not given.is_dir():
        return tuple(sorted(glob_files(given)))
    below = (one for one in given.rglob("*") if one.is_file())
    return tuple(sorted(one for one in below if _wanted(one.relative_to(given), dicom)))


def _wanted(relative: Path, dicom: bool) -> bool:
    """Whether a file of a folder is meant: nothing hidden, no index, and no other kind of file among pictures."""
    if any(part.startswith(".") for part in relative.parts):
        return False
    return relative.name != _INDEX if dicom else relative.suffix.lower() in _SUFFIXES
