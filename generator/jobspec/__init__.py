"""What a job file may say, checked before anything starts."""

from medim_forge.generator.jobspec.augment import AugmentSpec
from medim_forge.generator.jobspec.balance import BalanceSection, QuotaSection
from medim_forge.generator.jobspec.compute import ComputeSection
from medim_forge.generator.jobspec.data import DataSection
from medim_forge.generator.jobspec.data_job import DataSpec, find_data
from medim_forge.generator.jobspec.evaluate import EvaluateSpec
from medim_forge.generator.jobspec.filters import FilterSection
from medim_forge.generator.jobspec.generate import GenerateSpec
from medim_forge.generator.jobspec.inputs import ParquetInputs, PhantomInputs, PromptSection
from medim_forge.generator.jobspec.load import KINDS, JobSpec, find_job, load_spec, parse_spec, to_yaml
from medim_forge.generator.jobspec.output import DicomSection
from medim_forge.generator.jobspec.sampling import SamplingSection
from medim_forge.generator.jobspec.train import TrainSpec

__all__ = [
    "KINDS",
    "AugmentSpec",
    "BalanceSection",
    "ComputeSection",
    "DataSection",
    "DataSpec",
    "DicomSection",
    "EvaluateSpec",
    "FilterSection",
    "GenerateSpec",
    "JobSpec",
    "ParquetInputs",
    "PhantomInputs",
    "PromptSection",
    "QuotaSection",
    "SamplingSection",
    "TrainSpec",
    "find_data",
    "find_job",
    "load_spec",
    "parse_spec",
    "to_yaml",
]
