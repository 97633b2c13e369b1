"""What users give to a job or hold beside it: pairs, images, reports and word lists, read and checked row by row."""

from medim_forge.generator.inputs.load import count_inputs, load_inputs, names_of_rows, names_of_tables
from medim_forge.generator.inputs.pairs import FilePairs, GivenPair, ParquetPairs, Unreadable, open_pairs
from medim_forge.generator.inputs.words import build_judge, with_words

__all__ = [
    "FilePairs",
    "GivenPair",
    "ParquetPairs",
    "Unreadable",
    "build_judge",
    "count_inputs",
    "load_inputs",
    "names_of_rows",
    "names_of_tables",
    "open_pairs",
    "with_words",
]
