"""MedimReplica: a loaded model that carries out shards."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

from medim_forge.generator.domains import facts_of
from medim_forge.generator.errors import DeviceMemoryError, RowError
from medim_forge.generator.filters.agreement import both_ways, one_in
from medim_forge.generator.jobspec import GenerateSpec
from medim_forge.generator.plan.cost import sampling_rows
from medim_forge.generator.records import Pair, PairRequest, ReplicaFacts, Shard
from medim_forge.generator.replica.rows import finished_row, given_row, pair_of
from medim_forge.generator.replica.settings import corrected_sampling, official_sampling
from medim_forge.model.cost import affordable
from medim_forge.model.medim import Given, Medim
from medim_forge.model.sampling import SamplingError

# A shard has few negative controls, and a batch that is mostly filler costs like a full one.
_CONTROLS_AT_ONCE = 4


class MedimReplica:
    """Makes pairs with one model.

    A micro-batch always has `sampling.batch_size` rows. Each pair keeps its slot (pair index modulo batch size) and
    absent rows are filled, so that a pair's arithmetic never depends on its neighbours.

    Args:
        model: loaded.
        spec: the job.
        facts: of the checkpoint.

    Attributes:
        facts: of the checkpoint.
        model: loaded.
        openings: by domain, the words that its reports begin with and that agreement does not score.
        effort: how much scoring the job pays for.
    """

    def __init__(self, model: Medim, spec: GenerateSpec, facts: ReplicaFacts) -> None:
        self.facts, self.model = facts, model
        self._batch_size = spec.sampling.batch_size
        self._official = spec.sampling.mode == "official"
        self._sampling = official_sampling(spec, model) if self._official else corrected_sampling(spec)
        own = {words.domain: words.opening for words in model.config.conventions.domains}
        self.openings = {domain: facts_of(domain).opening for domain in model.config.layout.domains} | own
        self.effort = affordable(sampling_rows(spec))
        self._at_once = max(1, min(_CONTROLS_AT_ONCE, self._batch_size // 2))

    def generate(self, shard: Shard) -> list[Pair]:
        """One pair per request, in order; see `medim_forge.generator.records.Replica`.

        Raises:
            RowError: a row's input or logits cannot be used.
            DeviceMemoryError: the batch does not fit; the message names what to change.
        """
        givens = {
            request.pair_id: given_row(request, self.model, official=self._official) for request in shard.requests
        }
        batches: dict[int, dict[int, PairRequest]] = {}
        for request in shard.requests:
            batch, slot = divmod(request.pair_index, self._batch_size)
            batches.setdefault(batch, {})[slot] = request
        pairs: dict[str, Pair] = {}
        for requests in batches.values():
            pairs.update(self._batch(requests, givens))
        return [pairs[request.pair_id] for request in shard.requests]

    def _batch(self, requests: dict[int, PairRequest], givens: dict[str, Given]) -> dict[str, Pair]:
        """The pairs of one batch by id; `requests` are by slot, and the slots between them are filled."""
        filler = givens[next(iter(requests.values())).pair_id]
        rows = [givens[requests[slot].pair_id] if slot in requests else filler for slot in range(self._batch_size)]
        try:
            openings = [self.openings[given.domain] for given in rows]
            made = self.model.make(rows, self._sampling, openings, self.effort.ratios)
        except SamplingError as error:
            failed = [requests[slot] for slot in error.rows if slot in requests]
            if not failed:
                raise
            raise RowError(failed[0].pair_id, f"seed {failed[0].seed}: {error}") from error
        except torch.OutOfMemoryError as error:
            raise DeviceMemoryError(
                f"sampling.batch_size = {self._batch_size} does not fit {self.facts.device}: {error}. "
                "Lower it; `medim preview` finds the size that fits"
            ) from error
        return {
            request.pair_id: pair_of(request, givens[request.pair_id], made[slot]) for slot, request in requests.items()
        }

    @torch.inference_mode()
    def shuffled(self, pairs: Sequence[Pair], others: Sequence[Pair]) -> list[float]:
        """The negative control: agreement of mismatched pairs, each pair's image with the report of the other.

        Where sampling is cheap, one pair in some of each domain has a control, and the others NaN. See
        `medim_forge.generator.records.Shuffler`.
        """
        found = [math.nan] * len(pairs)
        places = one_in(self.effort.control_every, pairs)
        for start in range(0, len(places), self._at_once):
            chosen = places[start : start + self._at_once]
            while chosen:
                try:
                    values = self._mismatched([pairs[place] for place in chosen], [others[place] for place in chosen])
                except SamplingError as error:
                    # The pair's own scores are finite, or it would not be a pair: only its control cannot be had.
                    # Rows behind the chosen ones are filler, made of the first.
                    failed = {row if row < len(chosen) else 0 for row in error.rows}
                    chosen = [place for row, place in enumerate(chosen) if row not in failed]
                    continue
                for place, value in zip(chosen, values, strict=True):
                    found[place] = value
                break
        return found

    def _mismatched(self, pairs: Sequence[Pair], others: Sequence[Pair]) -> list[float]:
        """`shuffled` of a few pairs. There are always as many rows: other shapes round differently."""
        filler = self._at_once - len(pairs)
        filled, filled_others = [*pairs, *[pairs[0]] * filler], [*others, *[others[0]] * filler]
        codes = [pair.image_codes for pair in filled]
        openings = [self.openings[pair.request.prompt.domain] for pair in filled]
        ours, theirs = (
            self.model.scorer([finished_row(pair) for pair in rows], codes, openings, self.effort.ratios)
            for rows in (filled, filled_others)
        )
        report_B, image_B = ours.mismatched(theirs)
        return [
            both_ways(report - other.fluency, image - pair.image_fluency)
            for pair, other, report, image in zip(pairs, others, report_B.tolist(), image_B.tolist(), strict=False)
        ]
