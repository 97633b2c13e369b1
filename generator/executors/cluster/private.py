"""A Ray for one job: only this user's processes reach it, and nothing of it outlives the job."""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import ray
from ray._private import ray_constants
from ray._raylet import AuthenticationTokenLoader, Config  # type: ignore[attr-defined]  # compiled

from medim_forge.generator.errors import ResourceError
from medim_forge.generator.executors.cluster import leftovers

# Shards travel to actors as prompts and come back as counts, so the object store holds next to nothing.
OBJECT_STORE_BYTES = 100 * 2**20
_AUTH = ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH")


@contextlib.contextmanager
def private_ray() -> Iterator[None]:
    """Inside, this process is connected to a Ray of its own, which ends with the context or with the process.

    Its folder lies in one that only this user can enter; its ports are bound to loopback; it has a random token,
    whatever the shell says of `RAY_AUTH_MODE`, and no token file. A process of its own sweeps what a killed driver
    leaves, and where that was killed too, the next private Ray of this user does.

    Raises:
        ResourceError: the temporary directory cannot be used.
    """
    try:
        folder, lock = leftovers.claimed()
    except OSError as error:
        raise ResourceError(
            f"{tempfile.gettempdir()}: cannot take the folder of a private Ray ({error}). Make room there, or set "
            "TMPDIR to a local folder of yours."
        ) from error
    with lock, _heir(folder), _own_token(), _loopback():
        try:
            ray.init(
                address="local",
                include_dashboard=False,
                log_to_driver=False,
                logging_level=logging.ERROR,
                object_store_memory=OBJECT_STORE_BYTES,
                _temp_dir=str(folder / "r"),
            )
            yield
        finally:
            ray.shutdown()
            leftovers.sweep(folder)


@contextlib.contextmanager
def _heir(folder: Path) -> Iterator[None]:
    """Inside, a process waits for the death of this one, and would sweep what it leaves.

    It has a session of its own, so that neither a closed terminal nor Ctrl-C ends both.
    """
    heir = subprocess.Popen(  # noqa: S603 - this very Python, and a file of ours
        [sys.executable, "-I", leftovers.__file__, str(folder), str(os.getpid())],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd="/",
        start_new_session=True,
    )
    try:
        yield
    finally:
        heir.terminate()
        heir.wait()


@contextlib.contextmanager
def _own_token() -> Iterator[None]:
    """Inside, Ray asks everybody for a random token, which this process and its children know."""
    before = {name: os.environ.pop(name, None) for name in _AUTH}
    os.environ.update({"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)})
    _reread()
    try:
        yield
    finally:
        if before["RAY_AUTH_MODE"] != "token" or before["RAY_AUTH_TOKEN"]:
            for name in _AUTH:
                os.environ.pop(name, None)
            os.environ.update({name: value for name, value in before.items() if value is not None})
            _reread()


def _reread() -> None:
    """Ray, which reads its environment at the import and keeps the first token, takes both from the environment."""
    Config.initialize("")
    AuthenticationTokenLoader.instance().reset_cache()


@contextlib.contextmanager
def _loopback() -> Iterator[None]:
    """Inside, a Ray that is started has the address 127.0.0.1, and binds its ports to it.

    `_node_ip_address` of `ray.init` cannot say so: there Ray replaces loopback by an address that others reach.
    """
    before = ray_constants.ENABLE_RAY_CLUSTER
    ray_constants.ENABLE_RAY_CLUSTER = False
    try:
        yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = before
