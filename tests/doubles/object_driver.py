"""A driver in a process of its own: `python -m tests.doubles.object_driver SPEC [die|stop KEY]`.

It dies, or is suspended, just before it puts the object of this key.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from medim_forge.generator.generate.job import run_job
from medim_forge.generator.jobspec.generate import GenerateSpec
from medim_forge.generator.jobspec.load import load_spec
from medim_forge.generator.store.s3_client import ObjectClient
from tests.doubles.toy_replica import PARTS


def say(words: str) -> None:
    sys.stdout.write(f"{words}\n")
    sys.stdout.flush()


def arm(what: str, where: str) -> None:
    def armed(put: Callable[..., Any]) -> Callable[..., Any]:
        def fatal(client: ObjectClient, key: str, content: bytes | Path) -> Any:
            if key == where:
                say(what)
                if what == "die":
                    os._exit(9)
                os.kill(os.getpid(), signal.SIGSTOP)
            return put(client, key, content)

        return fatal

    ObjectClient.create, ObjectClient.put_file = armed(ObjectClient.create), armed(ObjectClient.put_file)


if __name__ == "__main__":
    if len(sys.argv) > 2:
        arm(*sys.argv[2:])
    spec = load_spec(sys.argv[1])
    assert isinstance(spec, GenerateSpec)
    run_job(spec, local=True, on_event=lambda event: say(event.message), parts=PARTS)
