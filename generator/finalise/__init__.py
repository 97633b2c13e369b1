"""Committed shards become a dataset: `data/`, manifest, card and contact sheet."""

from medim_forge.generator.finalise.change import Change, carry_out, finish_pending, whole_dataset
from medim_forge.generator.finalise.finalise import finalise
from medim_forge.generator.finalise.manifest import manifest_counts, read_manifest
from medim_forge.generator.finalise.rules import standing_rules

__all__ = [
    "Change",
    "carry_out",
    "finalise",
    "finish_pending",
    "manifest_counts",
    "read_manifest",
    "standing_rules",
    "whole_dataset",
]
