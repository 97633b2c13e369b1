"""What a checkpoint can do, measured on the embedded domain."""

from medim_forge.generator.evaluation.job import TASKS, run

__all__ = ["TASKS", "run"]
