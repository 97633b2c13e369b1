"""The commands. Each imports what it needs when it runs, so that `medim plan` starts at once."""

from __future__ import annotations

import os
import sys
import traceback
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from medim_forge import __version__
from medim_forge.generator.cli.say import say
from medim_forge.generator.errors import DrainedError, MedimError, QuarantineError, SpecError
from medim_forge.generator.files import is_url
from medim_forge.generator.jobspec import (
    AugmentSpec,
    DataSpec,
    EvaluateSpec,
    GenerateSpec,
    JobSpec,
    TrainSpec,
    load_spec,
)

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

# Ray sets it for the driver of a submitted job, whose working directory is a copy that is deleted afterwards.
SUBMITTED_JOB = "RAY_JOB_CONFIG_JSON_ENV_VAR"

SpecFile = Annotated[
    Path, typer.Argument(metavar="SPEC", help="job file, e.g. jobs/quickstart.yaml; or a bundled job, e.g. quickstart")
]
Folder = Annotated[str, typer.Argument(metavar="DIR", help="output folder of a generate job, or s3://bucket/prefix")]
ShowInputs = Annotated[
    bool,
    typer.Option("--show-inputs", help="show here, and nowhere else, which file each row is that a message numbers"),
]
Out = Annotated[str | None, typer.Option("--out", metavar="DIR", help="replaces output.dir of the job file")]


def show_version(asked: bool) -> None:
    """The version is printed and the command over, if it was asked for."""
    if asked:
        say(__version__)
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=show_version, help="print the version and leave")
    ] = False,
) -> None:
    """Synthetic medical image-report pairs at scale: plan, preview, run, and look after a dataset."""


@app.command()
def plan(
    spec: SpecFile,
    out: Out = None,
    metadata: Annotated[
        bool, typer.Option("--metadata", help="one line of JSON for `ray job submit --metadata-json`")
    ] = False,
    show_inputs: ShowInputs = False,
) -> None:
    """Say what a job will make and what that costs; write nothing."""
    from medim_forge.generator.cli.inputs import naming, with_names
    from medim_forge.generator.cli.text import metadata_text, plan_text, settings_text

    job = load_spec(spec, out)
    if metadata:
        say(metadata_text(job))
    elif isinstance(job, GenerateSpec):
        with naming(job, show_inputs):
            say(with_names(job, plan_text(job), show_inputs))
    else:
        say(settings_text(job))


@app.command()
def preview(
    spec: SpecFile,
    pairs: Annotated[int, typer.Option(min=1, max=1000, help="how many pairs")] = 8,
    out: Out = None,
    show_inputs: ShowInputs = False,
) -> None:
    """Make a handful of pairs here and a contact sheet; measure what the whole job costs."""
    from medim_forge.generator.cli.inputs import naming
    from medim_forge.generator.cli.progress import shown
    from medim_forge.generator.cli.text import preview_text
    from medim_forge.generator.generate.preview import make_preview

    job = generate_job(load_spec(spec, out), "preview")
    refuse_lost_output(job)
    with shown(f"preview of {job.name}") as on_event, naming(job, show_inputs, on_event) as told:
        found = make_preview(job, pairs, told)
    say(preview_text(job, found))


@app.command()
def run(
    spec: SpecFile,
    local: Annotated[bool, typer.Option("--local", help="in this process, without Ray")] = False,
    out: Out = None,
    show_inputs: ShowInputs = False,
) -> None:
    """Make what is missing: run it again after any interruption and it continues."""
    from medim_forge.generator.cli.progress import shown

    job = load_spec(spec, out)
    refuse_lost_output(job)
    match job:
        case GenerateSpec():
            from medim_forge.generator.cli.inputs import lost_lines, naming
            from medim_forge.generator.cli.text import result_text
            from medim_forge.generator.generate import run_job

            with shown(job.name) as on_event, naming(job, show_inputs, on_event) as told:
                result = run_job(job, local=local, on_event=told)
            say("\n".join([result_text(result), *(lost_lines(job, result.out) if show_inputs else [])]))
        case TrainSpec():
            if local:
                raise SpecError(
                    f"{job.source}: --local is for jobs that make pairs; kind: train always runs in this process, so "
                    "leave --local out."
                )
            from medim_forge.generator.training import run as train

            with shown(job.name) as on_event:
                say(f"results: {train(job, on_event=on_event)}")
        case AugmentSpec():
            from medim_forge.generator.augmentation import run as augment

            with shown(job.name) as on_event:
                say(f"results: {augment(job, local=local, on_event=on_event)}")
        case EvaluateSpec():
            from medim_forge.generator.evaluation import run as evaluate

            with shown(job.name) as on_event:
                say(f"results: {evaluate(job, local=local, on_event=on_event)}")


@app.command()
def status(folder: Folder) -> None:
    """Say what is done, left, kept and rejected; needs no running cluster."""
    from medim_forge.generator.audit.status import status as look
    from medim_forge.generator.cli.text import status_text, training_text
    from medim_forge.generator.jobspec import TrainSpec
    from medim_forge.generator.store.folder import spec_of

    job = spec_of(folder)
    if isinstance(job, TrainSpec):
        from medim_forge.generator.training.status import training_status

        say(training_text(training_status(Path(folder), job)))
        return
    say(status_text(look(folder)))


@app.command()
def verify(folder: Folder) -> None:
    """Hash every file again, and check tables and DICOM objects against their schema."""
    from medim_forge.generator.audit.verify import verify as check
    from medim_forge.generator.cli.text import verified_text

    say(verified_text(check(folder)))


@app.command()
def reproduce(
    folder: Folder, pair_id: Annotated[str, typer.Argument(metavar="ID", help="pair_id, e.g. 3f2a9c1b-0000042")]
) -> None:
    """Make one pair again and compare it with what is stored."""
    from medim_forge.generator.audit.reproduce import reproduce as remake
    from medim_forge.generator.cli.text import reproduced_text

    say(reproduced_text(remake(folder, pair_id)))


@app.command()
def convert(
    backbone: Annotated[Path, typer.Option(metavar="PATH", help="official weights: a file, or a checkpoint_N folder")],
    tokenizer: Annotated[Path, typer.Option(metavar="DIR", help="Llama-2 tokenizer with <boi>, <eoi>, <eos> added")],
    vqgan: Annotated[Path, typer.Option(metavar="PATH", help="Chameleon's vqgan.ckpt, its yaml beside it")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="the checkpoint folder to make")],
    dtype: Annotated[str, typer.Option(help="source, float32, bfloat16 or float16")] = "source",
    config: Annotated[Path | None, typer.Option(help="config.json, for what shapes do not show")] = None,
    device_text: Annotated[str, typer.Option(help="device that the conditioning names, e.g. cuda:0")] = "",
    terms: Annotated[list[str] | None, typer.Option(help="terms of the training data; repeat for several")] = None,
) -> None:
    """Make a checkpoint folder of the published weights; strict, nothing is filled in."""
    from medim_forge.generator.cli.convert import convert_text

    say(
        convert_text(
            backbone=backbone,
            tokenizer=tokenizer,
            vqgan=vqgan,
            out=out,
            config=config,
            dtype=dtype,
            device_text=device_text,
            terms=tuple(terms or ()),
        )
    )


@app.command()
def refilter(folder: Folder, spec: SpecFile) -> None:
    """Apply the filters of a job file to stored scores; generate nothing, rewrite data/, card and manifest."""
    from medim_forge.generator.cli.text import refiltered_text
    from medim_forge.generator.finalise.refilter import refilter as decide

    say(refiltered_text(decide(folder, generate_job(load_spec(spec), "refilter"))))


@app.command()
def privacy(
    folder: Folder,
    reference: Annotated[str, typer.Argument(metavar="REFERENCE", help="what the model was trained on")],
    holdout: Annotated[str | None, typer.Option(help="records of the same kind that it was not trained on")] = None,
    image_column: Annotated[str, typer.Option(help="of Parquet")] = "image",
    report_column: Annotated[str, typer.Option(help="of Parquet")] = "report",
    show_inputs: ShowInputs = False,
) -> None:
    """Compare a dataset with training data (Parquet, or a folder of images) and put the result into its card."""
    from medim_forge.generator.audit.privacy import assess, record_privacy
    from medim_forge.generator.cli.text import privacy_text

    found = assess(folder, reference, holdout, image_column, report_column, named=show_inputs)
    record_privacy(folder, found)
    say(privacy_text(found))


@app.command()
def data(
    spec: SpecFile,
    sheet: Annotated[Path | None, typer.Option(metavar="FILE", help="draw 24 pairs as the model will see them")] = None,
) -> None:
    """Read a job's own image-report pairs: what is kept, what is left out and why; write nothing else."""
    from medim_forge.generator.cli.data import look_at_data

    for text in look_at_data(spec, sheet):
        say(text)


def generate_job(job: JobSpec, command: str) -> GenerateSpec:
    """The job, known to be one that makes pairs.

    Raises:
        SpecError: it is of another kind.
    """
    if not isinstance(job, GenerateSpec):
        raise SpecError(f"{job.source}: kind = {job.kind!r}; `medim {command}` is for kind: generate.")
    return job


def refuse_lost_output(job: JobSpec) -> None:
    """The output folder outlives the job.

    Raises:
        SpecError: it is relative, and this is the driver of a submitted Ray job; or the job makes nothing.
    """
    if isinstance(job, DataSpec):
        raise SpecError(f"{job.source}: kind: data makes nothing; `medim data` looks at its pairs.")
    place = job.output.dir
    if SUBMITTED_JOB in os.environ and not is_url(place) and not Path(place).is_absolute():
        raise SpecError(
            f"{job.source}: output.dir = {place!r} is relative, and in a submitted Ray job it would be lost "
            f"with the working copy. Give an absolute folder that all nodes see, e.g. --out /mnt/shared/{job.name}."
        )


def exit_code(error: BaseException) -> int:
    """3 for too many quarantined rows, 143 for a drained job, 1 for anything else."""
    if isinstance(error, QuarantineError):
        return 3
    return 143 if isinstance(error, DrainedError) else 1


def main() -> NoReturn:
    """Run the command that was asked for, and leave with its exit code."""
    try:
        app()
    except MedimError as error:
        say(f"medim: {error}", error=True)
        sys.exit(exit_code(error))
    except Exception:  # noqa: BLE001 - none of ours: all of it is shown, with controls written out
        say(traceback.format_exc(), error=True)
        sys.exit(1)
    except SystemExit as leaving:
        # The library leaves with 2 for a wrong option and 130 for Ctrl-C.
        if leaving.code == 130:
            say("medim: interrupted; run the same command to go on: what is committed stays.", error=True)
        sys.exit(leaving.code or 0)
    sys.exit(0)
