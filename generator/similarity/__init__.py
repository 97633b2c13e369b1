"""How alike pairs are: their signatures, the most similar pair of a shard, near-copies in a whole dataset."""

from medim_forge.generator.records import Signature
from medim_forge.generator.similarity.copies import NearCopies
from medim_forge.generator.similarity.nearest import Nearest, NearIndex
from medim_forge.generator.similarity.signature import hex_of, sign

__all__ = ["NearCopies", "NearIndex", "Nearest", "Signature", "hex_of", "sign"]
