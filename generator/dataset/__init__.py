"""The format of a dataset, what it says of its origin, and the one door for whoever reads it."""

from medim_forge.generator.dataset.png import decode_png, encode_png
from medim_forge.generator.dataset.provenance import (
    INTENDED_USE,
    NOT_DIAGNOSTIC,
    SOFTWARE,
    SOFTWARE_VERSION,
    Provenance,
    provenance_of,
)
from medim_forge.generator.dataset.reader import Dataset, Row, open_dataset
from medim_forge.generator.dataset.schema import (
    PAIRS_FILE,
    REJECTED_FILE,
    ROW_GROUP_ROWS,
    SCHEMA_VERSION,
    columns,
    pairs_schema,
    rejected_schema,
)

__all__ = [
    "INTENDED_USE",
    "NOT_DIAGNOSTIC",
    "PAIRS_FILE",
    "REJECTED_FILE",
    "ROW_GROUP_ROWS",
    "SCHEMA_VERSION",
    "SOFTWARE",
    "SOFTWARE_VERSION",
    "Dataset",
    "Provenance",
    "Row",
    "columns",
    "decode_png",
    "encode_png",
    "open_dataset",
    "pairs_schema",
    "provenance_of",
    "rejected_schema",
]
