"""A lock, read: names, versions, hashes, and nothing else that pip would follow."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path

from packaging.utils import canonicalize_name

LOCKS = Path(__file__).resolve().parent
REPOSITORY = LOCKS.parent
# Each tier holds what it adds to those before it.
TIERS = ("run", "test", "dev")
TORCH = "torch"

_PIN = re.compile(r"^(?P<name>[a-z0-9]+(?:-[a-z0-9]+)*)==(?P<version>[0-9][0-9a-z.]*)(?: ; (?P<marker>[^\\#/]+?))?$")
_HASH = re.compile(r"^--hash=sha256:([0-9a-f]{64})$")
_PYTHON = re.compile(r"^Programming Language :: Python :: (3\.\d+)$")
_FAMILY = re.compile(r"^(torch|triton|cuda-[a-z0-9-]+|nvidia-[a-z0-9-]+)$")


@dataclass(frozen=True)
class Pin:
    """One package of a lock.

    Attributes:
        name: Its canonical name.
        version: The one version that may be installed.
        marker: Where it is needed; empty where that is everywhere.
        hashes: sha256 of every wheel that may be installed, as hexadecimal text; none for torch's family.
    """

    name: str
    version: str
    marker: str
    hashes: tuple[str, ...]

    def as_line(self) -> str:
        """The pin as pip reads it, one hash a line."""
        head = f"{self.name}=={self.version}" + (f" ; {self.marker}" if self.marker else "")
        return " \\\n    ".join([head, *(f"--hash=sha256:{digest}" for digest in self.hashes)]) + "\n"


def is_torch_family(name: str) -> bool:
    """Whether the package is torch or one of the CUDA libraries that some builds of it need."""
    return _FAMILY.match(name) is not None


def pythons() -> list[str]:
    """The Python versions that the project's classifiers name, in their order, like "3.11"."""
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return [found[1] for line in project["classifiers"] if (found := _PYTHON.match(line))]


def lock_path(python: str, tier: str, locks: Path = LOCKS) -> Path:
    """Where the lock of a tier (or of torch) lies for a Python version like "3.11"."""
    return locks / f"py{python.replace('.', '')}" / f"{tier}.txt"


def read_lock(path: Path) -> dict[str, Pin]:
    """The pins of one lock, by name, in the order of the file.

    Raises:
        ValueError: If a line is anything but a comment or one exact pin with its hashes (an index, a link, another
            file, a range), if a pin has no hash in a lock with hashes, or if a package stands there twice.
    """
    pins: dict[str, Pin] = {}
    for number, line in _logical_lines(path):
        where = f"{path.name}, line {number}"
        head, *hashes = (part.strip() for part in line.split("\\\n"))
        found = _PIN.match(head)
        digests = [_HASH.match(part) for part in hashes]
        if not found or not all(digests):
            raise ValueError(f"{where}: not an exact pin with sha256 hashes: {line!r}; write the lock with `make lock`")
        if bool(digests) == (path.stem == TORCH):
            raise ValueError(f"{where}: {found['name']} has {len(digests)} hashes; write the lock with `make lock`")
        if found["name"] in pins:
            raise ValueError(f"{where}: {found['name']} is pinned twice; write the lock with `make lock`")
        pins[found["name"]] = Pin(
            found["name"], found["version"], found["marker"] or "", tuple(digest[1] for digest in digests if digest)
        )
    return pins


def read_constraints(path: Path) -> dict[str, str]:
    """The versions that constraints.txt pins by hand, by canonical name."""
    pins = re.findall(r"^([A-Za-z0-9_.-]+)==([^\s#]+)", path.read_text(encoding="utf-8"), re.MULTILINE)
    return {canonicalize_name(name): version for name, version in pins}


def _logical_lines(path: Path) -> list[tuple[int, str]]:
    """Lines that say something, with the number of their first; a line that ends in a backslash goes on."""
    lines: list[tuple[int, str]] = []
    start, held = 0, ""
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if not held and (not line or line.startswith("#")):
            continue
        start = start if held else number
        held += line
        if line.endswith("\\"):
            held += "\n"
            continue
        lines.append((start, held))
        held = ""
    if held:
        raise ValueError(f"{path.name}, line {start}: the file ends within a pin; write the lock with `make lock`")
    return lines
