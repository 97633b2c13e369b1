"""DICOM of pairs that their shard dropped and another policy takes back: `restored/<pair_id>/{image,report}.dcm`.

Shards are never rewritten, so these objects lie beside them. Their bytes are those that the shard would have written.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from medim_forge.generator.dataset import Provenance
from medim_forge.generator.dataset.png import decode_png
from medim_forge.generator.errors import RowError
from medim_forge.generator.files import sha256_hex
from medim_forge.generator.jobspec import DicomSection
from medim_forge.generator.records import FileRecord, Pair, PairRequest, Prompt
from medim_forge.generator.writers.dicom.archive import IMAGE_FILE
from medim_forge.generator.writers.uids import pair_uids

RESTORED = "restored"


class RestoredObjects:
    """Writes the objects of restored pairs into a folder, and remembers which it has written.

    Args:
        provenance: of the job.
        section: `output.dicom` of the job; None writes nothing.
        folder: that will be `restored/`; it is made here.
    """

    def __init__(self, provenance: Provenance, section: DicomSection | None, folder: Path) -> None:
        self._provenance, self._section, self.folder = provenance, section, folder
        folder.mkdir(parents=True)
        self._uids: dict[str, str] = {}
        self.files: list[FileRecord] = []

    def write(self, row: Mapping[str, Any]) -> bool:
        """Whether the objects of a row, image included, could be written; without DICOM there is nothing to write.

        A shard quarantines what cannot be written, but writes nothing of what it drops, so that nobody has tried yet.
        """
        if self._section is None:
            return True
        # Only where such a pair comes along: importing it takes a second.
        from medim_forge.generator.writers.dicom.writer import DicomWriter

        pair = pair_of(row)
        try:
            objects = DicomWriter(self._provenance, self._section).objects(pair)
        except RowError:
            return False
        for name, content in objects.items():
            path = self.folder / pair.pair_id / name
            path.parent.mkdir(exist_ok=True)
            with path.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            record = FileRecord(path=f"{RESTORED}/{pair.pair_id}/{name}", size=len(content), sha256=sha256_hex(content))
            self.files.append(record)
        self._uids[pair.pair_id] = pair_uids(self._provenance, pair).image
        return True

    def with_objects(self, table: pa.Table) -> pa.Table:
        """The same rows, whose DICOM columns name the objects that were written here, where there are any."""
        ids = table.column("pair_id").to_pylist()
        if not any(pair_id in self._uids for pair_id in ids):
            return table
        found = {
            "sop_instance_uid": [self._uids.get(pair_id) for pair_id in ids],
            "dicom_path": [f"{RESTORED}/{pair_id}/{IMAGE_FILE}" if pair_id in self._uids else None for pair_id in ids],
        }
        for name, values in found.items():
            field, old = table.schema.field(name), table.column(name).to_pylist()
            merged = [new or before for new, before in zip(values, old, strict=True)]
            table = table.set_column(table.schema.get_field_index(name), field, pa.array(merged, field.type))
        return table


def pair_of(row: Mapping[str, Any]) -> Pair:
    """The pair that a row holds, as far as writers read it."""
    prompt = Prompt(domain=row["domain"], text=row["prompt"], findings=tuple(row["findings_asked"]))
    request = PairRequest(
        pair_id=row["pair_id"],
        pair_index=row["pair_index"],
        seed=row["seed"],
        prompt=prompt,
        repeats=row["repeats"],
    )
    return Pair(
        request=request,
        image=decode_png(row["image"]["bytes"]),
        image_codes=np.asarray(row["image_codes"], np.int32),
        report=row["report"],
        prompt_chars=row["prompt_chars"],
        report_logprob=_number(row["report_logprob"]),
        image_logprob=_number(row["image_logprob"]),
        agreement=_number(row["agreement"]),
        embedding=np.asarray(row["embedding"], np.float16),
    )


def _number(value: float | None) -> float:
    return math.nan if value is None else value
