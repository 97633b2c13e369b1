"""DICOM of pairs that their shard dropped and another policy takes back: `restored/<pair_id>/{image,report}.dcm`.

Shards are never rewritten, so such objects lie beside them. They are the ones that the shard would have written.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from generator.provenance import Provenance
from generator.records import FileRecord, Pair, PairRequest, Prompt
from generator.spec_sections import DicomSection
from generator.writers.dicom_archive import IMAGE_FILE
from generator.writers.png import decode_png, sha256_hex
from generator.writers.uids import pair_uids

RESTORED = "restored"


class RestoredObjects:
    """Writes them into a folder.

    Args:
        provenance: of the job.
        section: `output.dicom` of the job; None writes nothing.
        folder: that will be `restored/`.
    """

    def __init__(self, provenance: Provenance, section: DicomSection | None, folder: Path) -> None:
        self._provenance, self._section, self._folder = provenance, section, folder
        self.files: list[FileRecord] = []

    def described(self, table: pa.Table, places: Sequence[int]) -> pa.Table:
        """The table, its rows at `places` with the objects that are written now.

        Args:
            table: rows of `data/`.
            places: of restored pairs.

        Raises:
            RowError: a pair cannot be written as DICOM.
        """
        if self._section is None or not places:
            return table
        uids, paths = table.column("sop_instance_uid").to_pylist(), table.column("dicom_path").to_pylist()
        for place in places:
            pair = pair_of(table.slice(place, 1).to_pylist()[0])
            self._write(pair, self._section)
            uids[place] = pair_uids(self._provenance, pair).image
            paths[place] = f"{RESTORED}/{pair.pair_id}/{IMAGE_FILE}"
        for name, values in (("sop_instance_uid", uids), ("dicom_path", paths)):
            field = table.schema.field(name)
            table = table.set_column(table.schema.get_field_index(name), field, pa.array(values, field.type))
        return table

    def _write(self, pair: Pair, section: DicomSection) -> None:
        # Only where such a pair comes along: importing it takes a second.
        from generator.writers.dicom import DicomWriter

        for name, content in DicomWriter(self._provenance, section).objects(pair).items():
            path = self._folder / pair.pair_id / name
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(content)
            record = FileRecord(path=f"{RESTORED}/{pair.pair_id}/{name}", size=len(content), sha256=sha256_hex(content))
            self.files.append(record)


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
