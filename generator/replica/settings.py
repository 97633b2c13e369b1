"""The sampling section of a job, as the model's samplers take it."""

from __future__ import annotations

from medim_forge.generator.errors import ReplicaError, SpecError
from medim_forge.generator.jobspec import GenerateSpec
from medim_forge.model.medim import Medim
from medim_forge.model.sampling import OfficialSampling, Sampling


def corrected_sampling(spec: GenerateSpec) -> Sampling:
    """The settings of the corrected sampler."""
    section = spec.sampling
    order = {"joint": section.order, "report_to_image": "text_first", "image_to_report": "image_first"}[spec.task]
    return Sampling(
        order=order,
        method=section.method,
        text_reveal=section.text_reveal,
        image_reveal=section.image_reveal,
        steps=section.steps,
        text_steps=section.text_steps,
        guidance=section.guidance,
        text_guidance=section.text_guidance,
        text_temperature=section.text_temperature,
        image_temperature=section.image_temperature,
        confidence_noise=section.confidence_noise,
    )


def official_sampling(spec: GenerateSpec, model: Medim) -> OfficialSampling:
    """The official sampler's settings.

    Raises:
        ReplicaError: the checkpoint was trained for another sampler.
        SpecError: the job sets keys that it does not have.
    """
    if len(model.layout.codebooks) != 1 or model.layout.end_id is not None:
        raise ReplicaError(
            f"sampling.mode: official needs an official checkpoint, made by `medim convert`: one codebook, no learned "
            f"end of report. {spec.model.checkpoint!r} is another one; use corrected"
        )
    if idle := spec.sampling.idle_keys():
        named = f"{', '.join(idle)}; leave {'it' if len(idle) == 1 else 'them'} out"
        raise SpecError(f"{spec.source}: sampling.mode: official fixes {named}, or use mode: corrected")
    return OfficialSampling(steps=spec.sampling.steps, guidance=spec.sampling.guidance)
