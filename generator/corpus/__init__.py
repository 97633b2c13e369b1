"""The user's own image-report pairs: read where people hold them, checked, split by patient, one row at a time."""

from medim_forge.generator.corpus.row import CorpusRow, LeftOut
from medim_forge.generator.corpus.rows import Corpus, open_corpus

__all__ = ["Corpus", "CorpusRow", "LeftOut", "open_corpus"]
