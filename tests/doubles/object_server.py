"""A real server of the S3 protocol in a process of its own, and a relay before it that can fail in real ways."""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from medim_forge.generator.store.s3 import ObjectStore
from medim_forge.generator.store.s3_client import ObjectClient

BUCKET = "medim-tests"
KEYS = {"AWS_ACCESS_KEY_ID": "tests", "AWS_SECRET_ACCESS_KEY": "tests", "AWS_DEFAULT_REGION": "us-east-1"}
# So that nothing of the machine's own accounts can take part.
NO_OTHERS = {
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
}


@contextlib.contextmanager
def s3_server(**environment: str) -> Iterator[int]:
    """Inside, an S3 server listens on the port."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
    clean = {key: value for key, value in os.environ.items() if not key.startswith("AWS_")}
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with subprocess.Popen(
        command, env={**clean, **environment}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        try:
            end = time.monotonic() + 30
            while process.poll() is None:
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                    break
                assert time.monotonic() < end, "the server did not start"
                time.sleep(0.05)
            assert process.poll() is None, "the server ended"
            yield port
        finally:
            process.terminate()


@contextlib.contextmanager
def bucket() -> Iterator[str]:
    """Inside, `s3://` of this process is a server of its own with one empty bucket, whose address this is."""
    with s3_server() as port:
        ours = {**KEYS, **NO_OTHERS, "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}"}
        before = {name: os.environ.get(name) for name in ours}
        os.environ.update(ours)
        try:
            import fsspec

            fsspec.filesystem("s3", skip_instance_cache=True).mkdir(BUCKET)
            yield f"s3://{BUCKET}"
        finally:
            for name, value in before.items():
                os.environ.pop(name) if value is None else os.environ.update({name: value})


class Relay:
    """Passes bytes between clients and the server until it is told to do worse.

    Attributes:
        port: where clients connect; the same after an outage.
        lose_answer_to: a client whose request holds this loses its connection when the server has answered.
        lost: how often that happened.
        refusing: whether new connections are reset as soon as they are made.
        refused: how often that happened.
        replace: bytes of requests and what the server gets instead, of the same length.
    """

    def __init__(self, server: int) -> None:
        self._server = server
        self._sockets: set[socket.socket] = set()
        self.lose_answer_to = b""
        self.lost = 0
        self.refusing = False
        self.refused = 0
        self.replace: dict[bytes, bytes] = {}
        self.port = 0
        self.start()

    def start(self) -> None:
        """Clients are answered from now on."""
        self._listener = socket.create_server(("127.0.0.1", self.port))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def kill(self) -> None:
        """Every connection is reset, and new ones are refused."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for one in list(self._sockets):
            self._reset(one)

    def fail_until(self, met: Callable[[], object], seconds: float, *, kill: bool = True) -> None:
        """Nobody is there until somebody has met that, and so many seconds more; or all are reset, without `kill`."""

        def come_back() -> None:
            end = time.monotonic() + 60
            while not met() and time.monotonic() < end:
                time.sleep(0.02)
            time.sleep(seconds)
            if kill:
                self.start()
            self.refusing = False

        if kill:
            self.kill()
        self.refusing = not kill
        threading.Thread(target=come_back, daemon=True).start()

    def _accept(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = listener.accept()
                if self.refusing:
                    self.refused += 1
                    self._reset(client)
                    continue
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, socket.create_connection(("127.0.0.1", self._server)) as server:
            self._sockets |= {client, server}
            doomed = threading.Event()
            asking = threading.Thread(target=self._requests, args=(client, server, doomed), daemon=True)
            asking.start()
            self._answers(client, server, doomed)
            asking.join()
            self._sockets -= {client, server}

    def _requests(self, client: socket.socket, server: socket.socket, doomed: threading.Event) -> None:
        with contextlib.suppress(OSError):
            while data := client.recv(2**16):
                for old, new in self.replace.items():
                    data = data.replace(old, new)
                if self.lose_answer_to and self.lose_answer_to in data:
                    doomed.set()
                server.sendall(data)
            server.shutdown(socket.SHUT_WR)

    def _answers(self, client: socket.socket, server: socket.socket, doomed: threading.Event) -> None:
        with contextlib.suppress(OSError):
            while data := server.recv(2**16):
                if doomed.is_set() and not data.startswith(b"HTTP/1.1 100"):
                    self.lose_answer_to = b""
                    self.lost += 1
                    self._reset(client)
                    return
                client.sendall(data)
            client.shutdown(socket.SHUT_WR)

    @staticmethod
    def _reset(one: socket.socket) -> None:
        with contextlib.suppress(OSError):
            one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            one.shutdown(socket.SHUT_RDWR)
        one.close()


def keys_below(url: str, place: str = "shards") -> list[str]:
    """Every object below a place of a dataset, whoever it belongs to."""
    return ObjectClient(url).walk(place)


def copied(url: str, folder: Path) -> Path:
    """The folder holds the dataset as a local run would have left it."""
    store = ObjectStore(url)
    top = [name for name in ObjectClient(url).names("") if "." in name or name == "_SUCCESS"]
    folders = ("data", "shards", "rounds", "restored")
    for name in [*top, *(name for folder_name in folders for name in store.files(folder_name))]:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(store.read(name))
    return folder
