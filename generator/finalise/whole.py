"""Whether a finished dataset still has what its manifest lists: a quick look at names and sizes, shards apart."""

from __future__ import annotations

from medim_forge.generator.errors import StoreError
from medim_forge.generator.finalise.manifest import read_manifest
from medim_forge.generator.store import Store


def what_is_lost(store: Store) -> str:
    """The first file of a finished dataset that is not as it was written, and how; empty where all are.

    `medim verify` hashes every file; this asks for sizes alone, which costs little however large the dataset is. Shards
    have a look of their own, at their records.
    """
    try:
        listed = [file for file in read_manifest(store)["files"] if not file["path"].startswith("shards/")]
    except StoreError as error:
        return str(error)
    for file in listed:
        try:
            size = store.size(file["path"])
        except OSError:
            return f"{file['path']} is missing"
        if size != file["size"]:
            return f"{file['path']} has {size} bytes, and had {file['size']}"
    return ""
