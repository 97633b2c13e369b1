"""Committed shards become a dataset: `data/`, manifest, card and contact sheet."""

from medim_forge.generator.finalise.finalise import finalise, finalise_again, standing_rules
from medim_forge.generator.finalise.manifest import manifest_counts, read_manifest

__all__ = ["finalise", "finalise_again", "manifest_counts", "read_manifest", "standing_rules"]
