"""The frozen values that pass between the rooms of the factory.

plan -> `Shard` -> replica -> `Pair` -> filters -> `Verdict` -> writers -> `FileRecord` -> store -> `ShardRecord`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

# The name of a row of `medim_forge.generator.domains.DOMAINS`.
Domain = str
Task = Literal["joint", "report_to_image", "image_to_report"]
Action = Literal["drop", "keep", "regenerate"]


@dataclass(frozen=True, kw_only=True)
class Prompt:
    """What was asked for.

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
    """One pair to make: the plan's promise, independent of shard, replica and attempt.

    Attributes:
        pair_id: unique in the dataset, e.g. `3f2a9c1b-0000042` (spec sha, pair index).
        pair_index: 0-based position in the job.
        seed: 63-bit, hash of (job seed, pair index).
        prompt: what was asked for.
        source_row: row of the job's inputs that gives the image or the report; None for `joint`.
        repeats: `pair_index` of the planned pair whose prompt or input this one tries again; None for a planned pair.
        given_report: whole report, for `report_to_image`.
        given_image: encoded image bytes (PNG or JPEG), for `image_to_report`; None until the shard loads its inputs.
    """

    pair_id: str
    pair_index: int
    seed: int
    prompt: Prompt
    source_row: int | None = None
    repeats: int | None = None
    given_report: str | None = None
    given_image: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, kw_only=True)
class Shard:
    """The unit of retry and commit.

    Attributes:
        index: 0-based; names the folder `shards/000042`.
        task: what the replica does with the requests.
        requests: in order of `pair_index`.
    """

    index: int
    task: Task
    requests: tuple[PairRequest, ...]


@dataclass(frozen=True, kw_only=True)
class Pair:
    """One image and its report, as the replica made them.

    Attributes:
        request: what was asked for, with its seed.
        image: uint8 [H, W] (grey) or [H, W, 3] (RGB).
        image_codes: int32 [I], codebook ids in raster order.
        report: whole report, prompt included.
        prompt_chars: how many leading characters of `report` were given.
        report_logprob: mean log-probability of the generated report tokens when revealed, nats per token; NaN if all
            were given.
        image_logprob: the same for image codes.
        agreement: pointwise mutual information of the report given the image under the replica, nats per report token.
        embedding: float16 [E], pooled hidden state of the image slots.
        image_agreement: the same of the image given the report, nats per image code; NaN where the replica has none,
            as all that follows.
        fluency: log-likelihood of the report without the image, nats per report token.
        image_fluency: log-likelihood of the image without the report, nats per image code.
        sentence_agreement: agreement of each sentence that was not given as the domain's opening, in order.
        report_ids: int32 [T], the replica's report slots; empty where it has none. Not written: the text is.
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
    report_ids: NDArray[np.int32] = field(default_factory=lambda: np.zeros(0, np.int32))

    @property
    def pair_id(self) -> str:
        """The request's id."""
        return self.request.pair_id


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What the filters say about one pair.

    Attributes:
        kept: whether the policy keeps it.
        reasons: why it was dropped, `name<threshold` style, in filter order; empty when kept.
        scores: every score of every filter by column name (without the `score_` prefix), kept pairs too.
        labels: string facts found on the way, e.g. `findings_report` (comma separated).
    """

    kept: bool
    reasons: tuple[str, ...]
    scores: Mapping[str, float]
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Judged:
    """A pair with its verdict."""

    pair: Pair
    verdict: Verdict


@dataclass(frozen=True, kw_only=True)
class Quarantined:
    """A row that could not be made; kept with all that is needed to look into it.

    Attributes:
        request: prompt and seed.
        error: one line, class and message.
        traceback: full text.
        stage: `input`, `generate`, `judge` or `write`.
    """

    request: PairRequest
    error: str
    traceback: str
    stage: str


@dataclass(frozen=True, kw_only=True)
class FileRecord:
    """A written file.

    Attributes:
        path: POSIX path relative to the shard folder (or to the dataset, in the manifest).
        size: bytes.
        sha256: hex digest.
    """

    path: str
    size: int
    sha256: str


@dataclass(frozen=True, kw_only=True)
class ShardRecord:
    """What `_shard.json` holds: deterministic part first; `run` apart holds what differs between attempts.

    Attributes:
        index: shard.
        spec_sha256: of the job.
        model_sha256: of the weights.
        pairs: requests in the shard.
        kept: pairs in `pairs.parquet`.
        dropped: judged and dropped.
        quarantined: rows that could not be made.
        rejects: count by reason, sorted by reason.
        files: every file of the shard but `_shard.json`, sorted by path.
        run: seconds, device, attempt, hostname: never part of a digest.
    """

    index: int
    spec_sha256: str
    model_sha256: str
    pairs: int
    kept: int
    dropped: int
    quarantined: int
    rejects: Mapping[str, int]
    files: tuple[FileRecord, ...]
    run: Mapping[str, str | float | int] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class ReplicaFacts:
    """What a replica is: goes into the manifest.

    Attributes:
        model_sha256: of config and weights together.
        device: e.g. `cpu`, `NVIDIA H200`.
        versions: package -> version, sorted.
        training_data_terms: terms every output must carry.
    """

    model_sha256: str
    device: str
    versions: Mapping[str, str]
    training_data_terms: tuple[str, ...] = ()


class Replica(Protocol):
    """Something that makes pairs. `facts` says what it is."""

    facts: ReplicaFacts

    def generate(self, shard: Shard) -> list[Pair]:
        """One pair per request, in order.

        Each pair depends on its request alone (prompt, given parts, seed), not on its neighbours.

        Raises:
            RowError: one row cannot be made; calling again without that request makes the others unchanged.
        """


@runtime_checkable
class Shuffler(Protocol):
    """A replica that can also tell how pairs would agree if their reports were dealt wrongly."""

    def shuffled(self, pairs: Sequence[Pair], others: Sequence[Pair]) -> list[float]:
        """Agreement, both ways as the filter `agreement` scores it, of each pair's image with the other's report."""


class Filter(Protocol):
    """Something that judges a pair: pure, no I/O, no clock, no mutation."""

    @property
    def name(self) -> str:
        """What the job file calls it; its main score has the same name."""

    def judge(self, pair: Pair) -> Verdict:
        """Scores of the pair; `kept` is this filter's own view under its thresholds."""


class Writer(Protocol):
    """Something that writes a judged shard into a folder."""

    def write(
        self, folder: Path, shard: Shard, judged: Sequence[Judged], quarantined: Sequence[Quarantined]
    ) -> list[FileRecord]:
        """The files written below `folder`, sorted by path."""
