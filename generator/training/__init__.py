"""A checkpoint is trained on phantoms, from scratch or from another checkpoint."""

from medim_forge.generator.training.job import run

__all__ = ["run"]
