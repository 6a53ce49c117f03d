"""Which process holds a claim, and whether it can still be at work."""

from __future__ import annotations

import errno
import os
import platform
from pathlib import Path
from typing import NamedTuple


class Owner(NamedTuple):
    """A process, told from every other one; numbers of processes are used again."""

    host: str
    """The machine's name."""
    process: int
    """The process's number there."""
    born: str
    """When it began, in the system's own count; empty where the system doesn't say."""

    @classmethod
    def this(cls) -> Owner:
        """This process."""
        return cls(platform.node(), os.getpid(), _state(os.getpid()).born)

    def may_run(self) -> bool:
        """Whether it is there, or where this process can't know."""
        if self.host != platform.node() or os.name == "nt":  # there, signal 0 is Ctrl-C
            return True
        try:
            os.kill(self.process, 0)
        except OSError as error:
            return error.errno != errno.ESRCH
        state = _state(self.process)
        return not state.dead and state.born == self.born


class _State(NamedTuple):
    born: str = ""
    dead: bool = False
    """Whether it was killed, and whoever began it hasn't looked yet."""


def _state(process: int) -> _State:
    try:
        stat = Path(f"/proc/{process}/stat").read_bytes()
    except OSError:  # no Linux
        return _State()
    fields = stat.rpartition(b")")[2].split()  # a name in brackets comes before, spaces and all
    return _State(fields[19].decode(), fields[0] == b"Z")
