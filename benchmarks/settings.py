"""How the sampling settings of the embedded checkpoint compare, on sampling seeds that its evaluation does not use.

    python -m benchmarks.settings --out settings.json

Each setting differs from the defaults in one key. For every one, the evaluation job makes pairs of all three tasks and
both domains; the probes are trained once. Figures are macro F1 between image and report, and the share of reports that
are in the grammar and consistent.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.context import context, deliver, parser
from medim_forge.generator.evaluation import TASKS, run
from medim_forge.generator.events import JobEvent
from medim_forge.generator.jobspec import EvaluateSpec, parse_spec
from medim_forge.generator.phantoms import DOMAINS

SEEDS = [101, 102]
CHANGES: dict[str, dict[str, Any]] = {
    "defaults": {},
    "guidance 1": {"guidance": 1.0},
    "guidance 3": {"guidance": 3.0},
    "16 image steps": {"steps": 16},
    "report temperature 1": {"text_temperature": 1.0},
    "image temperature 1": {"image_temperature": 1.0},
}


def figures(folder: Path, name: str, checkpoint: str, pairs: int) -> dict[str, Any]:
    """What the evaluation says of one setting."""
    values = {
        "kind": "evaluate",
        "name": "settings",
        "seed": 20261123,
        "model": {"checkpoint": checkpoint, "dtype": "bfloat16"},
        "sampling": CHANGES[name],
        "sampling_seeds": SEEDS,
        "chest_pairs": pairs,
        "pathology_pairs": pairs // 2,
        "output": {"dir": str(folder)},
    }
    spec = parse_spec(values, source="benchmarks/settings.py")
    assert isinstance(spec, EvaluateSpec)
    run(spec, on_event=say)
    domains = json.loads((folder / "evaluation.json").read_text(encoding="utf-8"))["domains"]
    return {
        domain: {
            task: {
                "macro_f1": round(domains[domain][task]["macro_f1"], 3),
                "consistent": round(domains[domain][task]["reports_in_grammar_and_consistent"], 3),
                "prevalence": round(
                    sum(domains[domain][task]["prevalence_in_images"].values())
                    / len(domains[domain][task]["prevalence_in_images"]),
                    3,
                ),
            }
            for task in TASKS
        }
        for domain in DOMAINS
    }


def say(event: JobEvent) -> None:
    """What happens is said, apart from the JSON."""
    if event.kind == "note":
        print(event.message, file=sys.stderr, flush=True)


def main() -> None:
    """Measures every setting and delivers the JSON."""
    command = parser(__doc__)
    command.add_argument(
        "--pairs", type=int, default=48, help="chest pairs per setting, task and seed; half for pathology"
    )
    options = command.parse_args()
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        for number, name in enumerate(CHANGES):
            out = Path(folder) / str(number)
            out.mkdir()
            for probe in Path(folder).glob("0/probe_*.safetensors"):
                if number:
                    shutil.copy(probe, out)
            found[name] = figures(out, name, options.checkpoint, options.pairs)
    deliver({**context("cpu"), "sampling_seeds": SEEDS, "pairs": options.pairs, "settings": found}, options.out)


if __name__ == "__main__":
    main()
