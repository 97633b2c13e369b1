"""Ends a command at one of its storage calls, as SIGKILL would, within this process.

The interpreter tells of every file that is opened to be written, renamed, linked or removed and every folder that is
made or removed. At the chosen call nothing is done but `Killed` raised, and from then on every such call raises again:
whatever the command would still tidy away stays where it is. The next command is another process: it has another name.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

from medim_forge.generator.store import lease, protocol

_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_ALWAYS = ("os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.link", "os.truncate", "shutil.rmtree")
_lives = count(1)


class Killed(BaseException):
    """The process is gone."""


class Death:
    """When this process dies, and whether it has.

    Attributes:
        folder: whose storage calls count.
        at: the number of the call that is not made, from 1; None lives on.
        calls: how many came so far.
        dead: whether it has died.
        where: the call at which it died.
    """

    def __init__(self, folder: Path, at: int | None) -> None:
        self.folder, self.at = str(folder), at
        self.calls, self.dead, self.where = 0, False, ""

    def hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        """A storage call is counted, or does not come back."""
        if event == "open":
            path, mode, flags = arguments
            written = any(letter in (mode or "") for letter in "wax+") or bool((flags or 0) & _WRITING)
            paths = [path] if written else []
        else:
            paths = list(arguments[:2])
        named = [str(path) for path in paths if isinstance(path, str | os.PathLike)]
        if not any(path.startswith(self.folder) for path in named):
            return
        self.count(f"{event} {Path(named[-1]).name}")

    def count(self, what: str) -> None:
        """One more storage call is counted, or does not come back."""
        self.calls += 1
        if self.dead or self.calls == self.at:
            if not self.dead:
                self.where = what
            self.dead = True
            raise Killed


_current: list[Death] = []


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    if _current and (event == "open" or event in _ALWAYS):
        _current[-1].hear(event, arguments)


_installed: list[bool] = []


@contextmanager
def dying(folder: Path, at: int | None) -> Iterator[Death]:
    """Inside, this process is a new one that dies at a storage call below the folder; `Killed` ends it here."""
    if not _installed:
        sys.addaudithook(_hook)
        _installed.append(True)
    usual: Callable[[], str] = protocol.process_name
    life = next(_lives)
    protocol.process_name = lease.process_name = lambda: f"{os.getpid()}.life{life}.here"
    death = Death(folder, at)
    _current.append(death)
    try:
        yield death
    except Killed:
        assert death.dead
    finally:
        _current.remove(death)
        protocol.process_name = lease.process_name = usual
