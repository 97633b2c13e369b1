"""Talks to an object store by the S3 protocol: tries again what may pass, and explains what will not."""

from __future__ import annotations

import logging
import os
import secrets
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from medim_forge.generator.errors import OutageError, StoreError
from medim_forge.generator.tracing import one_line

# An endpoint that never answered is more likely misspelt than down.
FIRST_CONTACT_S = 10.0
OUTAGE_S = 60.0
_FIRST_WAIT_S = 0.2
_LONGEST_WAIT_S = 5.0
_AT_ONCE = 16
# HTTP: timeout, conflict of two conditional puts, too many requests. Other 4xx mean the same at every trial.
_PASSING_4XX = {408, 409, 429}

_LOG = logging.getLogger(__name__)

T = TypeVar("T")
S = TypeVar("S")


class ObjectClient:
    """The objects below one prefix of a bucket. Keys are relative to the prefix; it can be sent to another process.

    Every method raises `OutageError` when the store did not answer for `OUTAGE_S`, and `StoreError` when it answers
    that it will not.

    Args:
        url: `s3://bucket/prefix`.
    """

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        self._root = self.url.removeprefix("s3://")
        self._answered = False
        self._connected: tuple[int, Any] | None = None

    def __getstate__(self) -> dict[str, Any]:
        """Without connection: every process makes its own."""
        return {**self.__dict__, "_connected": None}

    def get(self, key: str, start: int | None = None, end: int | None = None) -> bytes:
        """The content of an object, or the bytes from `start` to before `end`; FileNotFoundError if there is none."""
        return self._tried(
            lambda files: bytes(files.cat_file(self._path(key), start=start, end=end, max_concurrency=1))
        )

    def size(self, key: str) -> int:
        """Bytes of an object; FileNotFoundError if there is none."""

        def ask(files: Any) -> int:
            found = files.info(self._path(key))
            if found["type"] != "file":
                raise FileNotFoundError(self._path(key))
            return int(found["size"])

        return self._tried(ask)

    def modified(self, key: str) -> float:
        """When an object was put last, in seconds of the store's own clock; FileNotFoundError if there is none."""
        return float(self._tried(lambda files: files.info(self._path(key))["LastModified"].timestamp()))

    def put(self, key: str, content: bytes) -> None:
        """The object has this content."""
        self._tried(lambda files: files.pipe_file(self._path(key), content))

    def put_file(self, key: str, path: Path) -> None:
        """The object has the content of a local file."""
        self._tried(lambda files: files.put_file(str(path), self._path(key)))

    def create(self, key: str, content: bytes) -> bool:
        """The object exists, whole: with `content`, or (False) with what was there.

        False may also mean that an earlier trial of this very call did it and its answer was lost.
        """

        def ask(files: Any) -> bool:
            try:
                files.pipe_file(self._path(key), content, mode="create")
            except FileExistsError:
                return False
            return True

        return self._tried(ask)

    def remove(self, keys: Iterable[str]) -> None:
        """The objects are gone, if there were any."""
        for _ in self.ahead(lambda key: self._tried(lambda files: files.rm_file(self._path(key))), keys):
            pass

    def names(self, key: str) -> list[str]:
        """What is directly below: objects and common prefixes, sorted, without what comes before the last slash."""

        def ask(files: Any) -> list[str]:
            try:
                return sorted(path.rstrip("/").rpartition("/")[2] for path in files.ls(self._path(key), detail=False))
            except FileNotFoundError as error:
                if _code(error) == "NoSuchBucket":
                    raise
                return []

        return self._tried(ask)

    def walk(self, key: str) -> list[str]:
        """The keys of all objects below, sorted."""
        paths = self._tried(lambda files: sorted(files.find(self._path(key))))
        return [path.removeprefix(f"{self._root}/") for path in paths]

    def ahead(self, function: Callable[[T], S], items: Iterable[T]) -> Iterator[S]:
        """The function's results in order, some of them worked out while the caller is busy with earlier ones."""
        rest = iter(items)
        first = list(islice(rest, 2))
        if len(first) < 2:
            yield from map(function, first)
            return
        with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="medim-objects") as pool:
            waiting: deque[Future[S]] = deque(pool.submit(function, item) for item in [*first, *islice(rest, _AT_ONCE)])
            try:
                while waiting:
                    yield waiting.popleft().result()
                    waiting.extend(pool.submit(function, item) for item in islice(rest, 1))
            finally:
                for future in waiting:
                    future.cancel()

    def _path(self, key: str) -> str:
        return f"{self._root}/{key}"

    def _files(self) -> Any:
        """The file system that fsspec gives for S3; a forked process must not use that of its parent."""
        if self._connected is None or self._connected[0] != os.getpid():
            import fsspec

            # Trials are counted here and nowhere else. Listings are never cached: others write too.
            options = {"connect_timeout": 5, "read_timeout": 30, "retries": {"total_max_attempts": 1}}
            files = fsspec.filesystem("s3", use_listings_cache=False, skip_instance_cache=True, config_kwargs=options)
            files.retries = 1
            self._connected = (os.getpid(), files)
        return self._connected[1]

    def _tried(self, ask: Callable[[Any], T]) -> T:
        """The answer of the store, asked again for as long as an error may pass.

        Raises:
            FileNotFoundError: there is no such object.
            OutageError: the store did not answer for `OUTAGE_S`, or `FIRST_CONTACT_S` where it never did.
            StoreError: it refuses; says how to mend it.
        """
        started, wait = time.monotonic(), _FIRST_WAIT_S
        while True:
            try:
                answer = ask(self._files())
            except StoreError:
                raise
            except FileNotFoundError as error:
                self._answered = True
                if _code(error) != "NoSuchBucket":
                    raise
                raise StoreError(self._explained(error)) from error
            except Exception as error:
                if not _may_pass(error):
                    raise StoreError(self._explained(error)) from error
                patience = OUTAGE_S if self._answered else FIRST_CONTACT_S
                if time.monotonic() - started + wait > patience:
                    raise OutageError(
                        f"{self.url}: the object store does not answer, tried for {patience:.0f} s "
                        f"({type(error).__name__}: {error}). Check the network and AWS_ENDPOINT_URL (now "
                        f"{_endpoint()}), then run the same command: what is committed stays."
                    ) from error
                if wait == _FIRST_WAIT_S:
                    _LOG.warning("%s: no answer (%s), trying again for %.0f s", self.url, one_line(error), patience)
            else:
                if wait > _FIRST_WAIT_S:
                    _LOG.warning("%s: answers again after %.1f s", self.url, time.monotonic() - started)
                self._answered = True
                return answer
            time.sleep(wait * (0.5 + secrets.randbelow(512) / 1024))
            wait = min(2 * wait, _LONGEST_WAIT_S)

    def _explained(self, error: Exception) -> str:
        """What is wrong, where, and how to mend it."""
        from botocore import exceptions as boto

        response = _response(error)
        code, status = _code(error), _status(error)
        said = f"{code}: {response['Error'].get('Message', error)}" if code else f"{type(error).__name__}: {error}"
        bucket = self._root.partition("/")[0]
        if code == "NoSuchBucket":
            return f"{self.url}: there is no bucket {bucket} at {_endpoint()}. Create it, or correct output.dir."
        if isinstance(error, boto.NoCredentialsError | boto.PartialCredentialsError | boto.CredentialRetrievalError):
            return (
                f"{self.url}: no credentials were found for it ({said}). Set AWS_ACCESS_KEY_ID and "
                "AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, or give the machine a role; on a Ray cluster every node needs "
                "them, e.g. by env_vars of the job's runtime_env."
            )
        if status in {401, 403} or isinstance(error, PermissionError):
            return (
                f"{self.url}: access is refused by {_endpoint()} ({said}). The credentials need s3:ListBucket on "
                f"{bucket}, and s3:GetObject, PutObject, DeleteObject and AbortMultipartUpload below the prefix."
            )
        if status == 501 or code == "NotImplemented":
            return (
                f"{self.url}: {_endpoint()} lacks what commits need ({said}). Use a store that knows conditional "
                "writes (If-None-Match: * on PutObject)."
            )
        return f"{self.url}: cannot be used at {_endpoint()} ({said}). Check output.dir, the region and the endpoint."


def _may_pass(error: Exception) -> bool:
    """Whether the same request may succeed later: the store did not answer, or answered that it is busy or broken."""
    from aiohttp import ClientError as TransportError
    from botocore import exceptions as boto
    from botocore.parsers import ResponseParserError

    status = _status(error)
    if status:
        return status in _PASSING_4XX or (status >= 500 and status != 501)
    lost = (
        OSError,
        TransportError,
        boto.HTTPClientError,
        boto.ConnectionError,
        boto.ResponseStreamingError,
        boto.IncompleteReadError,
        ResponseParserError,  # rate limits and proxies may answer with what is no XML
    )
    return isinstance(error, lost)


def _response(error: BaseException) -> dict[str, Any]:
    """What the store answered, as botocore keeps it; empty where it did not answer."""
    for cause in (error, error.__cause__, error.__context__):
        found = getattr(cause, "response", None)
        if isinstance(found, dict):
            return found
    return {}


def _code(error: BaseException) -> str:
    return str(_response(error).get("Error", {}).get("Code", ""))


def _status(error: BaseException) -> int:
    return int(_response(error).get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def _endpoint() -> str:
    return os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or "AWS"
