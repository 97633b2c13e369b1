"""The counters of a job at Ray's metrics endpoint, where Prometheus and the dashboard read them."""

from __future__ import annotations

from typing import Any

from ray.util import metrics

from medim_forge.generator.records import ShardRecord

SHARD_SECONDS = [1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0]


class JobMetrics:
    """The counters of one job; every series carries the job's name.

    Args:
        job: name of the job.
    """

    def __init__(self, job: str) -> None:
        self._pairs = _counter("medim_pairs", "Pairs of committed shards, by what became of them.", "outcome")
        self._rejects = _counter("medim_rejects", "Dropped pairs by reason; a pair may have several.", "reason")
        self._failures = _counter("medim_failed_attempts", "Attempts at a shard that failed, by kind.", "kind")
        self._replicas: Any = metrics.Gauge("medim_replicas", "Replicas that are loaded and at work.", ("job",))
        self._seconds: Any = metrics.Histogram(
            "medim_shard_seconds", "Seconds of work in a committed shard.", SHARD_SECONDS, ("job",)
        )
        for metric in (self._pairs, self._rejects, self._failures, self._replicas, self._seconds):
            metric.set_default_tags({"job": job})

    def committed(self, record: ShardRecord) -> None:
        """The committed shard is counted."""
        for outcome in ("kept", "dropped", "quarantined"):
            if count := getattr(record.counts, outcome):
                self._pairs.inc(count, {"outcome": outcome})
        for reason, count in record.counts.rejects.items():
            self._rejects.inc(count, {"reason": reason})
        self._seconds.observe(max(float(record.run.get("seconds", 0)), 1e-3))

    def failed(self, kind: str) -> None:
        """The failed attempt is counted.

        Args:
            kind: of the failure, e.g. `ReplicaDied`.
        """
        self._failures.inc(1, {"kind": kind})

    def replicas(self, count: int) -> None:
        """The gauge shows how many replicas are at work now."""
        self._replicas.set(count)


def _counter(name: str, description: str, tag: str) -> Any:
    return metrics.Counter(name, description, ("job", tag))
