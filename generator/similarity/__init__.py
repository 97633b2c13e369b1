"""How alike two pairs are: signatures, the nearest of a shard, near-copies of a whole dataset."""

from medim_forge.generator.records import Signature
from medim_forge.generator.similarity.copies import NearCopies
from medim_forge.generator.similarity.nearest import Nearest, NearIndex
from medim_forge.generator.similarity.signature import hex_of, sign

__all__ = ["NearCopies", "NearIndex", "Nearest", "Signature", "hex_of", "sign"]
