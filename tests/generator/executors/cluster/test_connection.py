"""A Ray that is not there, and addresses that are none, are told at once. No Ray is started."""

from __future__ import annotations

import socket
import time

import pytest

from medim_forge.generator.errors import ResourceError
from medim_forge.generator.executors.cluster import connection

# Ray's client goes on trying in its own thread for a while.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")


def refusal(monkeypatch, address: str) -> str:
    monkeypatch.setenv("RAY_ADDRESS", address)
    with pytest.raises(ResourceError) as caught, connection.connected():
        pass
    return str(caught.value)


def test_together_the_waits_are_less_than_a_minute():
    assert connection.CONNECT_S + connection.ANSWER_S <= 45


def test_a_port_where_nobody_listens_is_named(monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    said = refusal(monkeypatch, f"127.0.0.1:{port}")
    assert said.startswith(f"RAY_ADDRESS = '127.0.0.1:{port}': no Ray answers there (")
    assert said.endswith("Connection refused). Start it, or unset it.")


def test_a_port_that_takes_connections_and_never_answers_is_named(monkeypatch):
    monkeypatch.setattr(connection, "ANSWER_S", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as server:
        began = time.monotonic()
        said = refusal(monkeypatch, f"127.0.0.1:{server.getsockname()[1]}")
        assert time.monotonic() - began < 20, "Ray itself would try for 40 s and more"
    assert "it took the connection and said nothing for" in said


def test_an_address_that_no_packet_reaches_is_named(monkeypatch):
    def unroutable(address: tuple[str, int], timeout: float) -> socket.socket:
        # What the kernel says after the time-out; the sandbox of a test may route such addresses somewhere.
        assert timeout == connection.CONNECT_S
        raise TimeoutError("timed out")

    monkeypatch.setattr(socket, "create_connection", unroutable)
    assert "no Ray answers there (timed out)" in refusal(monkeypatch, "10.255.255.1:6379")


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("ray://10.0.0.1:10001", "RAY_ADDRESS begins with ray://, where jobs need host:port"),
        ("http://127.0.0.1:8265", "submit the job with `ray job submit`"),
        ("https://user:geheim@10.0.0.1/", "RAY_ADDRESS begins with https://"),
        ("somewhere", "is not host:port"),
        ("host:99999", "is not host:port"),
        ("host:", "is not host:port"),
    ],
)
def test_an_address_that_is_none_is_one_sentence(monkeypatch, address, said):
    text = refusal(monkeypatch, address)
    assert said in text
    assert "geheim" not in text
