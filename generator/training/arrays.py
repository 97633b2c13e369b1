"""Arrays that are made once and read back: drawn images, encoded pairs."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medim_forge.generator.errors import StoreError
from medim_forge.generator.training.placing import sync, written


def place_arrays(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """The file holds the arrays, whole and on disk, or is not there.

    Args:
        path: ends with `.npz`; its folder is made.
        arrays: by name.

    Raises:
        StoreError: there is no space, or the folder cannot be written.
    """
    part = path.with_name(f"{path.stem}.part.npz")
    with written(part, "Nothing else is changed."):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            np.savez(part, allow_pickle=False, **arrays)
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
        sync(path.parent)


def read_arrays(path: Path, names: tuple[str, ...]) -> dict[str, NDArray[Any]]:
    """The arrays of a file that `place_arrays` wrote; every byte of them is compared with its checksum.

    Raises:
        StoreError: it is damaged, or lacks one.
    """
    try:
        with path.open("rb") as file, np.load(file) as stored:
            return {name: stored[name] for name in names}
    except (OSError, ValueError, KeyError, EOFError, NotImplementedError, zipfile.BadZipFile, zlib.error) as error:
        mend = "Delete it: the next run makes it again."
        raise StoreError(f"{path}: is damaged ({type(error).__name__}). {mend}") from error
