"""DICOM: an image and a structured report for every kept pair, in one study of one synthetic patient."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from medim_forge.generator.dataset import Provenance
from medim_forge.generator.errors import RowError
from medim_forge.generator.jobspec import DicomSection
from medim_forge.generator.records import FileRecord, Judged, Pair, Quarantined, Shard
from medim_forge.generator.writers.dicom.archive import IMAGE_FILE, REPORT_FILE, Item, write_objects
from medim_forge.generator.writers.dicom.encode import TRANSFER_SYNTAXES, encode_dicom
from medim_forge.generator.writers.dicom.image import image_dataset
from medim_forge.generator.writers.dicom.report import report_dataset
from medim_forge.generator.writers.dicom.study import contribution
from medim_forge.generator.writers.uids import pair_uids


class DicomWriter:
    """Writes image and report of kept pairs: `dicom/<pair_id>/{image,report}.dcm`, or an archive of them.

    Args:
        provenance: of the job.
        section: `output.dicom` of the job.

    Raises:
        SpecError: the checkpoint's terms do not fit where DICOM wants them.
    """

    def __init__(self, provenance: Provenance, section: DicomSection) -> None:
        contribution(provenance)
        self.provenance = provenance
        self.section = section

    def write(
        self,
        folder: Path,
        shard: Shard,  # noqa: ARG002 - the `Writer` protocol
        judged: Sequence[Judged],
        quarantined: Sequence[Quarantined],  # noqa: ARG002 - the same
    ) -> list[FileRecord]:
        """Writes the objects of every kept pair; dropped and quarantined rows get none.

        Raises:
            RowError: a pair cannot be written as DICOM.
        """
        return write_objects(folder, self._items(judged), self.section.archive)

    def objects(self, pair: Pair) -> dict[str, bytes]:
        """The files of one pair by name.

        Raises:
            RowError: the pair cannot be written as DICOM.
        """
        uids = pair_uids(self.provenance, pair)
        image = image_dataset(self.provenance, pair, uids, self.section)
        report = report_dataset(self.provenance, pair, uids, image)
        syntax = TRANSFER_SYNTAXES[self.section.transfer_syntax]
        try:
            content = encode_dicom(image, syntax)
        except RuntimeError as error:
            size = f"{image.Columns} x {image.Rows} pixels"
            raise RowError(
                pair.pair_id,
                f"its image of {size} cannot be encoded as {syntax.name} ({error}); "
                "JPEG 2000 wants at least 32 pixels a side. Choose another output.dicom.transfer_syntax",
            ) from error
        return {IMAGE_FILE: content, REPORT_FILE: encode_dicom(report)}

    def _items(self, judged: Sequence[Judged]) -> Iterator[Item]:
        for item in judged:
            if item.verdict.kept:
                for name, content in self.objects(item.pair).items():
                    yield item.pair.pair_id, name, content
