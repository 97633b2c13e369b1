"""A driver on Ray in a process of its own: `python -m tests.doubles.ray_driver PARTS SPEC`.

PARTS is `toy` for the replica of numpy or `faulty` for the real one; both do what the checkpoint's fault file says.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from medim_forge.generator.cli.commands import exit_code
from medim_forge.generator.errors import MedimError
from medim_forge.generator.generate.job import run_job
from medim_forge.generator.jobspec.generate import GenerateSpec
from medim_forge.generator.jobspec.load import load_spec, to_yaml
from medim_forge.generator.shards.worker import Parts
from tests.doubles.toy_replica import PARTS

ROOT = Path(__file__).resolve().parents[2]


def start_driver(parts: str, spec: GenerateSpec, path: Path, **environment: str) -> subprocess.Popen[str]:
    """The job, written to `path`, runs in a process that inherits nothing of this one's Ray but what is given."""
    path.write_text(to_yaml(spec))
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("RAY_")}
    return subprocess.Popen(
        [sys.executable, "-m", "tests.doubles.ray_driver", parts, str(path)],
        env={**inherited, "PYTHONPATH": str(ROOT), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def said_until_a_commit(process: subprocess.Popen[str]) -> list[str]:
    """What the driver said up to its first committed shard."""
    assert process.stdout is not None
    said: list[str] = []
    for line in process.stdout:
        said.append(line)
        if line.startswith("shard ") and "kept" in line:
            return said
    raise AssertionError(f"the driver ended before it committed a shard: {''.join(said)}")


def parts_of(name: str) -> Parts:
    if name == "toy":
        return PARTS
    from tests.doubles.tiny_jobs import FAULTY  # brings torch, which the toy does without

    return FAULTY


def say(words: object) -> None:
    sys.stdout.write(f"{words}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    job = load_spec(sys.argv[2])
    assert isinstance(job, GenerateSpec)
    try:
        run_job(job, local=False, on_event=lambda event: say(event.message), parts=parts_of(sys.argv[1]))
    except MedimError as error:
        say(error)
        sys.exit(exit_code(error))
