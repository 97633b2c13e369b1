"""The Ray that a job runs on: the one this process is in, the one of RAY_ADDRESS, or a private one."""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import socket
import threading
from collections.abc import Callable, Iterator

import ray
from ray._raylet import GcsClient  # type: ignore[attr-defined]  # compiled
from ray.exceptions import AuthenticationError, RayError

from medim_forge.generator.errors import ResourceError
from medim_forge.generator.executors.cluster.private import private_ray

# How long a port is waited for, and then how long the Ray behind it. Together with Ray's own start less than a minute.
CONNECT_S = 10.0
ANSWER_S = 30.0


@contextlib.contextmanager
def connected() -> Iterator[bool]:
    """Inside, this process is connected to a Ray; what is given says whether that is a private one.

    The Ray is the one that this process is in already, or the one at RAY_ADDRESS, or a private one, which ends with the
    context.

    Raises:
        ResourceError: no Ray answers at RAY_ADDRESS, or it refuses the token.
    """
    if ray.is_initialized():
        yield False
        return
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    address = os.environ.get("RAY_ADDRESS") or "local"
    if address == "local":
        with private_ray():
            yield True
        return
    _refuse_dead(address)
    try:
        ray.init(address=address, log_to_driver=False, logging_level=logging.WARNING)
    except (ConnectionError, RuntimeError, RayError) as error:
        raise _unanswered(address, str(error)) from error
    try:
        yield False
    finally:
        ray.shutdown()


def _refuse_dead(address: str) -> None:
    """A Ray answers at this address, and takes the token of this process.

    Ray itself would try for minutes, and ends the process where an answer does not come.

    Args:
        address: of RAY_ADDRESS; `auto` is left to Ray, which looks on this machine.

    Raises:
        ResourceError: it does not.
    """
    if address == "auto":
        return
    if "://" in address:
        kind = address.partition("://")[0]
        raise ResourceError(
            f"RAY_ADDRESS begins with {kind}://, where jobs need host:port of the Ray itself, e.g. 10.0.0.1:6379. From "
            "outside the cluster, submit the job with `ray job submit` instead."
        )
    host, _, port = address.rpartition(":")
    if not host or not port.isascii() or not port.isdigit() or not 0 < int(port) < 65536:
        raise ResourceError(f"RAY_ADDRESS = {address!r} is not host:port, e.g. 10.0.0.1:6379. Correct it, or unset it.")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=CONNECT_S).close()
    except (OSError, UnicodeError) as error:
        raise _unanswered(address, str(error)) from error
    answers: queue.Queue[Exception | None] = queue.Queue()

    def ask() -> None:
        try:
            GcsClient(address=address)
            answers.put(None)
        except Exception as error:  # noqa: BLE001 - handed over to the thread that waits
            answers.put(error)

    # A daemon, because Ray's own deadline is longer than ours and nothing else ends the call.
    threading.Thread(target=ask, name="medim-ray-address", daemon=True).start()
    try:
        found = answers.get(timeout=ANSWER_S)
    except queue.Empty:
        raise _unanswered(address, f"it took the connection and said nothing for {ANSWER_S:.0f} s") from None
    if isinstance(found, AuthenticationError):
        raise ResourceError(
            f"RAY_ADDRESS = {address!r}: that Ray refuses the token of this process. Set RAY_AUTH_MODE=token and "
            "RAY_AUTH_TOKEN (or RAY_AUTH_TOKEN_PATH) to those of the cluster."
        ) from found
    if found is not None:
        raise _unanswered(address, str(found)) from found


def _unanswered(address: str, why: str) -> ResourceError:
    said = " ".join(why.split())[:300]
    return ResourceError(f"RAY_ADDRESS = {address!r}: no Ray answers there ({said}). Start it, or unset it.")


def counted(count: Callable[[], dict[str, float]]) -> dict[str, float]:
    """What one of Ray's counting functions counts; they have no types of their own."""
    return count()
