"""What stands around the rows and fails blames none of them: the job stops and says why, and a rerun completes it."""

from __future__ import annotations

import errno
import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from medim_forge.generator.errors import BlamelessError, DeviceMemoryError, EnvironmentFault, RowError, is_environment
from medim_forge.generator.filters.image_stats import ImageStats
from medim_forge.generator.inputs import parquet
from medim_forge.generator.inputs.drawn import PhantomRows
from medim_forge.generator.inputs.row_groups import ColumnReader
from medim_forge.generator.inputs.survey import survey_inputs
from medim_forge.generator.jobspec.inputs import PhantomInputs
from medim_forge.generator.shards import make
from medim_forge.generator.store import SUCCESS, store_at
from medim_forge.generator.store.local import LocalStore
from medim_forge.generator.tracing import portable_traceback
from tests.doubles.toy_jobs import run
from tests.doubles.toy_replica import FaultyWriter, ToyReplica, content_of, toy_job

KINDS = [
    "ESTALE",
    "EIO",
    "ENOENT",
    "ENOTDIR",
    "ETIMEDOUT",
    "ENODEV",
    "EHOSTDOWN",
    "EACCES",
    "EPERM",
    "EMFILE",
    "ENFILE",
]
STAGES = {
    "file": (Path, "read_bytes"),
    "table": (ColumnReader, "_step"),
    "generate": (ToyReplica, "generate"),
    "sign": (make, "sign"),
    "filter": (ImageStats, "judge"),
    "compare": (make, "related"),
    "write": (FaultyWriter, "write"),
    "commit": (LocalStore, "commit"),
}


@dataclass
class Fault:
    """Fires at every call but the first two, and where a file is read only for inputs."""

    error: BaseException
    armed: bool = True
    calls: int = 0
    fired: list[str] = field(default_factory=list)

    def put(self, patch, owner, name):
        real = getattr(owner, name)

        def failing(*args, **kwargs):
            if self.armed and (owner is not Path or Path(args[0]).parent.name == "given"):
                self.calls += 1
                if self.calls > 2:
                    self.fired.append(name)
                    raise self.error
            return real(*args, **kwargs)

        patch.setattr(owner, name, failing)
        self.spare_the_plan(patch)

    def spare_the_plan(self, patch):
        """While the job is planned, which reads all inputs, nothing fires; what was read then is not kept in memory."""

        def survey(spec):
            self.armed = False
            found = survey_inputs(spec)
            parquet._reader.cache_clear()
            self.armed = True
            return found

        patch.setattr("medim_forge.generator.generate.job.survey_inputs", survey)


def job(folder, stage):
    folder.mkdir(exist_ok=True)
    if stage not in ("file", "table"):
        return toy_job(folder)
    given = folder / "given"
    given.mkdir(exist_ok=True)
    drawn = PhantomRows(PhantomInputs(source="phantoms", domain="chest_xray", pairs=8))
    images = [drawn.image(row) for row in range(8)]
    if stage == "file":
        for row, image in enumerate(images):
            (given / f"{row}.png").write_bytes(image)
    else:
        pq.write_table(pa.table({"image": images}), given / "images.parquet", row_group_size=2)
    inputs = {"source": "images" if stage == "file" else "parquet", "path": str(given), "domain": "chest_xray"}
    return toy_job(folder, task="image_to_report", prompts=[], inputs=inputs)


def error_of(kind):
    if kind == "MemoryError":
        return MemoryError()
    number = getattr(errno, kind)
    return OSError(number, os.strerror(number), "/share/smith^john.png")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """A job whose output is not there any more, and what it was."""
    known = {}

    def of(stage):
        if stage not in known:
            spec = job(tmp_path_factory.mktemp(stage), stage)
            run(spec)
            known[stage] = spec, content_of(Path(spec.output.dir))
        shutil.rmtree(known[stage][0].output.dir)
        parquet._reader.cache_clear()  # what was read is in memory, where no fault of a disk is met
        return known[stage]

    return of


@pytest.mark.parametrize(
    ("stage", "kind"),
    [
        *((stage, kind) for stage in STAGES for kind in ("EIO", "MemoryError")),
        *(("file", kind) for kind in ("ESTALE", "ENOENT", "EACCES", "EMFILE")),
    ],
)
def test_a_fault_of_the_environment_stops_the_job_blames_no_row_and_a_rerun_completes_it(undisturbed, stage, kind):
    (spec, expected), fault = undisturbed(stage), Fault(error_of(kind))
    with pytest.MonkeyPatch.context() as patch:
        fault.put(patch, *STAGES[stage])
        with pytest.raises(BlamelessError, match=r"run the\s+same command|medim preview") as caught:
            run(spec)
    assert len(fault.fired) >= 2, "the fault happened, and happened again when the shard was retried"
    assert "smith" not in str(caught.value)
    assert "Tried 2 times." in str(caught.value)
    store = store_at(spec.output.dir)
    assert not any(record.counts.quarantined for record in store.committed())
    run(spec)
    assert store.exists(SUCCESS)
    assert content_of(Path(spec.output.dir)) == expected


@pytest.mark.parametrize(("stage", "kind"), [("file", "EACCES"), ("file", "MemoryError"), ("table", "EIO")])
def test_a_fault_while_the_inputs_are_planned_is_told_by_row_and_leaves_nothing(tmp_path, stage, kind):
    spec, fault = job(tmp_path / "job", stage), Fault(error_of(kind))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fault, "spare_the_plan", lambda patch: None)
        fault.put(patch, *STAGES[stage])
        told = "memory ran out" if kind == "MemoryError" else r"row \d.* cannot be read"
        with pytest.raises(
            EnvironmentFault, match=rf"the inputs cannot be read.*{told}.*run the same command"
        ) as caught:
            run(spec)
    assert fault.fired
    assert "smith" not in portable_traceback(caught.value)
    assert not Path(spec.output.dir).exists()


def test_a_comparison_that_fails_for_any_reason_ends_the_job_with_the_cause(tmp_path):
    spec, fault = job(tmp_path / "job", "compare"), Fault(ZeroDivisionError("no pairs"))
    with pytest.MonkeyPatch.context() as patch:
        fault.put(patch, *STAGES["compare"])
        with pytest.raises(BlamelessError, match="comparing the pairs of a shard failed: ZeroDivisionError: no pairs"):
            run(spec)
    assert len(fault.fired) == 2
    store = store_at(spec.output.dir)
    assert not any(record.counts.quarantined for record in store.committed())
    run(spec)
    assert store.exists(SUCCESS)


def test_a_fault_that_passes_costs_nothing(tmp_path):
    spec, fault = job(tmp_path / "job", "table"), Fault(error_of("ESTALE"))
    real = ColumnReader._step

    def once(reader):
        fault.calls += fault.armed
        if fault.armed and fault.calls == 3:
            fault.fired.append("step")
            raise fault.error
        real(reader)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ColumnReader, "_step", once)
        fault.spare_the_plan(patch)
        run(spec)
    assert fault.fired == ["step"]
    assert store_at(spec.output.dir).exists(SUCCESS)


@pytest.mark.parametrize("kind", [*KINDS, "ENOSPC", "MemoryError"])
def test_every_fault_of_the_environment_is_known_as_one(kind):
    assert is_environment(error_of(kind))


@pytest.mark.parametrize("error", [ValueError("x"), OSError("image file is truncated"), OSError(errno.EINVAL, "x")])
def test_errors_of_content_are_not_of_the_environment(error):
    assert not is_environment(error)


def test_the_cause_of_an_error_counts_and_what_was_merely_handled_before_it_does_not():
    def raised(explicit):
        try:
            raise OSError(errno.EIO, "Input/output error")
        except OSError as error:
            if explicit:
                raise RowError("7", "failed") from error
            raise RowError("7", "failed")  # noqa: B904 - that is what is tried

    for explicit in (True, False):
        with pytest.raises(RowError) as caught:
            raised(explicit)
        assert is_environment(caught.value) == explicit
    assert all(is_environment(kind("x")) for kind in (EnvironmentFault, DeviceMemoryError, MemoryError, TimeoutError))
