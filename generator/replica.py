"""MedimReplica: a loaded model that carries out shards. Besides training and experiments, the only room with torch."""

from __future__ import annotations

import math
import platform
from collections.abc import Sequence
from importlib.metadata import version

import torch

from generator.errors import DeviceMemoryError, InputError, ReplicaError, RowError, SpecError
from generator.estimate import sampling_rows
from generator.filters.agreement import both_ways, one_in
from generator.phantoms import OPENING
from generator.prompts import compose
from generator.records import Pair, PairRequest, ReplicaFacts, Shard
from generator.replica_image import image_size, read_image
from generator.spec import GenerateSpec
from model import checkpoint
from model.config import ConfigError
from model.layout import LayoutError
from model.medim import Given, Made, Medim
from model.official import OfficialSampling
from model.sampling import Sampling, SamplingError
from model.scoring import affordable
from model.text import TextError

# A shard has few controls, and a batch that is mostly filler costs like a full one.
_CONTROLS_AT_ONCE = 4
_PACKAGES = ("numpy", "pillow", "safetensors", "tokenizers", "torch", "transformers")


def checkpoint_facts(spec: GenerateSpec) -> ReplicaFacts:
    """What a replica of this job will be, without loading the weights.

    Raises:
        ReplicaError: the checkpoint cannot be used.
    """
    try:
        folder = checkpoint.resolve(spec.model.checkpoint)
        digest, terms = checkpoint.sha256(folder), checkpoint.training_data_terms(folder)
    except (checkpoint.CheckpointError, ConfigError, OSError) as error:
        raise ReplicaError(f"model.checkpoint: {error}") from error
    versions = {"python": platform.python_version(), **{name: version(name) for name in _PACKAGES}}
    return ReplicaFacts(
        model_sha256=digest, device=_device_name(_device(spec)), versions=versions, training_data_terms=terms
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
        raise ReplicaError(f"model.checkpoint: {error}") from error
    _check_prompts(spec, model)
    return MedimReplica(model, spec, checkpoint_facts(spec))


def _device(spec: GenerateSpec) -> str:
    if spec.model.device != "auto":
        return spec.model.device
    return "cuda" if spec.compute.gpus_per_replica > 0 and torch.cuda.is_available() else "cpu"


def _device_name(device: str) -> str:
    # The driver of a cluster may lack the GPU that its replicas have.
    return torch.cuda.get_device_name() if device == "cuda" and torch.cuda.is_available() else device


def _check_prompts(spec: GenerateSpec, model: Medim) -> None:
    for index, section in enumerate(spec.prompts):
        try:
            model.tokenizer_of(section.domain)
            text = compose(section, 0).text
            if spec.sampling.mode == "official":
                text = model.config.conventions.prompt(text)
            if text:
                model.report_ids(text, whole=False)
        except (TextError, LayoutError) as error:
            raise SpecError(f"{spec.source}: prompts[{index}]: {error}") from error


def _corrected(spec: GenerateSpec) -> Sampling:
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


def _official(spec: GenerateSpec, model: Medim) -> OfficialSampling:
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


class MedimReplica:
    """Makes pairs with one model. `facts` says what it is.

    A micro-batch always has `sampling.batch_size` rows. Each pair keeps its slot (pair index modulo batch size) and
    absent rows are filled, so that a pair's arithmetic never depends on its neighbours.

    Args:
        model: loaded.
        spec: the job.
        facts: of the checkpoint.
    """

    def __init__(self, model: Medim, spec: GenerateSpec, facts: ReplicaFacts) -> None:
        self.facts = facts
        self._model, self._batch_size = model, spec.sampling.batch_size
        self._sampling = _official(spec, model) if spec.sampling.mode == "official" else _corrected(spec)
        own = {one.domain: one.opening for one in model.config.conventions.domains}
        self._openings = {**OPENING, **own}
        self._effort = affordable(sampling_rows(spec))
        self._at_once = max(1, min(_CONTROLS_AT_ONCE, self._batch_size // 2))

    def generate(self, shard: Shard) -> list[Pair]:
        """One pair per request, in order; see `generator.records.Replica`.

        Raises:
            RowError: a row's input or logits cannot be used.
            DeviceMemoryError: the batch does not fit; the message names what to change.
        """
        givens = {request.pair_id: self._given(request) for request in shard.requests}
        pairs: dict[str, Pair] = {}
        batches: dict[int, dict[int, PairRequest]] = {}
        for request in shard.requests:
            batches.setdefault(request.pair_index // self._batch_size, {})[request.pair_index % self._batch_size] = (
                request
            )
        for rows in batches.values():
            pairs.update(self._batch(rows, givens))
        return [pairs[request.pair_id] for request in shard.requests]

    def _batch(self, rows: dict[int, PairRequest], givens: dict[str, Given]) -> dict[str, Pair]:
        filler = givens[next(iter(rows.values())).pair_id]
        slots = [givens[rows[slot].pair_id] if slot in rows else filler for slot in range(self._batch_size)]
        try:
            openings = [self._openings[given.domain] for given in slots]
            made = self._model.make(slots, self._sampling, openings, self._effort.ratios)
        except SamplingError as error:
            broken = [rows[slot] for slot in error.rows if slot in rows]
            if not broken:
                raise
            raise RowError(broken[0].pair_id, f"seed {broken[0].seed}: {error}") from error
        except torch.OutOfMemoryError as error:
            raise DeviceMemoryError(
                f"sampling.batch_size = {self._batch_size} does not fit {self.facts.device}: {error}. "
                "Lower it; `medim preview` finds the size that fits"
            ) from error
        return {request.pair_id: _pair(request, made[slot], givens[request.pair_id]) for slot, request in rows.items()}

    @torch.inference_mode()
    def shuffled(self, pairs: Sequence[Pair], others: Sequence[Pair]) -> list[float]:
        """Agreement of each pair's image with the other's report; see `generator.records.Shuffler`.

        Where sampling is cheap, one pair in some of each domain has one, and the others NaN.
        """
        found = [math.nan] * len(pairs)
        places = one_in(self._effort.control_every, pairs)
        for start in range(0, len(places), self._at_once):
            chosen = places[start : start + self._at_once]
            while chosen:
                try:
                    values = self._dealt([pairs[one] for one in chosen], [others[one] for one in chosen])
                except SamplingError as error:
                    # Its own scores are finite, or it would not be a pair: what cannot be told is the control alone.
                    broken = {row if row < len(chosen) else 0 for row in error.rows}
                    chosen = [place for row, place in enumerate(chosen) if row not in broken]
                    continue
                for place, value in zip(chosen, values, strict=True):
                    found[place] = value
                break
        return found

    def _dealt(self, pairs: Sequence[Pair], others: Sequence[Pair]) -> list[float]:
        """`shuffled` of a few pairs. There are always as many rows: other shapes round differently."""
        filler = self._at_once - len(pairs)
        ours_of, theirs_of = [*pairs, *[pairs[0]] * filler], [*others, *[others[0]] * filler]
        codes = [pair.image_codes for pair in ours_of]
        openings = [self._openings[pair.request.prompt.domain] for pair in ours_of]
        ours, theirs = (
            self._model.scorer([_whole(pair) for pair in some], codes, openings, self._effort.ratios)
            for some in (ours_of, theirs_of)
        )
        shown, told = ours.others(theirs)
        return [
            both_ways(shown_of - other.fluency, told_of - pair.image_fluency)
            for pair, other, shown_of, told_of in zip(pairs, others, shown.tolist(), told.tolist(), strict=False)
        ]

    def _given(self, request: PairRequest) -> Given:
        """What a request gives the model.

        Raises:
            RowError: its image or text cannot be used.
        """
        try:
            self._model.tokenizer_of(request.prompt.domain)
            image = size = None
            if request.given_image is not None:
                image = read_image(request.given_image, request.prompt.domain, self._model.config)
                size = image_size(request.given_image)
            official = isinstance(self._sampling, OfficialSampling)
            given = Given(
                domain=request.prompt.domain,
                seed=request.seed,
                opening=self._model.config.conventions.prompt(request.prompt.text) if official else request.prompt.text,
                report=request.given_report,
                image=image,
                size=size,
            )
            text = given.opening if given.report is None else given.report
            if text:
                self._model.report_ids(text, whole=given.report is not None, official=official)
            self._model.conditioned([given])
        except (InputError, TextError, LayoutError) as error:
            raise RowError(request.pair_id, str(error)) from error
        return given


def _whole(pair: Pair) -> Given:
    """A finished pair as something whose report is given, in the pieces that it was sampled in."""
    image = pair.request.given_image
    return Given(
        domain=pair.request.prompt.domain,
        seed=pair.request.seed,
        report=pair.report,
        report_ids=pair.report_ids if len(pair.report_ids) else None,
        size=None if image is None else image_size(image),
    )


def _pair(request: PairRequest, made: Made, given: Given) -> Pair:
    visible = given.report if given.report is not None else given.opening
    # A report that keeps its special tokens begins with one.
    prompt_chars = made.report.find(visible) + len(visible) if visible and visible in made.report else len(visible)
    return Pair(
        request=request,
        image=made.image,
        image_codes=made.codes,
        report=made.report,
        prompt_chars=prompt_chars,
        report_logprob=made.report_logprob,
        image_logprob=made.image_logprob,
        agreement=made.agreement,
        embedding=made.embedding,
        image_agreement=made.image_agreement,
        fluency=made.fluency,
        image_fluency=made.image_fluency,
        sentence_agreement=made.sentence_agreement,
        report_ids=made.report_ids,
    )
