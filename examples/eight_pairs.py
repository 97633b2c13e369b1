"""Makes eight image-report pairs in this process and shows them: `python examples/eight_pairs.py [FOLDER]`."""

from __future__ import annotations

import sys
import textwrap

from medim_forge.generator.dataset import open_dataset
from medim_forge.generator.generate import run_job
from medim_forge.generator.jobspec import GenerateSpec, parse_spec

FOLDER = sys.argv[1] if len(sys.argv) > 1 else "out/eight_pairs"
JOB = {
    "kind": "generate",
    "name": "eight_pairs",
    "seed": 1,
    "date": "2026-11-23",
    "task": "joint",
    "prompts": [{"domain": "chest_xray", "pairs": 4}, {"domain": "pathology", "pairs": 4}],
    "sampling": {"batch_size": 4},
    "compute": {"pairs_per_shard": 4},
    "output": {"dir": FOLDER, "dicom": None},
}

spec = parse_spec(JOB, source="eight_pairs.py")
assert isinstance(spec, GenerateSpec)
run_job(spec, local=True, on_event=lambda event: print(event.message))
for row in open_dataset(FOLDER).rows():
    height, width = row.pixels().shape[:2]
    print(f"\n{row.pair_id}  {row.domain}  {width} x {height}")
    print(textwrap.fill(row.report, width=80, initial_indent="  ", subsequent_indent="  "))
print(f"\nThe pictures: {FOLDER}/contact_sheet.png")
