"""The format of a dataset, what it says of its origin, and the one door for whoever reads it."""

from medim_forge.generator.dataset.provenance import Provenance, provenance_of
from medim_forge.generator.dataset.reader import Dataset, Row, open_dataset
from medim_forge.generator.dataset.schema import PAIRS_FILE, REJECTED_FILE

__all__ = ["PAIRS_FILE", "REJECTED_FILE", "Dataset", "Provenance", "Row", "open_dataset", "provenance_of"]
