"""`manifest.json`: what a dataset is, the sha256 of every file, and, under `run`, what differs between runs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from medim_forge.generator.dataset import Provenance
from medim_forge.generator.dataset.claims import synthetic_sides
from medim_forge.generator.dataset.provenance import INTENDED_USE, SOFTWARE, SOFTWARE_VERSION
from medim_forge.generator.dataset.schema import SCHEMA_VERSION
from medim_forge.generator.finalise.tally import Rate, Tally, acceptance
from medim_forge.generator.finalise.view import DataView
from medim_forge.generator.finalise.warnings import warnings
from medim_forge.generator.jobspec import GenerateSpec
from medim_forge.generator.origins import LearnedFrom
from medim_forge.generator.plan import Plan
from medim_forge.generator.plan.strata import balance_record
from medim_forge.generator.records import TOTALS, Counts, FileRecord, ReplicaFacts, ShardRecord
from medim_forge.generator.selection import Calibration
from medim_forge.generator.store import Store
from medim_forge.generator.store.documents import read_json, sealed

MANIFEST = "manifest.json"


def manifest_head(
    plan: Plan,
    ruled: Plan,
    provenance: Provenance,
    facts: ReplicaFacts,
    tally: Tally,
    view: DataView,
    calibration: Mapping[str, Calibration],
) -> dict[str, Any]:
    """All of the manifest but its two long lists, `files` and `run.shards`.

    Args:
        plan: of the job.
        ruled: the same plan; another one if a later `medim refilter` put other filters and quotas in force.
        provenance: of the job.
        facts: of the replica that ran.
        tally: over the shards.
        view: what `data/` holds.
        calibration: what mismatched pairs say, by domain.
    """
    return {
        "schema_version": SCHEMA_VERSION,
        "generator": f"{SOFTWARE} {SOFTWARE_VERSION}",
        "name": provenance.name,
        "task": provenance.task,
        "date": provenance.date.isoformat(),
        "synthetic": synthetic_sides(provenance) == "true",
        "origin": {"image": provenance.image, "report": provenance.report, "learned_from": provenance.learned_from},
        "digital_source_type": provenance.digital_source_type,
        "intended_use": INTENDED_USE,
        "training_data_terms": list(provenance.training_data_terms),
        "spec_sha256": provenance.spec_sha256,
        "model_sha256": provenance.model_sha256,
        "sampling_mode": plan.spec.sampling.mode,
        "versions": dict(sorted(facts.versions.items())),
        "counts": _counts(tally, view),
        "rejects": dict(sorted(tally.counts.rejects.items())),
        "left_out": dict(view.reasons),
        "flagged": dict(view.flags),
        "refiltered": None if ruled is plan else policy_of(ruled.spec),
        "calibration": [{"domain": domain, **asdict(bound)} for domain, bound in calibration.items()],
        "balance": balance_record(plan, ruled, view.strata),
        "warnings": warnings(ruled, view, calibration, tally, provenance),
        "kept_rate": [{"domain": domain, **_rate(rate)} for domain, rate in tally.by_domain().items()],
        "acceptance": [stratum.record() for stratum in acceptance(plan, tally, view.strata)],
    }


def _counts(tally: Tally, view: DataView) -> dict[str, int]:
    """How many pairs there are, in the shards and in `data/`."""
    return {
        **tally.counts.totals(),
        "duplicates": view.duplicates,
        "left_out": view.left_out,
        "restored": view.restored,
        "data_rows": view.rows,
    }


def policy_of(spec: GenerateSpec) -> dict[str, Any]:
    """Filters and quotas of a job, as JSON values."""
    return {
        "filters": [section.model_dump(mode="json") for section in spec.filters],
        "balance": None if spec.balance is None else spec.balance.model_dump(mode="json"),
    }


def facts_of(manifest: Mapping[str, Any], spec: GenerateSpec) -> ReplicaFacts:
    """The replica that made the pairs of a dataset, as its manifest says."""
    return ReplicaFacts(
        model_sha256=manifest["model_sha256"],
        device=manifest["run"]["device"],
        versions=manifest["versions"],
        training_data_terms=tuple(manifest["training_data_terms"]),
        learned_from=learned_from(manifest, spec),
    )


def write_manifest(
    path: Path, head: dict[str, Any], files: Iterable[FileRecord], device: str, records: Iterable[ShardRecord]
) -> None:
    """The manifest is written. Its two long lists are as long as the dataset, and are never in memory as a whole.

    Args:
        path: of the file.
        head: all but the long lists, from `manifest_head`.
        files: every file but the manifest, `spec.yaml`, `_shard.json` and `_SUCCESS`.
        device: that the last replica ran on.
        records: of every shard, for `run`.
    """
    run = {"device": device, "shards": ({"index": record.index, **record.run} for record in records)}
    with path.open("w", encoding="utf-8") as file:
        file.writelines(sealed(stream_json({**head, "files": (asdict(record) for record in files), "run": run})))


def stream_json(value: Any, indent: str = "") -> Iterator[str]:
    """The pieces of an indented JSON text, in which every iterator becomes a list with one entry a line.

    Args:
        value: mappings with string keys, in which iterators may stand, and whatever `json` can write.
        indent: of the line on which the text starts.
    """
    if isinstance(value, Iterator):
        yield "["
        for number, entry in enumerate(value):
            yield f"{',' if number else ''}\n    {_json_text(entry)}"
        yield f"\n{indent}]"
    elif isinstance(value, Mapping) and value:
        inner = f"{indent}  "
        for number, (key, entry) in enumerate(value.items()):
            yield f"{',' if number else '{'}\n{inner}{_json_text(key)}: "
            yield from stream_json(entry, inner)
        yield f"\n{indent}}}"
    else:
        # A line end within a JSON string is written as \\n, so every real one starts a line of the text.
        yield _json_text(value, indent=2).replace("\n", f"\n{indent}")


def _json_text(value: Any, indent: int | None = None) -> str:
    return json.dumps(value, indent=indent, ensure_ascii=False, allow_nan=False)


def learned_from(manifest: Mapping[str, Any], spec: GenerateSpec) -> LearnedFrom:
    """Whose data the weights of a dataset were trained on; where its manifest does not say so, what its job says."""
    known: LearnedFrom = "phantoms" if spec.model.checkpoint == "phantom" else "unknown"
    found: LearnedFrom = manifest.get("origin", {}).get("learned_from", known)
    return found


def read_manifest(store: Store) -> dict[str, Any]:
    """What `manifest.json` holds.

    Raises:
        StoreError: it is missing or broken.
    """
    return read_json(store, MANIFEST, "`medim run` writes it again when every shard is committed.")


def manifest_counts(manifest: Mapping[str, Any]) -> Counts:
    """What became of all pairs of a dataset, as its manifest says."""
    return Counts(**{name: manifest["counts"][name] for name in TOTALS}, rejects=manifest["rejects"])


def _rate(rate: Rate) -> dict[str, float]:
    return {"asked": rate.asked, "kept": rate.kept, "share": round(rate.share, 6)}
