"""Parquet: `pairs.parquet` holds the kept pairs, `_rejected.parquet` all other rows with the reason of each."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from medim_forge.generator.dataset import PAIRS_FILE, REJECTED_FILE, Provenance
from medim_forge.generator.dataset.png import encode_png
from medim_forge.generator.dataset.schema import INPUT_PREFIX, ROW_GROUP_ROWS, columns, pairs_schema, rejected_schema
from medim_forge.generator.errors import RowError
from medim_forge.generator.files import sha256_hex
from medim_forge.generator.filters import SCORE_PREFIX
from medim_forge.generator.records import FileRecord, Judged, Pair, PairRequest, Quarantined, Shard
from medim_forge.generator.similarity import hex_of
from medim_forge.generator.writers.dicom.archive import IMAGE_FILE, Archive, object_path
from medim_forge.generator.writers.uids import pair_uids

_LOW_CARDINALITY = ("task", "domain", "prompt", "model_sha256", "spec_sha256", "stage")
_NO_STATISTICS = (
    "image.bytes",
    "image.path",
    "report",
    "traceback",
    "image_sha256",
    "report_minhash",
    "embedding.list.element",
)

Row = dict[str, Any]


class ParquetWriter:
    """Writes the Parquet files of a shard.

    Args:
        provenance: of the job.
        dicom: whether a `DicomWriter` writes the DICOM objects that the rows point at.
        archive: what the objects are packed into; None where they are files of their own.
    """

    def __init__(self, provenance: Provenance, *, dicom: bool, archive: Archive | None = None) -> None:
        self.provenance = provenance
        self.dicom = dicom
        self.archive: Archive | None = archive

    def write(
        self, folder: Path, shard: Shard, judged: Sequence[Judged], quarantined: Sequence[Quarantined]
    ) -> list[FileRecord]:
        """Both files are written, even where they have no rows; rows are in order of `pair_index`.

        Raises:
            RowError: a pair cannot be encoded.
        """
        kept, rejected = [], []
        for item in judged:
            row = self._row(shard, item)
            if item.verdict.kept:
                kept.append(row)
            else:
                why: Row = {"stage": "filter", "reasons": list(item.verdict.reasons), "error": None, "traceback": None}
                rejected.append(row | why)
        rejected += [self._quarantined_row(shard, item) for item in quarantined]
        return [
            _write(folder / REJECTED_FILE, rejected, rejected_schema(self.provenance)),
            _write(folder / PAIRS_FILE, kept, pairs_schema(self.provenance)),
        ]

    def _row(self, shard: Shard, item: Judged) -> Row:
        pair, verdict = item.pair, item.verdict
        try:
            png = encode_png(pair.image, self.provenance.digital_source_type)
        except ValueError as error:
            raise RowError(pair.pair_id, f"{error}; the replica must return such an image") from error
        in_dicom = self.dicom and verdict.kept
        return {
            **self._request_row(shard, pair.request),
            "prompt_chars": pair.prompt_chars,
            "report": pair.report,
            "findings_report": _findings(verdict.labels),
            "image": {"bytes": png, "path": f"{pair.pair_id}.png"},
            "width": pair.image.shape[1],
            "height": pair.image.shape[0],
            "image_codes": pair.image_codes,
            **_measurements(pair),
            "image_phash": hex_of(item.signature.phash),
            "report_minhash": hex_of(item.signature.minhash),
            **{SCORE_PREFIX + name: _defined(verdict.scores.get(name)) for name in self.provenance.score_names},
            "image_sha256": sha256_hex(png),
            "sop_instance_uid": pair_uids(self.provenance, pair).image if in_dicom else None,
            "dicom_path": self._dicom_path(shard, pair) if in_dicom else None,
        }

    def _dicom_path(self, shard: Shard, pair: Pair) -> str:
        return f"shards/{shard.index:06d}/{object_path(pair.pair_id, IMAGE_FILE, self.archive)}"

    def _quarantined_row(self, shard: Shard, item: Quarantined) -> Row:
        made: Row = {column.name: None for column in columns(self.provenance) if column.made or column.nullable}
        given = {"report": item.request.given_report}
        why = {"stage": item.stage, "reasons": [], "error": item.error, "traceback": item.traceback}
        return made | self._request_row(shard, item.request) | given | why

    def _source(self, request: PairRequest) -> Row:
        """Where the given side comes from; all null without inputs, or where they could not be read."""
        given = request.given
        found: Row = {
            "source_row": request.source_row,
            "source_sha256": None if given is None else given.sha256,
            "source_name": None if given is None else given.name,
        }
        kept = {} if given is None else given.columns
        return found | {f"{INPUT_PREFIX}{name}": kept.get(name) for name in self.provenance.input_columns}

    def _request_row(self, shard: Shard, request: PairRequest) -> Row:
        return {
            "pair_id": request.pair_id,
            "pair_index": request.pair_index,
            "repeats": request.repeats,
            "shard": shard.index,
            "task": shard.task,
            "domain": request.prompt.domain,
            "prompt": request.prompt.text,
            "findings_asked": list(request.prompt.findings),
            "seed": request.seed,
            "model_sha256": self.provenance.model_sha256,
            "spec_sha256": self.provenance.spec_sha256,
            "synthetic": True,
            "image_origin": self.provenance.image,
            "report_origin": self.provenance.report,
            **self._source(request),
        }


def open_parquet(where: Path | pa.NativeFile, schema: pa.Schema) -> pq.ParquetWriter:
    """A Parquet file to write row groups to, laid out for those who train on images and texts.

    PNG bytes are compressed already, so they get no codec; text and numbers get zstd. Columns with few values get a
    dictionary. Bytes and free text get no statistics, which would only fill the footer. The page index is on, and so is
    the checksum of every page.
    """
    leaves = [leaf for field in schema for leaf in _leaves(field)]
    return pq.ParquetWriter(
        where,
        schema,
        compression={leaf: "NONE" if leaf == "image.bytes" else "ZSTD" for leaf in leaves},
        use_dictionary=[leaf for leaf in leaves if leaf in _LOW_CARDINALITY],
        write_statistics=[leaf for leaf in leaves if leaf not in _NO_STATISTICS],
        write_page_index=True,
        write_page_checksum=True,
    )


def _write(path: Path, rows: Sequence[Row], schema: pa.Schema) -> FileRecord:
    ordered = sorted(rows, key=lambda row: int(row["pair_index"]))
    with open_parquet(path, schema) as writer:
        writer.write_table(pa.Table.from_pylist(ordered, schema=schema), row_group_size=ROW_GROUP_ROWS)
    content = path.read_bytes()
    return FileRecord(path=path.name, size=len(content), sha256=sha256_hex(content))


def _leaves(field: pa.Field[pa.DataType]) -> list[str]:
    """Parquet's names of the leaf columns below a field."""
    if pa.types.is_struct(field.type):
        return [f"{field.name}.{child.name}" for child in field.type.fields]
    if pa.types.is_list(field.type):
        return [f"{field.name}.list.element"]
    return [field.name]


def _measurements(pair: Pair) -> Row:
    values = {
        "report_logprob": pair.report_logprob,
        "image_logprob": pair.image_logprob,
        "agreement": pair.agreement,
        "image_agreement": pair.image_agreement,
    }
    return {
        **{name: _defined(value) for name, value in values.items()},
        "sentence_agreement": list(pair.sentence_agreement),
        "embedding": pair.embedding.astype(np.float32),
    }


def _defined(value: float | None) -> float | None:
    """The number, or None where it is NaN or missing: NaN in a Parquet column reads as a value, null does not."""
    return None if value is None or math.isnan(value) else float(value)


def _findings(labels: Mapping[str, str]) -> list[str] | None:
    text = labels.get("findings_report")
    return None if text is None else sorted(filter(None, text.split(",")))
