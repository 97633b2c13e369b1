"""What each score column says, in the words of files, cards and docs."""

from __future__ import annotations

from medim_forge.generator.filters.observations import OBSERVATIONS

SCORE_PREFIX = "score_"
_SCORES = {
    "image_stats": "main score: 1 when every image statistic is within its bound",
    "sharpness": "variance of the 4-neighbour Laplacian, grey levels squared",
    "entropy": "entropy of the 256-bin histogram, bits",
    "saturation": "share of pixels at level 2 or below, or 253 or above",
    "std": "standard deviation, grey levels",
    "bars": "largest share of a side taken by flat rows or columns at the border",
    "chroma": "mean spread between colour channels, levels",
    "tissue": "share of pixels that are not empty glass",
    "report_form": "main score: how well formed the report is, in [0, 1]",
    "report_words": "words",
    "report_repeats": "largest share of repeated sentences, eight-word runs or doubled words",
    "report_finished": "1 when the report ends with closing punctuation",
    "report_clean": "1 when it holds no blank of de-identification, date or record number",
    "in_grammar": "1 when the embedded grammar knows every sentence, the form is complete and the domain is right",
    "consistent": "1 when the impression agrees with the findings and nothing is contradicted",
    "nonwords": "share of words of four letters or more that no lexicon knows",
    "references": "sentences that refer to what one image cannot show",
    "references_prior": "of these, to earlier examinations",
    "references_view": "of these, to other views or methods",
    "contradictions": "things that the report both asserts and denies",
    "labels": "observations that the report asserts, `no_finding` not counted",
    "fluency": "log-likelihood of the report without the image, nats per report token",
    "agreement": "mean of `agreement` and `image_agreement`",
    "agreement_report": "the same number as `agreement`",
    "agreement_image": "the same number as `image_agreement`",
    "agreement_sentence": "least number in `sentence_agreement`",
    "agreement_shuffled": (
        "what `score_agreement` would be with the report of another pair of the shard: the distribution that "
        "a threshold's false positives come from"
    ),
    "duplicates": "1 for an exact copy of an earlier pair of the shard, else 0",
    "near_duplicates": (
        "similarity to the nearest earlier pair of the shard, in [0, 1], by image and report both unless the "
        "job says otherwise"
    ),
    "near_image": (
        "the same of images: 1 less the share of differing hash bits (chest), or the cosine of embeddings (pathology)"
    ),
    "near_report": "the same of reports: Jaccard index of five-character shingles, by MinHash",
}
_SCORES |= {f"label_{name}": f"{name.replace('_', ' ')}: 1 asserted, 0 denied, -1 in doubt" for name in OBSERVATIONS}


def described(score: str) -> str:
    """What a score says; of a plugin only that it is its."""
    known = _SCORES.get(score)
    if known is None:
        return f"Number of the plugin {score}; null when it is not defined."
    return f"{known[0].upper()}{known[1:]}; null when it is not defined."
