"""What the filters find of faults that were planted: ROC AUC by fault, the funnel of a policy, seconds per pair.

    python -m benchmarks.filters --out filters.json

Clean pairs are phantoms, their images encoded by the checkpoint and decoded again. Each fault is planted in a copy of
every pair; the AUC is that of the score that is to find it, clean against faulty. Wrong reports are those of another
phantom with other findings; swapped sides say left for right and right for left. Both are scored by the checkpoint.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from sklearn.metrics import roc_auc_score

from benchmarks.context import context, deliver, parser
from benchmarks.planted import PLANT
from benchmarks.scoring import TASKS, share
from medim_forge.generator.filters import build_filters
from medim_forge.generator.filters.agreement import both_ways
from medim_forge.generator.jobspec import FilterSection
from medim_forge.generator.phantoms import OPENING, draw, read_findings
from medim_forge.generator.records import Domain, Pair, PairRequest, Prompt
from medim_forge.generator.similarity.nearest import NearIndex
from medim_forge.generator.similarity.signature import sign
from medim_forge.model import checkpoint
from medim_forge.model.cost import LEAN_RATIOS, MASK_RATIOS
from medim_forge.model.medim import Given, Medim
from medim_forge.model.scoring import Scores
from medim_forge.model.text import TextError

BATCH = 16
FAULTS: dict[str, tuple[str, int]] = {
    # fault: the score that is to find it, and 1 where faulty pairs score higher
    "blur": ("sharpness", -1),
    "bars": ("bars", 1),
    "blank": ("std", -1),
    "tint": ("chroma", 1),
    "empty_glass": ("tissue", -1),
    "misspelt": ("nonwords", 1),
    "cut_off": ("report_finished", -1),
    "repeated": ("report_repeats", 1),
    "identifier": ("report_clean", -1),
    "prior": ("references", 1),
    "contradiction": ("contradictions", 1),
    "disorder": ("fluency", -1),
    "near_copy": ("near_duplicates", 1),
    "wrong_report": ("agreement", -1),
    "swapped_sides": ("agreement", -1),
}
ONLY: dict[str, Domain] = {"tint": "chest_xray", "swapped_sides": "chest_xray", "empty_glass": "pathology"}


class Policy:
    """A job's filters: all of them, with the policy that the funnel shows."""

    filters = (
        FilterSection(name="image_stats", drop_below=1.0, options={"min_std": 2.0, "max_bars": 0.1, "max_chroma": 2.0}),
        FilterSection(name="report_form", drop_below=0.5),
        FilterSection(name="nonwords", drop_above=0.1),
        FilterSection(name="references", drop_above=0.0),
        FilterSection(name="contradictions", drop_above=0.0),
        FilterSection(name="agreement", drop_below=0.0),
    )


def main() -> None:
    """Measure and deliver."""
    options = parser(__doc__)
    options.add_argument("--pairs", type=int, default=96, help="clean phantoms per domain")
    given = options.parse_args()
    torch.set_num_threads(1)
    folder = checkpoint.resolve(given.checkpoint)
    model = Medim.load(folder)
    result: dict[str, Any] = {"benchmark": "filters", "pairs": given.pairs, "model_sha256": checkpoint.sha256(folder)}
    for domain in ("chest_xray", "pathology"):
        result[domain] = measured(model, domain, given.pairs)
    result["scoring_share_of_sampling"] = {task: share(task, given.checkpoint) for task in TASKS}
    deliver({**result, **context("cpu")}, given.out)


def measured(model: Medim, domain: Domain, count: int) -> dict[str, Any]:
    """The figures of one domain."""
    clean = [clean_pair(model, domain, index) for index in range(count)]
    started = time.process_time()
    clean = rescored(model, clean)
    scoring = (time.process_time() - started) / count
    seconds: dict[str, float] = {}
    clean_scores = judged(clean, seconds)
    pairs: dict[str, list[Pair]] = {"clean": clean}
    found: dict[str, Any] = {}
    for fault, (score, sign_of) in FAULTS.items():
        if ONLY.get(fault, domain) != domain:
            continue
        kept, planted = planted_pairs(model, fault, clean)
        pairs[fault] = planted
        good = [clean_scores[one.pair_id][score] for one in kept]
        bad = [one[score] for one in judged(planted, {}).values()]
        if fault == "near_copy":
            good, bad = near_scores(clean, clean), near_scores(clean, planted, beside=True)
        found[fault] = {"score": score, "pairs": len(bad), "auc": auc(bad, good, sign_of)}
        if fault in ("wrong_report", "swapped_sides"):
            found[fault] |= ways(planted, kept)
    one_set = rescored(model, clean, LEAN_RATIOS), rescored(model, pairs["wrong_report"], LEAN_RATIOS)
    bad, good = ([both_ways(one.agreement, one.image_agreement) for one in some] for some in reversed(one_set))
    found["wrong_report"]["auc_with_one_mask_set"] = auc(bad, good, -1)
    return {
        "faults": found,
        "funnel": {fault: funnel(some) for fault, some in pairs.items()},
        "ms_per_pair": {name: round(1000 * value / count, 3) for name, value in seconds.items()},
        "near_ms_per_pair": near_cost(clean),
        "scoring_ms_per_pair": round(1000 * scoring, 1),
    }


def clean_pair(model: Medim, domain: Domain, index: int) -> Pair:
    """A phantom as the checkpoint's image tokenizer gives it back."""
    phantom = draw(domain, 900_000 + index)
    slots = model.layout.report_slots
    state = model.initial_state(Given(domain=domain, seed=index, report=phantom.report, image=phantom.image))
    codes = model.layout.to_codes(state[slots:], domain).to(torch.int32).numpy()
    prompt = Prompt(domain=domain, text=OPENING[domain])
    return Pair(
        request=PairRequest(pair_id=f"clean-{index:05d}", pair_index=index, seed=index, prompt=prompt),
        image=phantom.image,
        image_codes=codes,
        report=phantom.report,
        prompt_chars=0,
        report_logprob=-1.0,
        image_logprob=-1.0,
        agreement=0.0,
        embedding=np.zeros(1, np.float16),
    )


def rescored(model: Medim, pairs: Sequence[Pair], ratios: Sequence[float] = MASK_RATIOS) -> list[Pair]:
    """The pairs with what the checkpoint says of image codes and report."""
    found: list[Pair] = []
    for start in range(0, len(pairs), BATCH):
        part = pairs[start : start + BATCH]
        rows = [Given(domain=one.request.prompt.domain, seed=one.request.seed, report=one.report) for one in part]
        openings = [OPENING[one.domain] for one in rows]
        with torch.inference_mode():
            scores = model.scorer(rows, [one.image_codes for one in part], openings, ratios).score()
        found += [with_scores(one, scores, place) for place, one in enumerate(part)]
    return found


def with_scores(pair: Pair, scores: Scores, place: int) -> Pair:
    """The pair with the scores of one row."""
    slots = scores.slot_agreement[place]
    return replace(
        pair,
        agreement=float(scores.agreement[place]),
        image_agreement=float(scores.image_agreement[place]),
        fluency=float(scores.fluency[place]),
        sentence_agreement=tuple(slots[~slots.isnan()].tolist()),
        embedding=scores.embedding[place].numpy(),
    )


def planted_pairs(model: Medim, fault: str, clean: Sequence[Pair]) -> tuple[list[Pair], list[Pair]]:
    """Clean pairs that can have the fault, and each of them with it."""
    rng = np.random.default_rng(1)
    kept, faulty = [], []
    for place, pair in enumerate(clean):
        made = replace(pair, report=wrong_report(clean, place)) if fault == "wrong_report" else PLANT[fault](pair, rng)
        if made.report != pair.report or made.image is not pair.image:
            kept.append(pair)
            faulty.append(made)
    if fault in ("wrong_report", "swapped_sides", "disorder"):
        fitting = [place for place, one in enumerate(faulty) if fits(model, one.report)]
        kept, faulty = [kept[place] for place in fitting], rescored(model, [faulty[place] for place in fitting])
    return kept, faulty


def fits(model: Medim, report: str) -> bool:
    """Whether the checkpoint's report slots can hold it."""
    try:
        model.report_ids(report, whole=True)
    except TextError:
        return False
    return True


def wrong_report(clean: Sequence[Pair], place: int) -> str:
    """The report of the next phantom with other findings."""
    mine = read_findings(clean[place].report)
    others = (clean[(place + step) % len(clean)].report for step in range(1, len(clean)))
    return next(report for report in others if read_findings(report) != mine)


def judged(pairs: Sequence[Pair], seconds: dict[str, float]) -> dict[str, dict[str, float]]:
    """Every score of every pair; the time that each filter took is added to `seconds`."""
    found: dict[str, dict[str, float]] = {one.pair_id: {} for one in pairs}
    for one in build_filters(Policy()):
        started = time.process_time()
        for pair in pairs:
            found[pair.pair_id].update(one.judge(pair).scores)
        seconds[one.name] = time.process_time() - started
    return found


def near_scores(clean: Sequence[Pair], pairs: Sequence[Pair], *, beside: bool = False) -> list[float]:
    """Similarity of each pair to the nearest clean one; to another one than itself unless `beside`."""
    signatures = [sign(pair) for pair in clean]
    found = []
    for place, pair in enumerate(pairs):
        index = NearIndex()
        for other, signature in enumerate(signatures):
            if beside or other != place:
                index.add(signature)
        found.append(index.nearest(sign(pair)).both)
    return found


def near_cost(clean: Sequence[Pair]) -> float:
    """Milliseconds for the signature of a pair and its comparison with the others."""
    started, index = time.process_time(), NearIndex()
    for pair in clean:
        signature = sign(pair)
        index.nearest(signature)
        index.add(signature)
    return round(1000 * (time.process_time() - started) / len(clean), 3)


def ways(faulty: Sequence[Pair], clean: Sequence[Pair]) -> dict[str, float]:
    """The AUC of either way alone, and of the least agreeing sentence."""
    measures: dict[str, Callable[[Pair], float]] = {
        "auc_report_given_image": lambda one: one.agreement,
        "auc_image_given_report": lambda one: one.image_agreement,
        "auc_least_sentence": lambda one: min(one.sentence_agreement),
    }
    return {name: auc([*map(of, faulty)], [*map(of, clean)], -1) for name, of in measures.items()}


def auc(bad: Sequence[float], good: Sequence[float], sign_of: int) -> float:
    """Chance that a faulty pair scores worse than a clean one."""
    values = sign_of * np.nan_to_num(np.array([*bad, *good]), nan=0.0)
    return round(float(roc_auc_score([1] * len(bad) + [0] * len(good), values)), 4)


def funnel(pairs: Sequence[Pair]) -> dict[str, int]:
    """How many of the pairs are left after each filter of the policy."""
    left, found = list(pairs), {"pairs": len(pairs)}
    named = {rule.name for rule in Policy.filters}
    for one in build_filters(Policy()):
        if one.name in named:
            left = [pair for pair in left if one.judge(pair).kept]
            found[one.name] = len(left)
    return found


if __name__ == "__main__":
    main()
