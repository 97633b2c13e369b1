"""Writing on a file system so that it stays: whole, on disk, and with one sentence where the place takes no more."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path

from medim_forge.generator.errors import StoreError

# Errors of a disk that is full, whoever meets them: nothing that is only read raises them.
FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS})
# Errors of a folder that takes nothing more, whatever is written.
NO_ROOM = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM, errno.ENAMETOOLONG}
)


@contextlib.contextmanager
def writing(out: object, only: frozenset[int] | None = None) -> Iterator[None]:
    """What goes wrong inside is explained as a folder that cannot be written.

    Args:
        out: the dataset.
        only: numbers of the errors that mean that; None where nothing is done inside but writing.
    """
    try:
        yield
    except OSError as error:
        if only is not None and error.errno not in only:
            raise
        where = error.filename or out
        raise StoreError(
            f"{out}: cannot be written ({error.strerror}: {where}). "
            "Give a folder with space and write permission, in output.dir or with --out."
        ) from error


def write_once(path: Path, content: str, drafts: Path) -> None:
    """The file exists and is complete: with `content`, or with what was there first."""
    if path.exists():
        return
    draft = drafts / path.name
    draft.write_text(content, encoding="utf-8")
    sync(draft)
    try:
        # Unlike a rename, a link never replaces what another driver wrote meanwhile.
        path.hardlink_to(draft)
    except FileExistsError:
        pass
    except OSError as error:
        if error.errno not in {errno.EPERM, errno.EOPNOTSUPP}:
            raise
        draft.rename(path)  # a file system without hard links
    finally:
        draft.unlink(missing_ok=True)
    sync(path.parent)


def sync(path: Path) -> None:
    """The file or folder is on disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
