"""MedimReplica: a loaded model that carries out shards. Besides training and experiments, the only room with torch."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

from medim_forge.generator.errors import DeviceMemoryError, InputError, RowError
from medim_forge.generator.filters.agreement import both_ways, one_in
from medim_forge.generator.inputs.images import image_size, read_image
from medim_forge.generator.jobspec import GenerateSpec
from medim_forge.generator.phantoms import OPENING
from medim_forge.generator.plan.cost import sampling_rows
from medim_forge.generator.records import Pair, PairRequest, ReplicaFacts, Shard
from medim_forge.generator.replica.settings import corrected_sampling, official_sampling
from medim_forge.model.layout import LayoutError
from medim_forge.model.medim import Given, Made, Medim
from medim_forge.model.sampling.official import OfficialSampling
from medim_forge.model.sampling.settings import SamplingError
from medim_forge.model.scoring import affordable
from medim_forge.model.text import TextError

# A shard has few controls, and a batch that is mostly filler costs like a full one.
_CONTROLS_AT_ONCE = 4


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
        self._sampling = (
            official_sampling(spec, model) if spec.sampling.mode == "official" else corrected_sampling(spec)
        )
        own = {one.domain: one.opening for one in model.config.conventions.domains}
        self._openings = {**OPENING, **own}
        self._effort = affordable(sampling_rows(spec))
        self._at_once = max(1, min(_CONTROLS_AT_ONCE, self._batch_size // 2))

    def generate(self, shard: Shard) -> list[Pair]:
        """One pair per request, in order; see `medim_forge.generator.records.Replica`.

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
        """Agreement of each pair's image with the other's report; see `medim_forge.generator.records.Shuffler`.

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
