"""A replica from its job: the checkpoint is found, checked and loaded."""

from __future__ import annotations

import platform
from importlib.metadata import version
from typing import cast

import torch

from medim_forge.generator.errors import ReplicaError, sentence
from medim_forge.generator.jobspec import GenerateSpec
from medim_forge.generator.origins import LearnedFrom
from medim_forge.generator.records import ReplicaFacts
from medim_forge.generator.replica.replica import MedimReplica
from medim_forge.model import checkpoint
from medim_forge.model.config import ConfigError
from medim_forge.model.medim import Medim
from medim_forge.model.text import TextError

PACKAGES = ("numpy", "pillow", "safetensors", "tokenizers", "torch", "transformers")


def checkpoint_facts(spec: GenerateSpec) -> ReplicaFacts:
    """What a replica of this job will be, without loading the weights.

    Raises:
        ReplicaError: the checkpoint cannot be used.
    """
    try:
        folder = checkpoint.resolve(spec.model.checkpoint)
        digest, terms = checkpoint.sha256(folder), checkpoint.training_data_terms(folder)
    except (checkpoint.CheckpointError, ConfigError, OSError) as error:
        raise ReplicaError(f"model.checkpoint: {sentence(error)}") from error
    versions = {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}}
    return ReplicaFacts(
        model_sha256=digest,
        device=_device_name(_device(spec)),
        versions=versions,
        training_data_terms=terms,
        learned_from=cast("LearnedFrom", checkpoint.learned_from(folder)),
    )


def load_replica(spec: GenerateSpec) -> MedimReplica:
    """A replica with the job's weights on the job's device.

    Raises:
        ReplicaError: weights or device cannot be used; the message says which and why.
    """
    torch.set_num_threads(spec.compute.threads_per_replica)
    device = _device(spec)
    if device == "cuda" and not torch.cuda.is_available():
        raise ReplicaError(
            "model.device: cuda, but torch finds no GPU for this replica; use auto or cpu, or ask for one with "
            "compute.gpus_per_replica on a machine that has it"
        )
    try:
        model = Medim.load(
            checkpoint.resolve(spec.model.checkpoint), dtype=getattr(torch, spec.model.dtype), device=device
        )
    except (checkpoint.CheckpointError, ConfigError, TextError) as error:
        raise ReplicaError(f"model.checkpoint: {sentence(error)}") from error
    return MedimReplica(model, spec, checkpoint_facts(spec))


def _device(spec: GenerateSpec) -> str:
    if spec.model.device != "auto":
        return spec.model.device
    return "cuda" if spec.compute.gpus_per_replica > 0 and torch.cuda.is_available() else "cpu"


def _device_name(device: str) -> str:
    # The driver of a cluster may lack the GPU that its replicas have.
    return torch.cuda.get_device_name() if device == "cuda" and torch.cuda.is_available() else device
