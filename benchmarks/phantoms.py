"""Phantoms drawn per CPU second of one core, image and report, by domain.

python -m benchmarks.phantoms --out phantoms.json
"""

from __future__ import annotations

import time

from benchmarks.context import context, deliver, parser
from medim_forge.generator.phantoms import DOMAINS, draw

COUNT = 400


def rate(domain: str) -> float:
    """Phantoms per CPU second, after a few that warm up."""
    for seed in range(10):
        draw(domain, seed)
    began = time.process_time()
    for seed in range(COUNT):
        draw(domain, seed)
    return COUNT / (time.process_time() - began)


def main() -> None:
    """Measures both domains and delivers the JSON."""
    options = parser(__doc__).parse_args()
    rates = {domain: round(rate(domain), 1) for domain in DOMAINS}
    deliver({**context("cpu"), "phantoms_per_cpu_second": rates}, options.out)


if __name__ == "__main__":
    main()
