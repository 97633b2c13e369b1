"""The folder of a job's results belongs to one job: by its spec, and by what else its results follow from.

    <out>/spec.yaml         the job
    <out>/depends.json      weights, inputs and software versions
    <out>/_SUCCESS          written last; only then is the result reused

Datasets have `plan.json` in the place of `depends.json`; see `medim_forge.generator.plan.stored`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from medim_forge.generator.errors import SpecError, StoreError
from medim_forge.generator.jobspec import JobSpec, parse_spec, to_yaml
from medim_forge.generator.jobspec.document import read_yaml
from medim_forge.generator.store.documents import read_json, sealed_text
from medim_forge.generator.store.local import LocalStore
from medim_forge.generator.store.protocol import SUCCESS

SPEC, DEPENDS = "spec.yaml", "depends.json"


def claim_folder(
    out: Path,
    spec: JobSpec,
    depends: Mapping[str, Any],
    *,
    lasting: Callable[[Mapping[str, Any]], Mapping[str, Any]] = lambda fixed: fixed,
) -> bool:
    """The folder is this job's, and whether it holds the job's finished result.

    Args:
        out: the folder; it is made where it is missing.
        spec: the job; what its digest covers must agree.
        depends: what else the result follows from, as JSON values by key; all of it must agree.
        lasting: what of the digest's values must not change between runs. Where others have changed, the job is not
            finished, and `spec.yaml` is that of this run.

    Raises:
        StoreError: the folder cannot be written, or is of another job or of other weights, inputs or versions; every
            key that differs is named.
    """
    store = LocalStore(out)
    _refuse_unclaimed(out)
    store.prepare()
    store.create(SPEC, to_yaml(spec))
    stored = _stored_spec(out)
    refuse(out, f"{SPEC} is of another spec", differences(lasting(stored), lasting(spec.fixed())))
    claim_part(out, depends)
    if stored != spec.fixed():
        store.remove(SUCCESS)
        with store.draft(SPEC) as path:
            path.write_text(to_yaml(spec), encoding="utf-8")
    return store.exists(SUCCESS)


def spec_of(place: str | Path) -> JobSpec | None:
    """The job of a result folder on this machine; None where its `spec.yaml` is missing or cannot be read."""
    path = Path(place) / SPEC
    try:
        return parse_spec(read_yaml(path), source=str(path)) if path.is_file() else None
    except (OSError, SpecError):
        return None


def claim_part(folder: Path, depends: Mapping[str, Any], hint: str = "") -> None:
    """The folder's results follow from what `depends` says, now and before.

    Args:
        folder: of a job or of a part of one; it is made where it is missing.
        depends: as JSON values by key.
        hint: a last sentence of the error.

    Raises:
        StoreError: they follow from something else, all of which is named; or the folder cannot be written.
    """
    store = LocalStore(folder)
    store.prepare()
    store.create(DEPENDS, sealed_text(depends))
    store.tidy()
    found = differences(_stored_depends(folder), depends)
    refuse(folder, f"{DEPENDS} is of other weights, inputs or versions", found, hint)


def refuse(place: object, what: str, found: Sequence[str], hint: str = "") -> None:
    """Nothing differs between what is stored at a place and this job.

    Args:
        place: what people call it.
        what: is wrong if something differs.
        found: what differs, as `differences` names it.
        hint: a last sentence.

    Raises:
        StoreError: something differs; all of it is named.
    """
    if found:
        raise StoreError(
            f"{place}: {what} than this job; different: {'; '.join(found)}. "
            f"Give this job a folder of its own with --out, or put back what has changed.{hint}"
        )


def differences(old: Mapping[str, Any], new: Mapping[str, Any], prefix: str = "") -> list[str]:
    """`dotted.key: old -> new` for every leaf that differs, sorted by key."""
    found = []
    for key in sorted({*old, *new}):
        before, after = old.get(key), new.get(key)
        if isinstance(before, Mapping) and isinstance(after, Mapping):
            found += differences(before, after, f"{prefix}{key}.")
        elif before != after:
            found.append(f"{prefix}{key}: {before!r} -> {after!r}")
    return found


def _refuse_unclaimed(out: Path) -> None:
    try:
        names = sorted(path.name for path in out.iterdir() if not path.name.startswith(".")) if out.exists() else []
    except OSError as error:
        raise StoreError(f"{out}: cannot be read ({error.strerror}). Give another folder in output.dir.") from error
    if names and SPEC not in names:
        listed = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
        raise StoreError(
            f"{out}: holds {listed} but no {SPEC}, so nobody can tell what made them. Give an empty folder with --out, "
            f"or put {SPEC} back."
        )


def _stored_spec(out: Path) -> dict[str, Any]:
    path = out / SPEC
    try:
        return parse_spec(read_yaml(path), source=str(path)).fixed()
    except (OSError, SpecError) as error:
        raise StoreError(f"{out}: is not of a job of this version: {error}") from error


def _stored_depends(out: Path) -> dict[str, Any]:
    return read_json(LocalStore(out), DEPENDS, "Put it back, or give another folder.")
