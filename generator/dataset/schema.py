"""The columns of every Parquet file of a dataset: names, types, descriptions, and how Hugging Face reads them.

Three files share them: `pairs.parquet` and `data/*.parquet` hold kept pairs; `_rejected.parquet` holds what was dropped
or quarantined, with four more columns that say why.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

import pyarrow as pa

from medim_forge.generator.dataset.claims import synthetic_sides
from medim_forge.generator.dataset.provenance import INTENDED_USE, SOFTWARE, SOFTWARE_VERSION, Provenance
from medim_forge.generator.domains import DOMAINS
from medim_forge.generator.filters import SCORE_PREFIX, described

SCHEMA_VERSION = 1
ROW_GROUP_ROWS = 128
PAIRS_FILE = "pairs.parquet"
REJECTED_FILE = "_rejected.parquet"
INPUT_PREFIX = "input_"

IMAGE_TYPE = pa.struct([pa.field("bytes", pa.binary()), pa.field("path", pa.string())])
_STRINGS = pa.list_(pa.string())
_SOURCE_TYPES = "http://cv.iptc.org/newscodes/digitalsourcetype/"


@dataclass(frozen=True)
class Column:
    """A column is always there, unless it is nullable; `made` ones are also null in a quarantined row."""

    name: str
    type: pa.DataType
    description: str
    nullable: bool = False
    made: bool = False


_IDENTITY = (
    Column(
        "pair_id", pa.string(), "Unique in the dataset: first 8 hex digits of the job's sha256, then the pair's index."
    ),
    Column("pair_index", pa.int64(), "0-based number of the pair in the job."),
    Column(
        "repeats",
        pa.int64(),
        "`pair_index` of the planned pair whose prompt or input this one tries again; null for a planned pair.",
        nullable=True,
    ),
    Column("shard", pa.int32(), "Shard that holds the pair: shards/<shard, six digits>."),
    Column("task", pa.string(), "joint, report_to_image or image_to_report."),
    Column("domain", pa.string(), f"{', '.join(DOMAINS)}, or a name of the checkpoint's own."),
    Column(
        "prompt",
        pa.string(),
        "Opening words of the report that were given; empty when a whole report was given.",
    ),
)
_MADE = (
    Column("prompt_chars", pa.int32(), "How many leading characters of `report` were given, not generated.", made=True),
    Column("report", pa.string(), "Whole report, the given part included.", made=True),
    Column("findings_asked", _STRINGS, "Findings that the prompt asks for, sorted; empty when it asks for none."),
    Column(
        "findings_report",
        _STRINGS,
        "Findings that the labeler reads in `report`, sorted; null when no filter of the job reads reports.",
        nullable=True,
    ),
    # Never null in a kept row, but declared nullable: Hugging Face takes a feature only for a field equal to its own.
    Column(
        "image",
        IMAGE_TYPE,
        "PNG, 8 bit, grey or RGB, with an XMP DigitalSourceType unless it was given; path is <pair_id>.png.",
        nullable=True,
        made=True,
    ),
    Column("width", pa.int32(), "Image width, pixels.", made=True),
    Column("height", pa.int32(), "Image height, pixels.", made=True),
    Column("image_codes", pa.list_(pa.int32()), "Codebook ids of the image tokens, raster order.", made=True),
    Column("seed", pa.int64(), "63-bit seed of the pair: a hash of the job's seed and pair_index."),
    Column(
        "report_logprob",
        pa.float32(),
        "Mean log-probability of the generated report tokens when revealed, nats per token; null when all were given.",
        nullable=True,
    ),
    Column(
        "image_logprob",
        pa.float32(),
        "Mean log-probability of the generated image codes when revealed, nats per token; null when all were given.",
        nullable=True,
    ),
    Column(
        "agreement",
        pa.float32(),
        "Pointwise mutual information of the report given the image, nats per report token; null when not defined.",
        nullable=True,
    ),
    Column(
        "image_agreement",
        pa.float32(),
        "Pointwise mutual information of the image given the report, nats per image code; null when not defined.",
        nullable=True,
    ),
    Column(
        "sentence_agreement",
        pa.list_(pa.float32()),
        "`agreement` of each sentence behind the domain's opening, in order, nats per report token.",
        made=True,
    ),
    Column(
        "embedding",
        pa.list_(pa.float32()),
        "The model's view of the image: hidden states of its slots with the report masked, averaged.",
        made=True,
    ),
    Column(
        "image_phash", pa.string(), "Perceptual hash of the image, 256 bits, hex; near images differ in few.", made=True
    ),
    Column(
        "report_minhash", pa.string(), "MinHash of the report, 64 x 32 bits, hex; near texts share many.", made=True
    ),
)
_TRACE = (
    Column("image_sha256", pa.string(), "sha256 of the PNG bytes, hex.", made=True),
    Column("sop_instance_uid", pa.string(), "SOP Instance UID of the DICOM image; null without DICOM.", nullable=True),
    Column(
        "dicom_path",
        pa.string(),
        "DICOM image, relative to the dataset, through dicom.zip or dicom.tar where the job packs its objects; "
        "report.dcm lies beside it; null without DICOM.",
        nullable=True,
    ),
    Column("model_sha256", pa.string(), "sha256 of the model's configuration and weights, hex."),
    Column("spec_sha256", pa.string(), "sha256 of the job, hex."),
    Column("synthetic", pa.bool_(), "Always true: the pair holds generated content; `image_origin` says which."),
    Column("image_origin", pa.string(), "generated; drawn, a phantom given to the job; or given by people.", True),
    Column("report_origin", pa.string(), "The same of the report; opening words of a prompt do not count.", True),
)
_SOURCE = (
    Column("source_row", pa.int64(), "Row of the job's inputs that the pair was made of; null without inputs.", True),
    Column("source_sha256", pa.string(), "sha256 of that row's file, image bytes or report text, hex.", nullable=True),
    Column("source_name", pa.string(), "Name of that file or image; null unless inputs.keep_names.", nullable=True),
)
_REJECTED = (
    Column(
        "stage", pa.string(), "filter when judged and dropped; else where it failed: input, generate, judge, write."
    ),
    Column("reasons", _STRINGS, "Why the policy dropped the pair, in filter order; empty when quarantined."),
    Column("error", pa.string(), "Class and message of the error; null when judged and dropped.", nullable=True),
    Column("traceback", pa.string(), "Full traceback of the error; null when judged and dropped.", nullable=True),
)


def columns(provenance: Provenance) -> tuple[Column, ...]:
    """The columns of kept pairs, in order; one flat float32 per score of the job's filters."""
    scores = tuple(
        Column(SCORE_PREFIX + name, pa.float32(), described(name), nullable=True) for name in provenance.score_names
    )
    kept = tuple(
        Column(f"{INPUT_PREFIX}{name}", pa.string(), f"Column {name} of the job's inputs, as text.", nullable=True)
        for name in provenance.input_columns
    )
    return (*_IDENTITY, *_MADE, *scores, *_TRACE, *_SOURCE, *kept)


def pairs_schema(provenance: Provenance) -> pa.Schema:
    """The schema of `pairs.parquet` and of the files of `data/`."""
    return _schema([_field(column, column.nullable) for column in columns(provenance)], provenance)


def rejected_schema(provenance: Provenance) -> pa.Schema:
    """The schema of `_rejected.parquet`: what a quarantined row never got is null."""
    fields = [_field(column, column.nullable or column.made) for column in (*columns(provenance), *_REJECTED)]
    return _schema(fields, provenance)


def file_metadata(provenance: Provenance) -> dict[str, str]:
    """What every Parquet file says about its origin, as key-value metadata."""
    term = provenance.digital_source_type
    source_type = {} if term is None else {"digital_source_type": f"{_SOURCE_TYPES}{term}"}
    return {
        "synthetic": synthetic_sides(provenance),
        "image_origin": provenance.image,
        "report_origin": provenance.report,
        "learned_from": provenance.learned_from,
        **source_type,
        "intended_use": INTENDED_USE,
        "generator": f"{SOFTWARE} {SOFTWARE_VERSION}",
        "schema_version": str(SCHEMA_VERSION),
        "model_sha256": provenance.model_sha256,
        "spec_sha256": provenance.spec_sha256,
        "training_data_terms": json.dumps(list(provenance.training_data_terms)),
    }


def _field(column: Column, nullable: bool) -> pa.Field[pa.DataType]:
    return pa.field(column.name, column.type, nullable=nullable, metadata={"description": column.description})


def _schema(fields: list[pa.Field[pa.DataType]], provenance: Provenance) -> pa.Schema:
    features = {field.name: _feature(field.type) for field in fields}
    metadata = {**file_metadata(provenance), "huggingface": json.dumps({"info": {"features": features}})}
    return pa.schema(fields, metadata=metadata)


def _feature(kind: pa.DataType) -> dict[str, object]:
    """How Hugging Face `datasets` reads a column of this type."""
    if kind == IMAGE_TYPE:
        return {"_type": "Image"}
    if pa.types.is_list(kind):
        return {"feature": _feature(kind.value_type), "_type": "List"}
    # pyarrow prints 32-bit floats as `float`, Hugging Face calls them float32.
    return {"dtype": "float32" if kind == pa.float32() else str(kind), "_type": "Value"}
