"""The reverse processes, their schedules and their randomness: a state with MASK in it becomes one without."""

from medim_forge.model.sampling.corrected import Sampler
from medim_forge.model.sampling.noise import CounterDraws, Draws, InjectedDraws, Use
from medim_forge.model.sampling.official import OfficialSampling, logits_by_row, sample_official
from medim_forge.model.sampling.schedule import sigma
from medim_forge.model.sampling.settings import Batch, Denoiser, Sampled, Sampling, SamplingError

__all__ = [
    "Batch",
    "CounterDraws",
    "Denoiser",
    "Draws",
    "InjectedDraws",
    "OfficialSampling",
    "Sampled",
    "Sampler",
    "Sampling",
    "SamplingError",
    "Use",
    "logits_by_row",
    "sample_official",
    "sigma",
]
