"""Which pairs a dataset holds, and which are still missing."""

from medim_forge.generator.selection.growth import Growth
from medim_forge.generator.selection.policy import Calibration, ViewPolicy, view_policy

__all__ = ["Calibration", "Growth", "ViewPolicy", "view_policy"]
