"""Checks a DICOM object against the standard's own tables, without any external tool.

The tables (PS3.3: which modules an object has, which attributes a module has, and of which type) come with highdicom.
Mandatory modules must have their attributes of type 1, not empty, and of type 2; every value must fit its VR. What an
object needs only under a condition is left to validators like dciodvfy.
"""

from __future__ import annotations

import json
import pkgutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from pydicom import config
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.uid import UID
from pydicom.valuerep import validate_value

# Its rows are conditional on the value type of each content item, which the tables do not say.
_CONDITIONAL = frozenset({"sr-document-content"})
# Functional groups are a choice, shared or per frame; which of them are needed depends on the image.
_FUNCTIONAL_GROUPS = (("SharedFunctionalGroupsSequence",), ("PerFrameFunctionalGroupsSequence",))
# What is written as characters; numbers and bytes cannot be too long.
_TEXT = frozenset(
    ("AE", "AS", "CS", "DA", "DS", "DT", "IS", "LO", "LT", "PN", "SH", "ST", "TM", "UC", "UI", "UR", "UT"),
)


@dataclass(frozen=True)
class _Rules:
    """What the tables ask of an object, or of every item of a sequence in it.

    Attributes:
        wanted: keyword to whether the attribute must hold something.
        below: the rules of the items of a sequence, by its keyword.
    """

    wanted: dict[str, bool] = field(default_factory=dict)
    below: dict[str, _Rules] = field(default_factory=dict)


def structure_problems(dataset: Dataset) -> Iterator[str]:
    """What the standard's tables find wrong with an object; nothing when all is well."""
    rules = _rules(UID(dataset.SOPClassUID))
    if rules is None:
        yield f"SOP class {dataset.SOPClassUID} is not one of the standard's"
        return
    # What it finds is reported, not warned about.
    with config.disable_value_validation():
        found = list(_missing(dataset, rules, ""))
        found += [problem for element in dataset.iterall() for problem in _value_problems(element)]
    yield from found


def _missing(item: Dataset, rules: _Rules, where: str) -> Iterator[str]:
    """Which attributes are missing or empty, in an item and in those below it."""
    for keyword, filled in rules.wanted.items():
        if keyword not in item:
            yield f"{where}{keyword} is missing"
        elif filled and item[keyword].is_empty:
            yield f"{where}{keyword} is empty"
    for element in item:
        if element.VR == "SQ" and element.keyword in rules.below:
            for below in element.value:
                yield from _missing(below, rules.below[element.keyword], f"{where}{element.keyword}/")


def _value_problems(element: DataElement) -> Iterator[str]:
    """What is wrong with the value of one element: length, characters, form."""
    if element.VR not in _TEXT or element.is_empty:
        return
    for value in element.value if element.VM > 1 else (element.value,):
        try:
            validate_value(element.VR, str(value), config.RAISE)
        except ValueError as error:
            yield f"{element.keyword or element.tag}: {error}"


@cache
def _rules(sop_class: UID) -> _Rules | None:
    """The attributes of type 1 and 2 of the mandatory modules of a SOP class; None for one the tables do not have."""
    iod = _table("sop_class_iod_map").get(str(sop_class))
    if iod is None:
        return None
    modules, attributes = _table("iod_module_map")[iod], _table("module_attribute_map")
    rules = _Rules()
    mandatory = [module["key"] for module in modules if module["usage"] == "M"]
    for attribute in (attribute for key in mandatory if key not in _CONDITIONAL for attribute in attributes[key]):
        if attribute["type"] in ("1", "2") and tuple(attribute["path"]) not in _FUNCTIONAL_GROUPS:
            place = rules
            for keyword in attribute["path"]:
                place = place.below.setdefault(keyword, _Rules())
            keyword = attribute["keyword"]
            place.wanted[keyword] = place.wanted.get(keyword, False) or attribute["type"] == "1"
    return rules


@cache
def _table(name: str) -> Mapping[str, Any]:
    """A table of the standard, as highdicom brings it."""
    content = pkgutil.get_data("highdicom", f"_standard/{name}.json")
    assert content is not None, f"highdicom has no table {name}; constraints.txt names the release that has"
    table: Mapping[str, Any] = json.loads(content)
    return table
