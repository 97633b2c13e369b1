"""A driver in a process of its own: `python -m tests.generator.object_driver SPEC [die|stop]`.

With a second word it dies, or is suspended, when the files of its second shard are uploaded and nothing is committed.
"""

from __future__ import annotations

import os
import signal
import sys

from generator.job import run_job
from generator.object_client import ObjectClient
from generator.spec import GenerateSpec, load_spec
from tests.generator.toy_replica import PARTS


def say(words: str) -> None:
    sys.stdout.write(f"{words}\n")
    sys.stdout.flush()


def arm(what: str) -> None:
    create = ObjectClient.create

    def fatal(self: ObjectClient, key: str, content: bytes) -> bool:
        if key == "shards/000001/_shard.json":
            say(what)
            if what == "die":
                os._exit(9)
            os.kill(os.getpid(), signal.SIGSTOP)
        return create(self, key, content)

    ObjectClient.create = fatal


if __name__ == "__main__":
    for word in sys.argv[2:]:
        arm(word)
    spec = load_spec(sys.argv[1])
    assert isinstance(spec, GenerateSpec)
    run_job(spec, local=True, on_event=lambda event: say(event.message), parts=PARTS)
