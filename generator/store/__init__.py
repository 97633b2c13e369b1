"""Where the bytes of a dataset are kept, and how a shard is committed there exactly once."""

from medim_forge.generator.store.documents import json_text
from medim_forge.generator.store.places import store_at
from medim_forge.generator.store.protocol import FOLDERS, PENDING, RECORD, SUCCESS, Store, shard_name

__all__ = ["FOLDERS", "PENDING", "RECORD", "SUCCESS", "Store", "json_text", "shard_name", "store_at"]
