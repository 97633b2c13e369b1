"""Whether synthetic pairs help a classifier that has few real ones."""

from medim_forge.generator.augmentation.job import run

__all__ = ["run"]
