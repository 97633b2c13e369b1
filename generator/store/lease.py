"""One command at a time on a dataset in an object store, which knows no locks: a lease, renewed while it is held.

    <prefix>/lock/000001    put only where there is none; holds who has the lease
    <prefix>/lock/000002    after that was given back, or had not been renewed for `LEASE_S`

The highest number has the lease, unless it says that it was given back; it stays, so that no number comes twice.
Whoever was taken over notices before it writes on, and stops. Between that look and the write there is a moment in
which it could be taken over: it would have to stand still for `LEASE_S` just then. Times are the store's: the clocks
of machines have no part in it.
"""

from __future__ import annotations

import contextlib
import json
import secrets
import threading
import time
from collections.abc import Iterator

from medim_forge.generator.errors import OutageError, StoreError
from medim_forge.generator.store.protocol import host_name, process_lives, process_name
from medim_forge.generator.store.s3_client import ObjectClient

LEASE_S = 120.0
_PLACE = "lock"
_POLL_S = 2.0
_GIVEN_BACK = b"{}"


class Lease:
    """The lease of one command.

    Args:
        client: of the dataset.
        command: what others are told.
    """

    def __init__(self, client: ObjectClient, command: str) -> None:
        self._client, self._lost = client, threading.Event()
        mine = {"command": command, "host": host_name(), "process": process_name(), "owner": secrets.token_hex(8)}
        self._content = json.dumps(mine).encode()
        self._number = 0

    @contextlib.contextmanager
    def held(self, *, wait: bool) -> Iterator[None]:
        """Inside, the lease is this command's, and is renewed.

        Raises:
            StoreError: another command has it, and is not waited for.
        """
        while not self._taken():
            holder = self._holder()
            if holder is not None and not wait:
                raise StoreError(
                    f"{self._client.url}: `medim {holder['command']}` on {holder['host']}, process "
                    f"{holder['process'].partition('.')[0]}, is at work on the whole dataset. Wait until it has ended, "
                    f"or, if that machine is gone, for {LEASE_S:.0f} s; then run this again."
                )
            time.sleep(_POLL_S)
        done = threading.Event()
        renewing = threading.Thread(target=self._renew, args=(done,), daemon=True)
        renewing.start()
        try:
            yield
        finally:
            done.set()
            renewing.join()
            if self._mine():
                self._client.put(f"{_PLACE}/{self._name(self._number)}", _GIVEN_BACK)

    def check(self) -> None:
        """The lease is still this command's.

        Raises:
            StoreError: it was taken over, because it was not renewed in time; nothing more may be written.
        """
        if not self._mine():
            raise StoreError(
                f"{self._client.url}: another command took the dataset over, because this one could not say for "
                f"{LEASE_S:.0f} s that it is alive. Run it again when that one has ended."
            )

    def _mine(self) -> bool:
        """Whether no later lease is there; once one was, it stays lost."""
        if self._client.names(_PLACE)[-1:] != [self._name(self._number)]:
            self._lost.set()
        return not self._lost.is_set()

    def _taken(self) -> bool:
        """Whether the lease could be taken: there is none, or the last one's holder is gone."""
        names = self._client.names(_PLACE)
        last = int(names[-1]) if names else 0
        if names and not self._stale(names[-1]):
            return False
        key = f"{_PLACE}/{self._name(last + 1)}"
        # The answer to a put that succeeded may have been lost, and its repetition refused.
        if not self._client.create(key, self._content) and not self._is_mine(key):
            return False
        self._number = last + 1
        self._client.remove(f"{_PLACE}/{name}" for name in names)
        return True

    def _is_mine(self, key: str) -> bool:
        """Whether a lease that is there was put by this command."""
        try:
            return self._client.get(key) == self._content
        except FileNotFoundError:
            return False

    def _stale(self, name: str) -> bool:
        """Whether a lease was given back, or its holder is known to be gone."""
        key = f"{_PLACE}/{name}"
        try:
            holder, renewed = json.loads(self._client.get(key)), self._client.modified(key)
        except FileNotFoundError:
            return False  # a later one took its place: looked at again
        if "host" not in holder:
            return True
        if holder["host"] == host_name() and not process_lives(holder["process"]):
            return True
        probe = f"{_PLACE}-{secrets.token_hex(4)}"
        self._client.put(probe, b"")
        now = self._client.modified(probe)
        self._client.remove([probe])
        return now - renewed > LEASE_S

    def _holder(self) -> dict[str, str] | None:
        """Who has the lease; None where nobody has it any more, or its holder is to be looked at again."""
        names = self._client.names(_PLACE)
        try:
            found: dict[str, str] = json.loads(self._client.get(f"{_PLACE}/{names[-1]}")) if names else {}
        except FileNotFoundError:
            return None
        return found if "host" in found else None

    def _renew(self, done: threading.Event) -> None:
        while not done.wait(LEASE_S / 6):
            with contextlib.suppress(OutageError):
                if not self._mine():
                    return
                self._client.put(f"{_PLACE}/{self._name(self._number)}", self._content)

    @staticmethod
    def _name(number: int) -> str:
        return f"{number:06d}"
