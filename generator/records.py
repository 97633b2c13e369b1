"""The frozen values that pass between the rooms of the factory.

A plan gives `Shard`s of `PairRequest`s; a replica makes a `Pair` of each; the filters give it a `Verdict`; both lie in
a `Judged`, which a writer writes into files, a `FileRecord` each; a `ShardRecord` is committed to the store. Its
`Counts`, summed over shards, say what became of all pairs.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from medim_forge.generator.origins import GivenSource, LearnedFrom

# A name; what is known of it, `medim_forge.generator.domains.facts_of` says.
Domain = str
Task = Literal["joint", "report_to_image", "image_to_report"]
Action = Literal["drop", "keep", "regenerate"]


@dataclass(frozen=True, kw_only=True)
class Prompt:
    """What a pair is asked to be about.

    Attributes:
        domain: name of what kind of image, e.g. `chest_xray`.
        text: visible opening words of the report; empty when a whole report or image is given.
        findings: finding names the prompt asks for, sorted; empty when it asks for none in particular.
    """

    domain: Domain
    text: str
    findings: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class PairRequest:
    """One pair that is to be made. It is the same whatever shard, replica or attempt makes it.

    Attributes:
        pair_id: unique in the dataset, e.g. `3f2a9c1b-0000042` (spec sha, pair index).
        pair_index: 0-based position in the job.
        seed: 63-bit hash of (job seed, pair index).
        prompt: what the pair is asked to be about.
        source_row: row of the job's inputs that gives the image or the report; None for `joint`.
        repeats: `pair_index` of the planned pair whose prompt or input this one tries again; None for a planned pair.
        given_report: the whole report, for `report_to_image`.
        given_image: encoded image bytes (PNG or JPEG), for `image_to_report`; None until the shard loads its inputs.
        given: where the given side comes from; None for `joint`, and until the shard loads its inputs.
    """

    pair_id: str
    pair_index: int
    seed: int
    prompt: Prompt
    source_row: int | None = None
    repeats: int | None = None
    given_report: str | None = None
    given_image: bytes | None = field(default=None, repr=False)
    given: GivenSource | None = field(default=None, repr=False)


@dataclass(frozen=True, kw_only=True)
class Shard:
    """The requests that are made, tried again and committed together.

    Attributes:
        index: 0-based; it names the folder `shards/000042`.
        task: what the replica makes: both parts, or one part for the other that is given.
        requests: in order of `pair_index`.
    """

    index: int
    task: Task
    requests: tuple[PairRequest, ...]


@dataclass(frozen=True, kw_only=True)
class Pair:
    """One image and its report, as the replica made them. Nobody changes its arrays.

    Attributes:
        request: what was asked for, with its seed.
        image: uint8 [H, W] (grey) or [H, W, 3] (RGB).
        image_codes: int32 [I], codebook ids in raster order.
        report: the whole report, prompt included.
        prompt_chars: how many leading characters of `report` were given.
        report_logprob: mean log-probability of the generated report tokens when they were revealed, nats per token;
            NaN if all were given.
        image_logprob: mean log-probability of the generated image codes, nats per code; NaN if all were given.
        agreement: pointwise mutual information of the report given the image under the replica, nats per report token.
        embedding: float16 [E], pooled hidden state of the image slots.
        image_agreement: pointwise mutual information of the image given the report, nats per image code; NaN where the
            replica does not measure it.
        fluency: log-likelihood of the report without the image, nats per report token; NaN where it is not measured.
        image_fluency: log-likelihood of the image without the report, nats per image code; NaN where it is not
            measured.
        sentence_agreement: agreement of each sentence that was not given as the domain's opening, in order; empty where
            it is not measured.
        image_novelty, report_novelty: how far either side is from what the replica was trained on, as a share of the
            limit that such data keep to; NaN where it is not measured.
        report_ids: int32 [T], the replica's report slots; empty where it has none. They are not written: the text is.
    """

    request: PairRequest
    image: NDArray[np.uint8]
    image_codes: NDArray[np.int32]
    report: str
    prompt_chars: int
    report_logprob: float
    image_logprob: float
    agreement: float
    embedding: NDArray[np.float16]
    image_agreement: float = math.nan
    fluency: float = math.nan
    image_fluency: float = math.nan
    sentence_agreement: tuple[float, ...] = ()
    image_novelty: float = math.nan
    report_novelty: float = math.nan
    report_ids: NDArray[np.int32] = field(default_factory=lambda: np.zeros(0, np.int32))

    @property
    def pair_id(self) -> str:
        """The request's id."""
        return self.request.pair_id

    @cached_property
    def pixels_sha256(self) -> str:
        """Hex digest of the image's shape and pixels, computed once; it does not depend on how a file encodes them."""
        return hashlib.sha256(repr(self.image.shape).encode() + self.image.tobytes()).hexdigest()


@dataclass(frozen=True, kw_only=True)
class Signature:
    """What tells how alike two pairs are; `medim_forge.generator.similarity` computes and compares it.

    Attributes:
        domain: pairs of different domains are not alike.
        phash: uint64 [4], perceptual hash of the image, 256 bits.
        embedding: float32 [E], the replica's view of the image; empty or zero where it has none.
        minhash: uint32 [64], MinHash of the report's shingles.
    """

    domain: Domain
    phash: NDArray[np.uint64]
    embedding: NDArray[np.float32]
    minhash: NDArray[np.uint32]


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What the filters say about one pair.

    Attributes:
        kept: whether the job's filters keep the pair.
        reasons: why it was dropped, in the style `name<threshold`, in filter order; empty when it is kept.
        scores: every score of every filter by column name (without the `score_` prefix), of kept pairs too.
        labels: facts in words that a filter found, e.g. `findings_report` (comma separated).
    """

    kept: bool
    reasons: tuple[str, ...]
    scores: Mapping[str, float]
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Judged:
    """A pair with all that is known of it when it is written.

    Attributes:
        pair: as the replica made it.
        verdict: of the filters.
        signature: of the pair, computed once for comparing and for writing.
    """

    pair: Pair
    verdict: Verdict
    signature: Signature

    def with_scores(self, scores: Mapping[str, float]) -> Judged:
        """The same pair with these scores in place of its own of the same names."""
        return replace(self, verdict=replace(self.verdict, scores={**self.verdict.scores, **scores}))


@dataclass(frozen=True, kw_only=True)
class Quarantined:
    """A row that could not be made, with all that is needed to look into it.

    Attributes:
        request: what was asked for, with its seed.
        error: class and message on one line.
        traceback: the full text.
        stage: where it failed: `input`, `generate`, `judge` or `write`.
    """

    request: PairRequest
    error: str
    traceback: str
    stage: str


@dataclass(frozen=True, kw_only=True)
class FileRecord:
    """A file that was written.

    Attributes:
        path: POSIX path relative to the shard folder (or to the dataset, in the manifest).
        size: in bytes.
        sha256: hex digest of its content.
    """

    path: str
    size: int
    sha256: str


TOTALS = ("shards", "pairs", "kept", "dropped", "quarantined")


@dataclass(frozen=True, kw_only=True)
class Counts:
    """What became of the pairs of one shard or of many; counts are summed with `+`.

    Attributes:
        shards: that hold the pairs.
        pairs: asked for; `kept`, `dropped` and `quarantined` are parts of it.
        kept: passed every filter.
        dropped: judged and dropped.
        quarantined: could not be made.
        rejects: dropped pairs by reason, in the order in which reasons were first seen; a pair may have several.
    """

    shards: int = 0
    pairs: int = 0
    kept: int = 0
    dropped: int = 0
    quarantined: int = 0
    rejects: Mapping[str, int] = field(default_factory=dict)

    def __add__(self, other: Counts) -> Counts:
        sums = {name: getattr(self, name) + getattr(other, name) for name in TOTALS}
        new = {reason: self.rejects.get(reason, 0) + count for reason, count in other.rejects.items()}
        return Counts(**sums, rejects={**self.rejects, **new})

    @property
    def judged(self) -> int:
        """Pairs that the filters saw."""
        return self.kept + self.dropped

    def totals(self) -> dict[str, int]:
        """All counts but those by reason, by name."""
        return {name: getattr(self, name) for name in TOTALS}


@dataclass(frozen=True, kw_only=True)
class ShardRecord:
    """What `_shard.json` holds of a committed shard. All but `run` is the same whoever makes the shard.

    Attributes:
        index: of the shard.
        spec_sha256: of the job.
        model_sha256: of config and weights.
        counts: of this one shard; `rejects` is sorted by reason.
        files: every file of the shard but `_shard.json`, sorted by path.
        run: what differs between attempts (seconds, device, host, attempt, ...); it is part of no digest.
    """

    index: int
    spec_sha256: str
    model_sha256: str
    counts: Counts
    files: tuple[FileRecord, ...]
    run: Mapping[str, str | float | int] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class ReplicaFacts:
    """What a replica is. The manifest holds it.

    Attributes:
        model_sha256: of config and weights together.
        device: e.g. `cpu`, `NVIDIA H200`.
        versions: of the packages that matter, by name, sorted.
        training_data_terms: terms that every output must carry.
        learned_from: whose data the weights were trained on.
    """

    model_sha256: str
    device: str
    versions: Mapping[str, str]
    training_data_terms: tuple[str, ...] = ()
    learned_from: LearnedFrom = "unknown"
