"""Checks a DICOM object against the standard's own tables, without any external tool.

The tables (PS3.3: which modules an object has, which attributes a module has, and of which type) come with highdicom.
Mandatory modules must have their attributes of type 1, not empty, and of type 2; every value must fit its VR. What an
object needs only under a condition is left to validators like dciodvfy.
"""

from __future__ import annotations

import json
import pkgutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
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


@dataclass(frozen=True, kw_only=True)
class _Rule:
    """One attribute that an object must have: where, and whether it must hold something."""

    path: tuple[str, ...]
    keyword: str
    filled: bool


def structure_problems(dataset: Dataset) -> Iterator[str]:
    """What the standard's tables find wrong with an object; nothing when all is well."""
    rules = _rules(UID(dataset.SOPClassUID))
    if rules is None:
        yield f"SOP class {dataset.SOPClassUID} is not one of the standard's"
        return
    # What it finds is reported, not warned about.
    with config.disable_value_validation():
        found = [problem for rule in rules for problem in _missing(dataset, rule)]
        found += [problem for element in dataset.iterall() for problem in _value_problems(element)]
    yield from found


def _missing(dataset: Dataset, rule: _Rule) -> Iterator[str]:
    """Where an attribute is missing or empty."""
    where = "/".join((*rule.path, rule.keyword))
    for item in _items(dataset, rule.path):
        if rule.keyword not in item:
            yield f"{where} is missing"
        elif rule.filled and item[rule.keyword].is_empty:
            yield f"{where} is empty"


def _value_problems(element: DataElement) -> Iterator[str]:
    """What is wrong with the value of one element: length, characters, form."""
    if element.VR not in _TEXT or element.is_empty:
        return
    for value in element.value if element.VM > 1 else (element.value,):
        try:
            validate_value(element.VR, str(value), config.RAISE)
        except ValueError as error:
            yield f"{element.keyword or element.tag}: {error}"


def _items(dataset: Dataset, path: Sequence[str]) -> Iterator[Dataset]:
    """Every sequence item at a path; none where a sequence on the way is absent or empty."""
    if not path:
        yield dataset
        return
    for item in dataset.get(path[0]) or ():
        yield from _items(item, path[1:])


@cache
def _rules(sop_class: UID) -> tuple[_Rule, ...] | None:
    """The attributes of type 1 and 2 of the mandatory modules of a SOP class; None for one the tables do not have."""
    iod = _table("sop_class_iod_map").get(str(sop_class))
    if iod is None:
        return None
    modules, attributes = _table("iod_module_map")[iod], _table("module_attribute_map")
    mandatory = [one["key"] for one in modules if one["usage"] == "M" and one["key"] not in _CONDITIONAL]
    return tuple(
        _Rule(path=tuple(one["path"]), keyword=one["keyword"], filled=one["type"] == "1")
        for module in mandatory
        for one in attributes[module]
        if one["type"] in ("1", "2") and tuple(one["path"]) not in _FUNCTIONAL_GROUPS
    )


@cache
def _table(name: str) -> Mapping[str, Any]:
    content = pkgutil.get_data("highdicom", f"_standard/{name}.json")
    assert content is not None, f"highdicom has no table {name}; constraints.txt names the release that has"
    table: Mapping[str, Any] = json.loads(content)
    return table
