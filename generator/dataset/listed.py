"""Whether `data/` is what the manifest lists, by names and sizes: a part of it must not pass for the whole."""

from __future__ import annotations

from medim_forge.generator.errors import StoreError
from medim_forge.generator.store import Store
from medim_forge.generator.store.documents import explained, read_json

MANIFEST = "manifest.json"
MEND = "`medim run` writes it again when every shard is committed."


def refuse_unlisted(store: Store) -> None:
    """`data/` holds every file that the manifest lists, of its size, and no other; without a manifest nobody can tell.

    Raises:
        StoreError: it does not, or the manifest is damaged.
    """
    if not store.exists(MANIFEST):
        return
    where = f"{store}/{MANIFEST}"
    manifest = read_json(store, MANIFEST, MEND)
    with explained(where, MEND):
        listed = {file["path"]: int(file["size"]) for file in manifest["files"] if file["path"].startswith("data/")}
    there = [name for name in store.files("data") if name.endswith(".parquet")]
    for name in sorted({*listed, *there}):
        size = store.size(name) if name in there else None
        if size == listed.get(name):
            continue
        if size is None:
            problem = "it is missing"
        elif name in listed:
            problem = f"it has {size} bytes, and had {listed[name]}"
        else:
            problem = "it is not in the manifest"
        raise StoreError(
            f"{store}/{name}: is not what was written: {problem}. Delete data/ and run the job again: it makes it anew."
        )
