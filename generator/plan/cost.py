"""What a job will cost, from the size of its network: no weights are read. `medim preview` measures instead."""

from __future__ import annotations

from dataclasses import dataclass

from medim_forge.generator.errors import SpecError, sentence
from medim_forge.generator.jobspec import GenerateSpec
from medim_forge.generator.plan.plan import Plan
from medim_forge.model import cost as model_cost
from medim_forge.model.config import ConfigError, MedimConfig, read_config
from medim_forge.model.cost import WRITTEN_SHARE, affordable
from medim_forge.model.folders import CheckpointError, resolve

# Sustained FLOP/s of one device: an H200 at the useful rate of a fused engine, and one CPU thread with AVX-512.
GPU_FLOPS = {"float32": 4.0e13, "bfloat16": 6.0e14, "float16": 6.0e14}
THREAD_FLOPS = {"float32": 4.5e10, "bfloat16": 1.0e11, "float16": 1.0e10}
_BACKBONE_SIZES = ("hidden_size", "layers", "heads", "head_dim", "kv_heads", "intermediate_size")


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What a job will cost.

    Attributes:
        seconds_per_pair: of one replica.
        hours: of the whole job, all replicas at work.
        gpu_hours: of all GPUs together; 0 on CPU.
    """

    seconds_per_pair: float
    hours: float
    gpu_hours: float


def estimate(plan: Plan) -> Cost:
    """The cost of a job by FLOPs.

    Raises:
        SpecError: the checkpoint is missing or has no readable config.
    """
    spec = plan.spec
    speed = GPU_FLOPS[spec.model.dtype] * min(1.0, spec.compute.gpus_per_replica)
    if not uses_gpu(spec):
        speed = THREAD_FLOPS[spec.model.dtype] * spec.compute.threads_per_replica
    size = min(spec.compute.pairs_per_shard, plan.pairs)
    wasted = batch_rows(size, spec.sampling.batch_size) / size
    return priced(plan, wasted * rows_per_pair(spec) * row_flops(spec) / speed)


def priced(plan: Plan, seconds_per_pair: float) -> Cost:
    """The cost of a job whose replicas take so long for a pair."""
    compute = plan.spec.compute
    at_work = min(compute.replicas, plan.shards)
    hours = seconds_per_pair * plan.pairs / at_work / 3600
    gpus = compute.gpus_per_replica if uses_gpu(plan.spec) else 0.0
    return Cost(seconds_per_pair=seconds_per_pair, hours=hours, gpu_hours=hours * at_work * gpus)


def batch_rows(pairs: int, batch_size: int) -> int:
    """Rows of the batches that so many pairs need: a batch is always full, if need be with rows that nobody uses."""
    return -(-pairs // batch_size) * batch_size


def uses_gpu(spec: GenerateSpec) -> bool:
    """Whether the job asks for GPUs."""
    return spec.compute.gpus_per_replica > 0 and spec.model.device != "cpu"


def rows_per_pair(spec: GenerateSpec) -> float:
    """How many rows one pair sends through the backbone: sampling, and the scores.

    Raises:
        SpecError: the checkpoint is missing or has no readable config.
    """
    sampling = sampling_rows(spec)
    return sampling + affordable(sampling).rows()


def sampling_rows(spec: GenerateSpec) -> float:
    """How many rows sampling one pair sends through the backbone: steps, twice where guided.

    Raises:
        SpecError: the checkpoint is missing or has no readable config.
    """
    sampling = spec.sampling
    guided = 2 if sampling.guidance > 0 else 1
    if sampling.mode == "official" or (spec.task == "joint" and sampling.order == "joint"):
        return guided * sampling.steps + 1
    sees_image = spec.task == "image_to_report" or sampling.order == "image_first"
    text = text_steps(spec) * (2 if sees_image and sampling.text_guidance > 0 else 1)
    image = sampling.steps * (1 if spec.task == "joint" and sampling.order == "image_first" else guided)
    return {"joint": text + image, "report_to_image": image, "image_to_report": text}[spec.task]


def text_steps(spec: GenerateSpec) -> float:
    """How many steps a report phase takes: writing in reading order stops at the end, where a checkpoint learned ends.

    Raises:
        SpecError: the checkpoint is missing or has no readable config.
    """
    sampling = spec.sampling
    if sampling.method == "maskgit" and sampling.text_reveal == "sequential":
        layout = _config(spec).layout
        if layout.end_id is not None:
            return WRITTEN_SHARE * float(layout.report_slots)
    return sampling.text_steps


def row_flops(spec: GenerateSpec) -> float:
    """Floating point operations of one row through the backbone: linear layers and attention.

    Raises:
        SpecError: the checkpoint is missing or has no readable config.
    """
    config = _config(spec)
    sizes = {name: getattr(config.backbone, name) for name in _BACKBONE_SIZES}
    return model_cost.row_flops(length=config.layout.state_slots, **sizes)


def _config(spec: GenerateSpec) -> MedimConfig:
    """The sizes of the job's checkpoint.

    Raises:
        SpecError: the checkpoint is missing or has no readable config.
    """
    try:
        return read_config(resolve(spec.model.checkpoint))
    except (CheckpointError, ConfigError) as error:
        raise SpecError(f"{spec.at('model', 'checkpoint')}: {sentence(error)}") from error
