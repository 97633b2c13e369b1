"""The sections that say which weights make the pairs, and how."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from medim_forge.generator.jobspec.fields import Place, Section, at_most

# At the least temperature the most likely token is drawn, at the greatest all are alike; beyond is a slip of the pen.
Temperature = Annotated[float, Field(ge=1e-4, le=1e4)]
Guidance = Annotated[float, Field(ge=0), at_most(1000, "beyond which logits overflow")]
Reveal = Literal["random", "sequential", "confidence"]


class ModelSection(Section):
    """Which weights make the pairs.

    Attributes:
        checkpoint: folder of a checkpoint, or `phantom` for the embedded one.
        dtype: of weights and activations.
        device: `auto` takes a GPU where the replica was given one.
    """

    checkpoint: Place = "phantom"
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    device: Literal["auto", "cpu", "cuda"] = "auto"


class SamplingSection(Section):
    """How the reverse process runs.

    Attributes:
        mode: `corrected` samples from normalised, restricted distributions; `official` follows the published code.
        method: which reverse process.
        order: which modality is revealed when.
        text_reveal: which report slots of a step come first.
        image_reveal: which image slots of a step come first.
        steps: denoising steps of the image, or of both with `order: joint`.
        text_steps: denoising steps of the report; not used with `order: joint`.
        guidance: classifier-free weight of images whose report is known; 0 skips the unconditional pass.
        text_guidance: the same of reports whose image is known.
        text_temperature: of report tokens.
        image_temperature: of image tokens.
        confidence_noise: scale of the noise on confidence rankings.
        batch_size: rows per forward pass; pairs keep their slot, so it is part of what makes the bytes.

    With `mode: official` only `steps`, `guidance` and `batch_size` act, so the others must keep their defaults.
    """

    mode: Literal["corrected", "official"] = "corrected"
    method: Literal["maskgit", "ancestral"] = "maskgit"
    order: Literal["text_first", "joint", "image_first"] = "text_first"
    text_reveal: Reveal = "sequential"
    image_reveal: Reveal = "random"
    steps: Annotated[int, Field(ge=1, le=4096)] = 24
    text_steps: Annotated[int, Field(ge=1, le=4096)] = 24
    guidance: Guidance = 2.0
    text_guidance: Guidance = 0.0
    text_temperature: Temperature = 0.7
    image_temperature: Temperature = 0.8
    confidence_noise: Annotated[float, Field(ge=0, le=1e4)] = 1.0
    batch_size: Annotated[int, Field(ge=1, le=4096)] = 16

    def idle_keys(self) -> tuple[str, ...]:
        """Keys that were set although `mode: official` fixes what they mean."""
        acting = {"mode", "steps", "guidance", "batch_size"}
        fields = type(self).model_fields.items()
        return tuple(name for name, field in fields if name not in acting and getattr(self, name) != field.default)
