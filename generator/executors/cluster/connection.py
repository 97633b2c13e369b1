"""The Ray that a job runs on: the one this process is in, the one of RAY_ADDRESS, or a private one."""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterator

import ray

from medim_forge.generator.errors import ResourceError

# Shards travel to actors as prompts and come back as counts, so the object store holds next to nothing.
OBJECT_STORE_BYTES = 100 * 2**20


@contextlib.contextmanager
def connected() -> Iterator[bool]:
    """Inside, this process is connected to a Ray; what is given says whether that is a private one.

    The Ray is the one that this process is in already, or the one at RAY_ADDRESS, or a private one, which ends with the
    context. A private Ray has its own short folder (socket paths are limited to 107 bytes) and its own random token, so
    that neither other users of the machine nor the network can run code in it, and no token file is left in the home
    folder.

    Raises:
        ResourceError: no Ray answers at RAY_ADDRESS.
    """
    if ray.is_initialized():
        yield False
        return
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    address = os.environ.get("RAY_ADDRESS") or "local"
    if address != "local":
        try:
            ray.init(address=address, log_to_driver=False, logging_level=logging.WARNING)
        except (ConnectionError, RuntimeError) as error:
            fault = f"RAY_ADDRESS = {address!r}: no Ray answers there ({error}). Start it, or unset it."
            raise ResourceError(fault) from error
        try:
            yield False
        finally:
            ray.shutdown()
        return
    os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
    parent = tempfile.gettempdir()
    folder = tempfile.mkdtemp(prefix="medim-", dir=parent if len(parent) <= 24 else "/tmp")  # noqa: S108 - see above
    try:
        ray.init(
            address="local",
            include_dashboard=False,
            log_to_driver=False,
            logging_level=logging.ERROR,
            object_store_memory=OBJECT_STORE_BYTES,
            _temp_dir=folder,
        )
        yield True
    finally:
        ray.shutdown()
        shutil.rmtree(folder, ignore_errors=True)


def counted(count: Callable[[], dict[str, float]]) -> dict[str, float]:
    """What one of Ray's counting functions counts; they have no types of their own."""
    return count()
