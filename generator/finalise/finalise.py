"""Turns committed shards into a finished dataset: `data/`, contact sheet, card and manifest.

Everything is made from the shards and the spec, so running it again gives the same bytes, all but the manifest's `run`.
`_SUCCESS` is for others to set; see `change.py`, by which all commands come here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from medim_forge.generator.dataset import Provenance, provenance_of
from medim_forge.generator.dataset.claims import summary
from medim_forge.generator.dataset.reader import open_data
from medim_forge.generator.files import file_record
from medim_forge.generator.finalise.card import dataset_card
from medim_forge.generator.finalise.contact_sheet import choose_tiles, contact_sheet
from medim_forge.generator.finalise.manifest import MANIFEST, manifest_head, write_manifest
from medim_forge.generator.finalise.privacy_note import PRIVACY, current_privacy
from medim_forge.generator.finalise.rules import POLICY
from medim_forge.generator.finalise.tally import shard_records, tally
from medim_forge.generator.finalise.view import LEFT_OUT, DataView, build_data_view
from medim_forge.generator.inputs.manifest import ROWS
from medim_forge.generator.jobspec import GenerateSpec
from medim_forge.generator.plan import Plan
from medim_forge.generator.plan.rounds import round_name
from medim_forge.generator.records import FileRecord, ReplicaFacts
from medim_forge.generator.selection import view_policy
from medim_forge.generator.selection.rows import control_rows
from medim_forge.generator.store import Store, shard_name, store_at

CARD = "README.md"
CONTACT_SHEET = "contact_sheet.png"


def finalise(
    out: Path | str | Store, spec: GenerateSpec, plan: Plan, facts: ReplicaFacts, rules: GenerateSpec | None = None
) -> None:
    """The dataset is finished but for `_SUCCESS`, which is gone if there was one.

    Args:
        out: the dataset, with its spec and plan and every shard committed.
        spec: of the job.
        plan: of the job, with all of its rounds.
        facts: of the replica that ran.
        rules: the same job with other filters and quotas, to be applied to stored scores; None takes the verdicts of
            the shards.

    Raises:
        StoreError: a shard is missing, or was made from another spec or other weights.
    """
    store = store_at(out)
    provenance, shards = provenance_of(spec, facts), plan.shards
    sums = tally(store, plan, provenance)
    policy = view_policy(rules or spec, control_rows(store, shards), redecide=rules is not None)
    ruled = plan if rules is None else replace(plan, spec=rules)
    view = build_data_view(store, ruled, provenance, total_bytes=sums.pairs_bytes, policy=policy)
    tiles = choose_tiles(open_data(store))
    sheet = contact_sheet(tiles, f"{spec.name}: {view.rows} pairs", summary(provenance, len(tiles)))
    privacy = current_privacy(store, view.files)
    card = dataset_card(plan, ruled, provenance, sums, view, policy.calibration, privacy)
    with store.draft(CONTACT_SHEET) as path:
        path.write_bytes(sheet)
    with store.draft(CARD) as path:
        path.write_text(card, encoding="utf-8")
    head = manifest_head(plan, ruled, provenance, facts, sums, view, policy.calibration)
    files = _files(store, plan, provenance, view)
    records = shard_records(store, shards, provenance)
    with store.draft(MANIFEST) as path:
        write_manifest(path, head, files, facts.device, records)


def _files(store: Store, plan: Plan, provenance: Provenance, view: DataView) -> Iterator[FileRecord]:
    """Every file that is the same wherever the dataset is made; shard files as their shard recorded them.

    `spec.yaml` is not: it names the output folder. Its digest, without such keys, is the manifest's `spec_sha256`.
    """
    rounds = [round_name(added.number) for added in plan.rounds]
    some = [name for name in (ROWS, POLICY, PRIVACY) if store.exists(name)]
    for name in (CARD, CONTACT_SHEET, "plan.json", LEFT_OUT, *some, *rounds):
        yield file_record(store.handle(name), name)
    yield from (*view.files, *view.objects)
    for record in shard_records(store, plan.shards, provenance):
        for file in record.files:
            yield replace(file, path=f"{shard_name(record.index)}/{file.path}")
