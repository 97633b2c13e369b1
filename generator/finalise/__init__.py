"""Committed shards become a dataset: `data/`, manifest, card and contact sheet."""

from medim_forge.generator.finalise.finalise import Totals, finalise
from medim_forge.generator.finalise.manifest import read_manifest

__all__ = ["Totals", "finalise", "read_manifest"]
