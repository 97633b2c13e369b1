"""DICOM unique identifiers of a pair: the same pair always gets the same ones, other pixels or words get others.

`2.25.` plus a UUID as a decimal number is a legal root for everybody (ITU-T X.667, PS3.5 B.2); a name-based UUID needs
neither clock nor registry. `pydicom.uid.generate_uid` does not serve here: with prefix `2.25.` it makes numbers above
2^128, and without prefix it is random.
"""

from __future__ import annotations

import hashlib
import uuid
from dataclasses import dataclass

from medim_forge.generator.dataset import Provenance
from medim_forge.generator.dataset.provenance import SOFTWARE
from medim_forge.generator.records import Pair

_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_DNS, "medim-forge")


@dataclass(frozen=True, kw_only=True)
class PairUids:
    """The identifiers of one pair's study, which has one series with the image and one with the report."""

    study: str
    image_series: str
    image: str
    report_series: str
    report: str
    specimen: str
    frame_of_reference: str


def uid(*parts: str) -> str:
    """The UID that these parts name: `2.25.` and at most 39 digits."""
    # The separator keeps ("ab", "c") and ("a", "bc") apart.
    return f"2.25.{uuid.uuid5(_NAMESPACE, chr(31).join(parts)).int}"


IMPLEMENTATION_CLASS_UID = uid(SOFTWARE, "implementation")


def device_uid(model_sha256: str) -> str:
    """The UID of the synthesizing equipment: the model."""
    return uid("device", model_sha256)


def pair_uids(provenance: Provenance, pair: Pair) -> PairUids:
    """The UIDs of a pair.

    Instances are named by their content too: if another library version ever made other pixels of the same job, a PACS
    must not take the two for one object.
    """
    origin = (provenance.spec_sha256, provenance.model_sha256, pair.pair_id)
    report = hashlib.sha256(pair.report.encode()).hexdigest()
    return PairUids(
        study=uid("study", *origin),
        image_series=uid("series", "image", *origin),
        image=uid("instance", "image", *origin, pair.pixels_sha256),
        report_series=uid("series", "report", *origin),
        report=uid("instance", "report", *origin, pair.pixels_sha256, report),
        specimen=uid("specimen", *origin),
        frame_of_reference=uid("frame", *origin),
    )
