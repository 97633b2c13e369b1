"""Which files a place names, and their digests. A place is a file, a folder, or a path with wildcards."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

from medim_forge.generator.errors import InputError
from medim_forge.generator.tracing import why, wordless

# What the images of a place are: pictures, DICOM, or a mixture in which every file is looked at.
ImageKind = Literal["images", "dicom", "either"]

# What a folder of pictures is searched for. DICOM files need no suffix, so a folder of them is taken whole.
PICTURES = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")
_DICOM = (".dcm", ".dicom")
# The index of a DICOM medium lies beside the images and is none.
_INDEX = "DICOMDIR"
_MAGIC, _PREAMBLE = b"DICM", 128  # bytes of the preamble before it (PS3.10)


@dataclass(frozen=True, kw_only=True)
class ImageFiles:
    """The files of a place that holds images.

    Attributes:
        images: sorted by path.
        left_out: files that are neither images nor the reports beside them, sorted by path.
    """

    images: tuple[Path, ...]
    left_out: tuple[Path, ...] = ()


def find_tables(place: str) -> tuple[Path, ...]:
    """The Parquet files of a place, sorted: of a folder `*.parquet`; a file or wildcards are taken at their word."""
    given = Path(place)
    if given.is_file():
        return (given,)
    return tuple(sorted(_shown(given.glob("*.parquet")) if given.is_dir() else _matching(given)))


def find_images(place: str, kind: ImageKind, *, fresh: bool = False) -> ImageFiles:
    """The images of a place. A folder is searched with all folders below it; what is hidden is passed over.

    Args:
        place: a file, a folder or a path with wildcards.
        kind: of the images.
        fresh: look again; else what was found before serves, because shards are read one after the other.

    Raises:
        InputError: a file cannot be read, so whether it is DICOM is not known.
    """
    if fresh:
        _found.cache_clear()
    return _found(place, kind)


def report_file(image: Path) -> Path:
    """Where the report of an image lies: `name.txt` beside `name.png`."""
    return image.with_suffix(".txt")


def is_dicom(path: Path) -> bool:
    """Whether a file is DICOM by its suffix or by what stands behind its preamble.

    Raises:
        InputError: it cannot be read.
    """
    if path.suffix.lower() in _DICOM:
        return True
    if path.suffix.lower() in PICTURES:
        return False
    try:
        with path.open("rb") as file:
            return file.read(_PREAMBLE + len(_MAGIC))[_PREAMBLE:] == _MAGIC
    except OSError as error:
        raise InputError(
            f"a file cannot be read ({why(error)}), so whether it is DICOM is not known. Mend it, or take it away."
        ) from wordless(error)


def _shown(paths: Iterable[Path]) -> Iterator[Path]:
    """Those whose names are not hidden: what systems leave beside files is none of them."""
    return (path for path in paths if not path.name.startswith("."))


def _matching(pattern: Path) -> Iterator[Path]:
    """The files that a path with wildcards names; the working directory is where a relative one starts.

    Raises:
        InputError: it would search everything there is, or cannot be searched.
    """
    anchor = Path(pattern.anchor)
    relative = pattern.relative_to(anchor) if pattern.anchor else pattern
    if pattern.anchor and relative.parts and "**" in relative.parts[0]:
        raise InputError("** right below the root would search the whole disk. Name a folder before it.")
    try:
        found = [path for path in anchor.glob("/".join(map(_searched, relative.parts))) if path.is_file()]
    except OSError as error:
        raise InputError(f"cannot be searched ({why(error)}). Give a file, folder or glob.") from wordless(error)
    except (ValueError, NotImplementedError) as error:
        raise InputError("is no path with wildcards. Give a file, folder or glob.") from error
    return iter(found) if pattern.name.startswith(".") else _shown(found)


def _searched(part: str) -> str:
    """A part of a pattern as the library takes it: `**.png` means `*.png` in all folders below."""
    if "**" not in part or not part.strip("*"):
        return part
    return f"**/*{part.lstrip('*')}" if part.startswith("**") else part.replace("**", "*")


@lru_cache(maxsize=4)
def _found(place: str, kind: ImageKind) -> ImageFiles:
    """What `find_images` gives, kept for the next shard."""
    given = Path(place)
    if given.is_file():
        return ImageFiles(images=(given,))
    if given.anchor and len(given.parts) == 1:
        raise InputError("is the root: the whole disk would be searched. Name a folder.")
    files = sorted(_below(given) if given.is_dir() else _matching(given))
    if kind == "either":
        images = [path for path in files if path.suffix.lower() in PICTURES or is_dicom(path)]
    elif kind == "images" and given.is_dir():
        images = [path for path in files if path.suffix.lower() in PICTURES]
    else:
        images = files
    known = {*images, *map(report_file, images)}
    return ImageFiles(images=tuple(images), left_out=tuple(path for path in files if path not in known))


def _below(folder: Path) -> Iterator[Path]:
    """The files of a folder and of those below it, but for what is hidden and for the index of a medium."""
    for path in folder.rglob("*"):
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if not hidden and path.name != _INDEX and path.is_file():
            yield path
