"""A loaded model that carries out shards: besides training and experiments, the only room with torch."""

from medim_forge.generator.replica.load import checkpoint_facts, load_replica
from medim_forge.generator.replica.replica import MedimReplica

__all__ = ["MedimReplica", "checkpoint_facts", "load_replica"]
