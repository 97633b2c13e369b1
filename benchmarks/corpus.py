"""Rows per second through the index of people's own pairs, and the memory that it takes, as one JSON.

python -m benchmarks.corpus [--rows 1000000]

Each size runs in a process of its own: a table of so many rows, two views a study, three studies a patient, is written,
opened (all keys) and gone through (all reports, scanned for names). Images are not decoded.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from benchmarks.context import context, deliver, parser

REPORT = (
    "Heart size is normal in pattern {pattern}. The lungs are clear without focal consolidation, effusion or edema. "
    * 2
)


def write(path: Path, rows: int) -> None:
    """A Parquet table with an image of few bytes in every row."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema(
        [("image", pa.binary()), *((name, pa.string()) for name in ("report", "patient", "study", "view"))]
    )
    with pq.ParquetWriter(path, schema) as writer:
        for start in range(0, rows, 50_000):
            numbers = range(start, min(start + 50_000, rows))
            columns = {
                "image": [b"%d" % number for number in numbers],
                "report": [REPORT.format(pattern=number % 97) for number in numbers],
                "patient": [f"p{number // 6}" for number in numbers],
                "study": [f"s{number // 2}" for number in numbers],
                "view": ["PA" if number % 2 else "LATERAL" for number in numbers],
            }
            writer.write_table(pa.table(columns, schema=schema))


def peak() -> float:
    """Most memory that this process held, MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measure(rows: int) -> dict[str, object]:
    """Seconds and memory of one size."""
    from medim_forge.generator.corpus import CorpusRow, open_corpus
    from medim_forge.generator.jobspec.data import DataSection

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.parquet"
        pid = os.fork()
        if not pid:  # what writing takes is not what is measured
            write(path, rows)
            os._exit(0)
        os.waitpid(pid, 0)
        columns = {"patient": "patient", "study": "study", "view": "view"}
        source = {"kind": "parquet", "path": str(path), "domain": "chest_xray", "columns": columns, "terms": ["none"]}
        section = DataSection.model_validate(
            {"sources": [{**source, "deidentified": True, "views": ["PA", "LATERAL"], "per_study": "one"}]}
        )
        before, began = peak(), time.process_time()
        corpus = open_corpus(section, "benchmark")
        opened, held = time.process_time(), peak()
        found: Counter[str] = Counter()
        for row in corpus.rows():
            found[row.split if isinstance(row, CorpusRow) else row.reason] += 1
        ended = time.process_time()
    return {
        "rows": rows,
        "open_rows_per_cpu_second": round(rows / (opened - began)),
        "read_rows_per_cpu_second": round(rows / (ended - opened)),
        "mb_before": round(before),
        "mb_peak_open": round(held),
        "mb_peak": round(peak()),
        "found": dict(found),
    }


def main() -> None:
    """Print the figures of a tenth of the rows and of all."""
    arguments = parser(__doc__)
    arguments.add_argument("--rows", type=int, default=1_000_000)
    arguments.add_argument("--one", type=int, help="measure this size in this process")
    asked = arguments.parse_args()
    if asked.one:
        print(json.dumps(measure(asked.one)))
        return
    command = [sys.executable, "-m", "benchmarks.corpus", "--one"]
    sizes = (asked.rows // 10, asked.rows)
    done = [
        subprocess.run([*command, str(size)], capture_output=True, text=True, check=True)  # noqa: S603 - this file
        for size in sizes
    ]
    deliver({**context("cpu"), "sizes": [json.loads(one.stdout) for one in done]}, asked.out)


if __name__ == "__main__":
    main()
