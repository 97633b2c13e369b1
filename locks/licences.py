"""Writes docs/licences.md: every package of the locks with the licence that its own metadata names: `make licences`.

Only what is installed here can be asked; a package of a lock that is not is an error, CUDA libraries apart.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from importlib.metadata import Distribution, PackageNotFoundError, distribution

from packaging.utils import canonicalize_name

from locks.pins import REPOSITORY, TIERS, TORCH, lock_path, pythons, read_lock

PAGE = REPOSITORY / "docs" / "licences.md"

# Texts that metadata has instead of an SPDX expression, and what they mean. "BSD" is what some say, without a number.
SPDX = {
    "2-clause BSD License": "BSD-2-Clause",
    "3-Clause BSD License": "BSD-3-Clause",
    "Apache 2.0": "Apache-2.0",
    "Apache 2.0 License": "Apache-2.0",
    "Apache License 2.0": "Apache-2.0",
    "Apache License, Version 2.0": "Apache-2.0",
    "Apache Software License": "Apache-2.0",
    "BSD License": "BSD",
    "ISC License": "ISC",
    "ISC License (ISCL)": "ISC",
    "MIT License": "MIT",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "Python Software Foundation License": "PSF-2.0",
}

# What may stand in the lock without a word: permissive, and compatible with Apache-2.0.
PERMISSIVE = frozenset(
    (
        "0BSD",
        "Apache-2.0",
        "BSD",
        "BSD-2-Clause",
        "BSD-3-Clause",
        "BSL-1.0",
        "CC0-1.0",
        "CNRI-Python",
        "ISC",
        "LLVM-exception",
        "MIT",
        "MIT-0",
        "MIT-CMU",
        "PSF-2.0",
        "Zlib",
    )
)

# What else there is, and why it may be there. Nothing of it is in our wheel: pip fetches it from its own makers.
_MPL = "MPL-2.0 asks that changes of its own files are published; we change none."
_GCC = "Its wheel brings the run-time libraries of GCC: GPL-3.0-or-later with the exception that allows any use."
NOTES = {
    "botocore": "Its certificates are those of certifi, MPL-2.0. " + _MPL,
    "certifi": _MPL,
    "grpcio": "Its certificates are Mozilla's, MPL-2.0. " + _MPL,
    "hypothesis": "For tests alone. " + _MPL,
    "matplotlib": "Its wheel brings FreeType: FTL or GPL-2.0-or-later, as one likes, and fonts under their own terms.",
    "numpy": _GCC,
    "pathspec": "For mypy alone. " + _MPL,
    "pillow": "Its wheel brings XZ's liblzma, which is free of terms; XZ's GPL and LGPL parts are not in it.",
    "python-dateutil": "What was written before December 2017 is BSD-3-Clause, what came later is both.",
    "python-gdcm": "Its wheel brings OpenSSL 1.1.1, under the OpenSSL licence.",
    "scikit-learn": _GCC,
    "scipy": _GCC,
    "tqdm": _MPL,
}

# What in the licence files of a wheel makes a note necessary, whatever its metadata says.
_TELLING = re.compile(r"\b[AL]?GPL-\d|COPYING\.L?GPL|GCC runtime library|Mozilla Public Licen[cs]e")
_LICENCE_FILE = re.compile(r"\.dist-info/(licenses/)?[^/]*(licen[cs]e|copying|notice)[^/]*$", re.IGNORECASE)

_HEAD = """\
# Licences

What [the locks](supply-chain.md) install, with the licence that each package's own metadata names. Written by `make
licences`; a test compares it with the locks and with what is installed. A package whose licence is neither permissive
nor explained below stops that test, and so does one whose licence files name the GPL or MPL.

None of these packages is in our wheel or repository: pip fetches each from its own makers. Wheels hold libraries of
others, whose terms are in the wheels' own licence files and not in this table; where they are notable, a note says so.

| package | version | for | licence |
|---|---|---|---|
"""


def main() -> int:
    """docs/licences.md is written, or what stands in the way is said."""
    try:
        PAGE.write_text(page(), encoding="utf-8")
    except ValueError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"{PAGE.relative_to(REPOSITORY)}: written")
    return 0


def page() -> str:
    """The whole page.

    Raises:
        ValueError: If a package is not installed as it is locked, or has a licence that nobody has looked at.
    """
    rows, faults = [], []
    for name, (version, tier) in sorted(locked().items()):
        licence = "see its own terms; not installed where this list was made"
        try:
            found = distribution(name)
        except PackageNotFoundError:
            if tier != TORCH or name == TORCH:
                faults.append(f"{name} {version} is not installed: run `make lint` first")
        else:
            if found.version.partition("+")[0] != version:
                faults.append(f"{name} {found.version} is installed, and {version} in the lock: run `make lint` first")
            licence = licence_of(found)
            faults += unexplained(found)
        rows.append(f"| {name} | {version} | {tier} | {licence} |\n")
    if faults:
        raise ValueError("\n".join(faults))
    notes = "".join(f"- **{name}**: {note}\n" for name, note in sorted(NOTES.items()))
    return _HEAD + "".join(rows) + "\n## Notes\n\n" + notes


def locked() -> dict[str, tuple[str, str]]:
    """Version and tier of every package in the locks, by name.

    Raises:
        ValueError: If two Python versions have different versions of a package: a row could not say which.
    """
    packages: dict[str, tuple[str, str]] = {}
    for python in pythons():
        for tier in (*TIERS, TORCH):
            for name, pin in read_lock(lock_path(python, tier)).items():
                if packages.setdefault(name, (pin.version, tier)) != (pin.version, tier):
                    raise ValueError(f"{name} is locked as {packages[name]} and, for {python}, {(pin.version, tier)}")
    return packages


def licence_of(found: Distribution) -> str:
    """What the metadata names, as an SPDX expression where its words can be read so."""
    said = found.metadata.get("License-Expression")
    if said:
        return said
    field = (found.metadata.get("License") or "").strip()
    classifiers = [line.split(" :: ") for line in found.metadata.get_all("Classifier") or []]
    named = [parts[-1] for parts in classifiers if parts[:2] == ["License", "OSI Approved"] and len(parts) > 2]
    # A field of several words that we do not know is often the whole text of the licence.
    if named and (not field or SPDX.get(field, field) not in PERMISSIVE or len(named) > 1):
        return " AND ".join(sorted({SPDX.get(one, one) for one in named}))
    return SPDX.get(field, field) or "none named"


def unexplained(found: Distribution) -> Iterator[str]:
    """What about a package's licence needs a note and has none."""
    name, licence = canonicalize_name(found.name), licence_of(found)
    if name in NOTES:
        return
    unusual = [one for one in re.split(r" (?:AND|OR|WITH) |[()]", licence) if one and one not in PERMISSIVE]
    if unusual:
        yield f"{name}: {', '.join(unusual)} is not known as permissive; explain it in NOTES of locks/licences.py"
    for file in found.files or []:
        if _LICENCE_FILE.search(file.as_posix()) and (telling := _TELLING.search(file.read_text(encoding="utf-8"))):
            yield f"{name}: its {file.name} speaks of {telling[0]!r}; explain it in NOTES of locks/licences.py"


if __name__ == "__main__":
    sys.exit(main())
