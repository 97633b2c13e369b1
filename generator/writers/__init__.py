"""What a judged shard is written as: Parquet always, DICOM when the job asks for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from medim_forge.generator.contracts import Writer
from medim_forge.generator.dataset import provenance_of
from medim_forge.generator.records import ReplicaFacts
from medim_forge.generator.writers.parquet import ParquetWriter

if TYPE_CHECKING:
    from medim_forge.generator.jobspec import GenerateSpec


def build_writers(spec: GenerateSpec, facts: ReplicaFacts) -> list[Writer]:
    """The writers of a job, in the order they run.

    Raises:
        SpecError: the checkpoint's terms do not fit where DICOM wants them.
    """
    provenance = provenance_of(spec, facts)
    section = spec.output.dicom
    archive = None if section is None else section.archive
    writers: list[Writer] = [ParquetWriter(provenance, dicom=section is not None, archive=archive)]
    if section is not None:
        # pydicom and highdicom take half a second to import; a job without DICOM does not pay for them.
        from medim_forge.generator.writers.dicom.writer import DicomWriter

        writers.append(DicomWriter(provenance, section))
    return writers
