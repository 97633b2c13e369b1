"""An Orthanc of our own on this machine: its own folder, free ports, and no sender but this machine."""

from __future__ import annotations

import contextlib
import email
import email.policy
import json
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

DICOMWEB_PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
SENDER = "MEDIM"
_SECONDS = 30
# Requests stay on this machine, whatever proxy the environment names.
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@dataclass(frozen=True, kw_only=True)
class Pacs:
    """A running Orthanc.

    Attributes:
        web: its port for HTTP.
        dicom: its port for C-STORE.
    """

    web: int
    dicom: int

    def get(self, path: str, accept: str = "application/json") -> tuple[bytes, str]:
        """Body and content type of an answer."""
        request = urllib.request.Request(f"http://127.0.0.1:{self.web}{path}", headers={"Accept": accept})
        with _OPENER.open(request, timeout=_SECONDS) as answer:
            return answer.read(), answer.headers["Content-Type"]

    def query(self, path: str) -> list[dict[str, Any]]:
        """QIDO-RS: the matches, DICOM JSON."""
        found: list[dict[str, Any]] = json.loads(self.get(f"/dicom-web/{path}")[0])
        return found

    def retrieve(self, path: str) -> list[bytes]:
        """WADO-RS: the DICOM files of a study, series or instance, in the transfer syntax they were sent in."""
        accept = 'multipart/related; type="application/dicom"; transfer-syntax=*'
        body, kind = self.get(f"/dicom-web/{path}", accept)
        message = email.message_from_bytes(
            b"Content-Type: " + kind.encode() + b"\r\n\r\n" + body, policy=email.policy.HTTP
        )
        return [part.get_payload(decode=True) for part in message.iter_parts()]


@contextlib.contextmanager
def running(folder: Path) -> Iterator[Pacs]:
    """An Orthanc that keeps everything below `folder`, and is gone afterwards."""
    pacs = Pacs(web=_free_port(), dicom=_free_port())
    settings = {
        "Name": "tests",
        "StorageDirectory": str(folder / "storage"),
        "IndexDirectory": str(folder / "storage"),
        "HttpPort": pacs.web,
        "DicomPort": pacs.dicom,
        "DicomAet": "ORTHANC",
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False,
        "DicomAlwaysAllowStore": False,
        "DicomCheckModalityHost": True,
        "DicomModalities": {"sender": [SENDER, "127.0.0.1", 1]},
        "Plugins": [str(DICOMWEB_PLUGIN)],
        "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
    }
    config = folder / "orthanc.json"
    config.write_text(json.dumps(settings), encoding="utf-8")
    log = folder / "orthanc.log"
    with log.open("wb") as stream:
        process = subprocess.Popen(["Orthanc", str(config)], stdout=stream, stderr=stream, cwd=folder)
        try:
            _wait(pacs, process, log)
            yield pacs
        finally:
            process.terminate()
            try:
                process.wait(timeout=_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait(pacs: Pacs, process: subprocess.Popen[bytes], log: Path) -> None:
    """It answers, plugin included."""
    until = time.monotonic() + _SECONDS
    while True:
        try:
            assert "dicom-web" in json.loads(pacs.get("/plugins")[0])
            return
        except (urllib.error.URLError, ConnectionError, AssertionError) as error:
            if process.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"Orthanc did not start:\n{log.read_text()[-4000:]}") from error
            time.sleep(0.2)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
