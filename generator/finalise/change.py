"""A change of a whole dataset: carried out once, however often it is interrupted, and never two at a time.

    with whole_dataset(store, "refilter"):                     nobody else is at work; what was interrupted is done
        carry_out(store, Change(command="refilter", ...))

What a dataset holds follows from its committed shards and from what a `Change` says: which filters are in force, what a
privacy test found, which replica made the pairs. So a change is written down first, as `_pending.json`; then `_SUCCESS`
goes, everything is made anew, and `_SUCCESS` and the note change places again. Whoever finds the note carries it out,
without weights and without inputs. Readers refuse a dataset that has one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

from medim_forge.generator.dataset import provenance_of
from medim_forge.generator.finalise.finalise import finalise
from medim_forge.generator.finalise.privacy_note import write_privacy
from medim_forge.generator.finalise.rules import with_policy, write_rules
from medim_forge.generator.finalise.tally import check_shards
from medim_forge.generator.jobspec import GenerateSpec
from medim_forge.generator.plan import read_spec, stored_plan
from medim_forge.generator.records import ReplicaFacts
from medim_forge.generator.store import PENDING, SUCCESS, Store
from medim_forge.generator.store.documents import explained, read_json, sealed_text

_FORMAT = 1


@dataclass(frozen=True, kw_only=True)
class Change:
    """What a command makes of a dataset.

    Attributes:
        command: that asked for it.
        complete: whether the dataset carries `_SUCCESS` afterwards.
        facts: of the replica that made the pairs.
        policy: filters and quotas in force, as `manifest.policy_of` has them; None for the verdicts of the shards.
        privacy: what a test against training data found, as `privacy.json` holds it; None leaves what is there.
    """

    command: str
    complete: bool
    facts: ReplicaFacts
    policy: Mapping[str, Any] | None = None
    privacy: Mapping[str, Any] | None = None


@contextmanager
def whole_dataset(store: Store, command: str, *, wait: bool = False) -> Iterator[None]:
    """Inside, no other command is at work on the whole dataset, and none is left half done.

    Args:
        store: of the dataset.
        command: that is about to work on it.
        wait: whether to wait for one that is at work.

    Raises:
        StoreError: another one is at work; or what was interrupted cannot be carried out.
    """
    with store.lock(command, wait=wait):
        if store.exists(PENDING):
            _make(store, read_change(store))
        yield
        # Of this command nothing is left to write, and of others none is at work: what lies about is of dead ones.
        store.sweep(read_spec(store).compute.shard_deadline_s)


def finish_pending(store: Store, command: str) -> None:
    """No change of the dataset is left half done; nothing is locked or written where none is.

    Raises:
        StoreError: what was interrupted cannot be carried out.
    """
    if store.exists(PENDING):
        with whole_dataset(store, command, wait=True):
            pass


def carry_out(store: Store, change: Change) -> None:
    """The dataset is what the change says; only inside `whole_dataset`.

    Raises:
        StoreError: a shard is missing, or was made from another spec or other weights.
    """
    _make(store, change, note=True)


def read_change(store: Store) -> Change:
    """The change that the dataset waits for.

    Raises:
        StoreError: `_pending.json` is damaged.
    """
    mend = (
        "So the command that was interrupted cannot be finished. Delete it and run `medim run` with the job file, "
        "which makes data/ anew; then repeat the command."
    )
    values = read_json(store, PENDING, mend)
    with explained(f"{store}/{PENDING}", mend):
        if values.pop("format") != _FORMAT:
            raise ValueError("it is of another release")
        facts = values.pop("facts")
        terms = tuple(facts.pop("training_data_terms"))
        return Change(**values, facts=ReplicaFacts(**facts, training_data_terms=terms))


def _text(change: Change) -> str:
    values = {"format": _FORMAT, **asdict(change)}
    values["facts"]["versions"] = dict(sorted(change.facts.versions.items()))
    values["facts"]["training_data_terms"] = list(change.facts.training_data_terms)
    return sealed_text(values)


def _make(store: Store, change: Change, note: bool = False) -> None:
    """The change is made, from wherever it was interrupted.

    Args:
        store: of the dataset.
        change: to be made.
        note: whether it has to be written down first. What cannot be made is refused before that.
    """
    spec = read_spec(store)
    plan = stored_plan(store, spec)
    rules: GenerateSpec | None = None if change.policy is None else with_policy(spec, change.policy)
    check_shards(store, plan, provenance_of(spec, change.facts))
    if note:
        with store.draft(PENDING) as path:
            path.write_text(_text(change), encoding="utf-8")
    store.remove(SUCCESS)
    write_rules(store, change.policy)
    if change.privacy is not None:
        write_privacy(store, change.privacy)
    finalise(store, spec, plan, change.facts, rules)
    if change.complete:
        store.mark(SUCCESS)
    store.remove(PENDING)
