"""What a job will cost, from the size of its network: no weights are read. `medim preview` measures instead."""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from medim_forge.generator.errors import SpecError
from medim_forge.generator.jobspec import GenerateSpec
from medim_forge.generator.plan.plan import Plan

# Sustained FLOP/s of one device: an H200 at the useful rate of a fused engine, and one CPU thread with AVX-512.
GPU_FLOPS = {"float32": 4.0e13, "bfloat16": 6.0e14, "float16": 6.0e14}
THREAD_FLOPS = {"float32": 4.5e10, "bfloat16": 1.0e11, "float16": 1.0e10}
# The agreement scores read two mask sets, or one, or one with a control for every fourth pair: the most that takes no
# more than this share of sampling. Control included, and as if no row were remembered.
SCORING_ROWS = (11.0, 5.0, 3.5)
SHARE_OF_SAMPLING = 0.25
# How much of the report slots a report fills that is written until it ends; 13 of 24 is what was measured.
WRITTEN = 0.5
_BACKBONE_SIZES = ("hidden_size", "layers", "heads", "head_dim", "kv_heads", "intermediate_size")


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """What a job will cost.

    Attributes:
        seconds_per_pair: of one replica.
        hours: of the whole job, all replicas at work.
        gpu_hours: of all GPUs together; 0 on CPU.
    """

    seconds_per_pair: float
    hours: float
    gpu_hours: float


def estimate(plan: Plan) -> Estimate:
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


def priced(plan: Plan, seconds_per_pair: float) -> Estimate:
    """The cost of a job whose replicas take so long for a pair."""
    compute = plan.spec.compute
    at_work = min(compute.replicas, plan.shards)
    hours = seconds_per_pair * plan.pairs / at_work / 3600
    gpus = compute.gpus_per_replica if uses_gpu(plan.spec) else 0.0
    return Estimate(seconds_per_pair=seconds_per_pair, hours=hours, gpu_hours=hours * at_work * gpus)


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
    fitting = (rows for rows in SCORING_ROWS if rows <= SHARE_OF_SAMPLING * sampling)
    return sampling + next(fitting, SCORING_ROWS[-1])


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
        layout, _ = _sizes(spec)
        if layout.get("end_id") is not None:
            return WRITTEN * float(layout["report_slots"])
    return sampling.text_steps


def row_flops(spec: GenerateSpec) -> float:
    """Floating point operations of one row through the backbone: linear layers and attention.

    Raises:
        SpecError: the checkpoint is missing or has no readable config.
    """
    layout, backbone = _sizes(spec)
    width, layers = backbone["hidden_size"], backbone["layers"]
    attended = backbone["heads"] * backbone["head_dim"]
    projected = width * (2 * attended + 2 * backbone["kv_heads"] * backbone["head_dim"])
    linear = layers * (projected + 3 * width * backbone["intermediate_size"])
    length = layout["report_slots"] + layout["image_slots"]
    return float(2 * length * linear + 4 * length**2 * attended * layers)


def _sizes(spec: GenerateSpec) -> tuple[dict[str, Any], dict[str, Any]]:
    """Layout and backbone of the job's checkpoint, with all the sizes that are asked for here."""
    path = checkpoint_folder(spec) / "config.json"
    try:
        config: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        layout, backbone = dict(config["layout"]), dict(config["backbone"])
        layout |= {name: int(layout[name]) for name in ("report_slots", "image_slots")}
        return layout, backbone | {name: int(backbone[name]) for name in _BACKBONE_SIZES}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SpecError(
            f"{spec.source}: model.checkpoint = {spec.model.checkpoint!r}: {path} is no model config ({error!r}). "
            "Give a folder that `medim run` of a train job made, or `phantom`."
        ) from error


def checkpoint_folder(spec: GenerateSpec) -> Path:
    """The folder of the job's weights.

    Raises:
        SpecError: it does not exist.
    """
    folder = Path(spec.model.checkpoint)
    if spec.model.checkpoint == "phantom":
        package = find_spec("model")
        assert package is not None
        assert package.submodule_search_locations
        folder = Path(package.submodule_search_locations[0], "weights", "phantom")
    if not (folder / "config.json").is_file():
        raise SpecError(
            f"{spec.source}: model.checkpoint = {spec.model.checkpoint!r}: there is no config.json in {folder}. "
            "Give the folder of a checkpoint, or `phantom` for the embedded one."
        )
    return folder
