"""A model's folder on disk: config, weights, tokenizer."""

from medim_forge.model.checkpoint.folder import (
    Checkpoint,
    learned_from,
    load,
    save,
    sha256,
    training_data_terms,
)
from medim_forge.model.config import read_config
from medim_forge.model.folders import EMBEDDED, CheckpointError, resolve

__all__ = [
    "EMBEDDED",
    "Checkpoint",
    "CheckpointError",
    "learned_from",
    "load",
    "read_config",
    "resolve",
    "save",
    "sha256",
    "training_data_terms",
]
