"""Whether a dataset holds what it says: `status`, `verify`, `reproduce`, and `assess` against training data."""

from medim_forge.generator.audit.privacy import assess, record_privacy
from medim_forge.generator.audit.reproduce import Reproduced, reproduce
from medim_forge.generator.audit.status import Status, status
from medim_forge.generator.audit.verify import VerifyReport, inspect, verify

__all__ = [
    "Reproduced",
    "Status",
    "VerifyReport",
    "assess",
    "inspect",
    "record_privacy",
    "reproduce",
    "status",
    "verify",
]
