"""An object read as a file: what Parquet and DICOM readers ask for, fetched in ranges."""

from __future__ import annotations

import io
from typing import Any

from medim_forge.generator.store.s3_client import ObjectClient

# Smaller objects are fetched whole: a shard's tables take one request instead of dozens.
WHOLE_BYTES = 8 * 2**20
_AHEAD_BYTES = 2**20


class ObjectFile(io.RawIOBase):
    """An object, opened for reading. A copy in another process reads for itself.

    Args:
        client: of the store.
        key: of the object.
        size: of the object in bytes.
    """

    def __init__(self, client: ObjectClient, key: str, size: int) -> None:
        super().__init__()
        self._client, self._key, self._size = client, key, size
        self._at = self._start = 0
        self._block = b""

    def __str__(self) -> str:
        return f"{self._client.url}/{self._key}"

    def __reduce__(self) -> tuple[type[ObjectFile], tuple[ObjectClient, str, int]]:
        return ObjectFile, (self._client, self._key, self._size)

    def readable(self) -> bool:
        """It can be read."""
        return True

    def seekable(self) -> bool:
        """Reads may start anywhere."""
        return True

    def tell(self) -> int:
        """Where the next read starts."""
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """The next read starts there."""
        self._at = max(0, offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence])
        return self._at

    def load(self) -> ObjectFile:
        """The same file; a small one is here already."""
        if self._size <= WHOLE_BYTES:
            self._have(0, self._size)
        return self

    def readall(self) -> bytes:
        """All from here to the end."""
        return self.read(max(0, self._size - self._at)) or b""

    def readinto(self, buffer: Any) -> int:
        """The buffer is filled, as far as there is content; how many bytes."""
        count = max(0, min(len(buffer), self._size - self._at))
        if count:
            self._have(self._at, self._at + count)
            first = self._at - self._start
            buffer[:count] = self._block[first : first + count]
            self._at += count
        return count

    def _have(self, start: int, end: int) -> None:
        """The block at hand covers these bytes.

        Raises:
            OSError: the object has become shorter meanwhile.
        """
        if self._start <= start and end <= self._start + len(self._block):
            return
        if self._size <= WHOLE_BYTES:
            start, end = 0, self._size
        end = min(self._size, max(end, start + _AHEAD_BYTES))
        self._block, self._start = self._client.get(self._key, start, end) if end > start else b"", start
        if len(self._block) != end - start:
            raise OSError(f"{self}: gave {len(self._block)} of {end - start} bytes; was it replaced meanwhile?")
