"""The published weights become a checkpoint folder of ours."""

from medim_forge.model.convert.card import OFFICIAL_TERMS
from medim_forge.model.convert.conversion import DTYPES, Request, convert

__all__ = ["DTYPES", "OFFICIAL_TERMS", "Request", "convert"]
