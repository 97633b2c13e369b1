"""Values from the events of a YAML parser, with the line of each, and never more of them than a job file can need."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import yaml

from medim_forge.generator.jobspec.scalars import scalar
from medim_forge.model.quoting import shown

MOST_DEEP = 32  # lists and mappings within each other
MOST_VALUES = 50_000  # those of aliases counted as often as they are named
MOST_OF_A_KEY = 100  # characters

Location = tuple[int | str, ...]
Places = dict[Location, int]


class Refused(yaml.MarkedYAMLError):
    """Good YAML that a job file must not hold; `problem` says why, in our words."""


class _Python(yaml.reader.Reader, yaml.scanner.Scanner, yaml.parser.Parser):
    """The parser where the library has none in C."""

    def __init__(self, text: str) -> None:
        yaml.reader.Reader.__init__(self, text)
        yaml.scanner.Scanner.__init__(self)
        yaml.parser.Parser.__init__(self)


# Both speak the same language; the library's wheels bring the first, which is ten times as fast.
_PARSER: Any = getattr(yaml.cyaml, "CParser", _Python) if yaml.__with_libyaml__ else _Python


@dataclass(frozen=True)
class _Anchored:
    """What an alias stands for: a value, and how many there are in it."""

    value: Any
    values: int


class Composer:
    """Builds the value of one document.

    Args:
        text: YAML, without control characters.

    Attributes:
        places: line of every key and list entry so far, from 1, by its path.
    """

    def __init__(self, text: str) -> None:
        self._events = _PARSER(text)
        self._values = 0
        self._anchors: dict[str, _Anchored | None] = {}
        self.places: Places = {}

    def document(self) -> Any:
        """The value; None where the text holds none.

        Raises:
            Refused: it says what a job file must not say.
            yaml.MarkedYAMLError: it is not YAML.
        """
        self._events.get_event()  # the stream begins
        if self._events.check_event(yaml.StreamEndEvent):
            return None
        self._events.get_event()  # the document begins
        value = self._node(())
        self._events.get_event()  # the document ends
        if not self._events.check_event(yaml.StreamEndEvent):
            raise _refused("a second document begins; one file holds one job", self._events.peek_event())
        return value

    def _node(self, path: Location) -> Any:
        event = self._events.get_event()
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event)
        self._count(1, event)
        if event.tag is not None:
            raise _refused("job files take no tags such as !!str; leave it out, and quote what is text", event)
        if len(path) > MOST_DEEP:
            raise _refused(f"it is nested too deeply: more than {MOST_DEEP} levels", event)
        before = self._values
        if event.anchor is not None:
            self._anchors[event.anchor] = None  # not whole yet
        if isinstance(event, yaml.ScalarEvent):
            value = self._scalar(event)
        else:
            value = self._list(path) if isinstance(event, yaml.SequenceStartEvent) else self._mapping(path)
        if event.anchor is not None:
            self._anchors[event.anchor] = _Anchored(value, self._values - before + 1)
        return value

    def _alias(self, event: yaml.AliasEvent) -> Any:
        if event.anchor not in self._anchors:
            raise _refused(f"*{shown(event.anchor)} names no value before it; quote what is text", event)
        anchored = self._anchors[event.anchor]
        if anchored is None:
            raise _refused(f"*{shown(event.anchor)} stands within what it names, which has no end", event)
        self._count(anchored.values, event)
        return anchored.value

    def _count(self, values: int, event: yaml.Event) -> None:
        self._values += values
        if self._values > MOST_VALUES:
            raise _refused(
                f"it holds more than {MOST_VALUES:,} values, those of aliases counted each time, which no job needs",
                event,
            )

    def _scalar(self, event: yaml.ScalarEvent) -> Any:
        text = str(event.value)
        if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
            raise _refused("text holds half of a surrogate pair, which is no character; leave it out", event)
        if event.style:
            return text
        try:
            return scalar(text)
        except ValueError as error:
            raise _refused(str(error), event) from error

    def _list(self, path: Location) -> list[Any]:
        values: list[Any] = []
        while not self._events.check_event(yaml.SequenceEndEvent):
            here = (*path, len(values))
            self.places[here] = self._events.peek_event().start_mark.line + 1
            values.append(self._node(here))
        self._events.get_event()
        return values

    def _mapping(self, path: Location) -> dict[str, Any]:
        own: dict[str, Any] = {}
        merged: list[dict[str, Any]] = []
        while not self._events.check_event(yaml.MappingEndEvent):
            event = self._events.peek_event()
            key = self._key(event)
            if key == "<<" and not event.style:
                merged += self._merged(path)
                continue
            if key in own:
                raise _refused(f"the key {key} is given twice; keep one", event)
            self.places[(*path, key)] = event.start_mark.line + 1
            own[key] = self._node((*path, key))
        self._events.get_event()
        # What the mapping says itself goes before what it takes from others, and of these the first.
        for other in merged:
            own = {**other, **own} if own else dict(other)
        return own

    def _key(self, event: yaml.Event) -> str:
        """The next key, which is a word.

        Raises:
            Refused: it is not.
        """
        if not isinstance(event, yaml.ScalarEvent):
            raise _refused("a key is a list or a mapping; write a word", event)
        if event.tag is not None:
            raise _refused("job files take no tags such as !!str; leave it out, and quote what is text", event)
        self._events.get_event()
        key = str(event.value)
        if not key.strip():
            raise _refused("a key is empty; write a word", event)
        if len(key) > MOST_OF_A_KEY or not key.isprintable():
            raise _refused(f"the key {shown(key)} is no word of at most {MOST_OF_A_KEY} characters", event)
        return key

    def _merged(self, path: Location) -> list[dict[str, Any]]:
        """The mappings that a key << takes along.

        Raises:
            Refused: it takes something else.
        """
        event = self._events.peek_event()
        value = self._node((*path, "<<"))
        found = value if isinstance(value, list) else [value]
        if not all(isinstance(other, dict) for other in found):
            raise _refused("the key << takes a mapping, or a list of mappings", event)
        return found


def _refused(problem: str, event: yaml.Event) -> Refused:
    mark: Any = event.start_mark  # of either parser
    return Refused(None, None, problem, mark)
