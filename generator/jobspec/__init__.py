"""What a job file may say, checked before anything starts."""

from medim_forge.generator.jobspec.augment import AugmentSpec
from medim_forge.generator.jobspec.evaluate import EvaluateSpec
from medim_forge.generator.jobspec.generate import GenerateSpec
from medim_forge.generator.jobspec.load import KINDS, JobSpec, load_spec, parse_spec, to_yaml
from medim_forge.generator.jobspec.train import TrainSpec

__all__ = [
    "KINDS",
    "AugmentSpec",
    "EvaluateSpec",
    "GenerateSpec",
    "JobSpec",
    "TrainSpec",
    "load_spec",
    "parse_spec",
    "to_yaml",
]
