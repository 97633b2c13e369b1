"""Requests and pairs of a job as rows of the model, and what the model made as pairs of the job."""

from __future__ import annotations

from medim_forge.generator.errors import InputError, RowError
from medim_forge.generator.inputs.images import image_size, read_image
from medim_forge.generator.records import Pair, PairRequest
from medim_forge.generator.tracing import wordless
from medim_forge.model.layout import LayoutError
from medim_forge.model.medim import Given, Made, Medim
from medim_forge.model.text import TextError


def given_row(request: PairRequest, model: Medim, *, official: bool) -> Given:
    """What a request gives the model, known to fit it.

    Args:
        request: of a pair.
        model: that will make it.
        official: whether it will be sampled as the published code does, which has its own rule for prompts.

    Raises:
        RowError: its image or text cannot be used.
    """
    try:
        model.tokenizer_of(request.prompt.domain)
        image = size = None
        if request.given_image is not None:
            image = read_image(request.given_image, request.prompt.domain, model.config)
            size = image_size(request.given_image)
        given = Given(
            domain=request.prompt.domain,
            seed=request.seed,
            opening=model.config.conventions.prompt(request.prompt.text) if official else request.prompt.text,
            report=request.given_report,
            image=image,
            size=size,
        )
        text = given.opening if given.report is None else given.report
        if text:
            model.report_ids(text, whole=given.report is not None, official=official)
        model.conditioned([given])
    except (InputError, TextError, LayoutError) as error:
        # A given report may be about somebody; the words of a prompt stand in the job file.
        if isinstance(error, TextError) and request.given_report is not None:
            raise RowError(request.pair_id, error.plain) from wordless(error)
        raise RowError(request.pair_id, str(error)) from wordless(error)
    return given


def finished_row(pair: Pair) -> Given:
    """A finished pair as a row whose report is given, in the pieces that it was sampled in."""
    image = pair.request.given_image
    return Given(
        domain=pair.request.prompt.domain,
        seed=pair.request.seed,
        report=pair.report,
        report_ids=pair.report_ids if len(pair.report_ids) else None,
        size=None if image is None else image_size(image),
    )


def pair_of(request: PairRequest, given: Given, made: Made) -> Pair:
    """The pair that was made of a request."""
    visible = given.report if given.report is not None else given.opening
    # A report that keeps its special tokens begins with one.
    start = made.report.find(visible)
    # Bytes that a report goes on with can spoil the last character of its prompt, which then is not found.
    prompt_chars = start + len(visible) if start >= 0 else min(len(visible), len(made.report))
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
        image_novelty=made.image_novelty,
        report_novelty=made.report_novelty,
        report_ids=made.report_ids,
    )
