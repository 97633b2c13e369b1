"""Where the bytes of a dataset are kept, and how a shard is committed there exactly once."""

from medim_forge.generator.store.places import committed, store_at
from medim_forge.generator.store.protocol import RECORD, SUCCESS, Store, shard_name

__all__ = ["RECORD", "SUCCESS", "Store", "committed", "shard_name", "store_at"]
