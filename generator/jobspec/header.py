"""What every kind of job says about itself."""

from __future__ import annotations

import hashlib
import json
from typing import Annotated, Any, ClassVar, Self

from pydantic import Field, PrivateAttr

from medim_forge.generator.jobspec.composer import Location, Places
from medim_forge.generator.jobspec.fields import Section, Seed


class JobHeader(Section):
    """The head of a job file.

    Attributes:
        name: of the job and its dataset: lower case letters, digits and underscores.
        seed: every random number of the job follows from it.
    """

    # What a rerun may change: it moves work or results, never a byte of them.
    free_keys: ClassVar[dict[str, tuple[str, ...]]] = {"output": ("dir",)}

    name: Annotated[str, Field(pattern=r"^[a-z0-9_]{1,40}$")]
    seed: Seed = 0
    _source: str = PrivateAttr(default="spec")
    _places: Places = PrivateAttr(default_factory=dict)

    def named(self, source: str, places: Places | None = None) -> Self:
        """The same job, which errors call `source` from now on, with the lines that its keys stand in."""
        self._source, self._places = source, places or {}
        return self

    @property
    def places(self) -> Places:
        """The lines that its keys stand in, by path; empty where it was read from no file."""
        return self._places

    def place(self, *location: int | str) -> str:
        """What errors call the place of a key: file, and line where it is known."""
        return place_of(self._source, location, self._places)

    def at(self, *location: int | str) -> str:
        """What errors call a key of the job: file, line where it is known, and dotted key."""
        return f"{self.place(*location)}: {dotted(location)}"

    @property
    def source(self) -> str:
        """The file it was read from, for errors."""
        return self._source

    @property
    def sha256(self) -> str:
        """Hex digest over what changes bytes: every key but `free_keys`, defaults written out."""
        return hashlib.sha256(json.dumps(self.fixed(), sort_keys=True, separators=(",", ":")).encode()).hexdigest()

    def fixed(self) -> dict[str, Any]:
        """What the digest covers, as JSON values by key: what two jobs that share a folder must agree on."""
        values = self.model_dump(mode="json")
        for section, keys in self.free_keys.items():
            if isinstance(values.get(section), dict):
                values[section] = {key: value for key, value in values[section].items() if key not in keys}
        return values


def dotted(location: Location) -> str:
    """A path of keys and list entries as people write it, e.g. `prompts[0].pairs`."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location).removeprefix(".")


def place_of(source: str, location: Location, places: Places) -> str:
    """The file, with the line of the key or of the nearest one around it where that is known."""
    for end in range(len(location), 0, -1):
        if location[:end] in places:
            return f"{source}:{places[location[:end]]}"
    return source
