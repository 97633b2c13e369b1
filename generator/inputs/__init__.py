"""What others give to a job: reports, images and word lists, read and checked row by row."""

from medim_forge.generator.inputs.load import count_inputs, digest_inputs, load_inputs

__all__ = ["count_inputs", "digest_inputs", "load_inputs"]
