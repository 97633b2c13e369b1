"""The generate job from end to end, and a preview of it."""

from medim_forge.generator.generate.job import JobResult, run_job

__all__ = ["JobResult", "run_job"]
