"""Every answer, once: a model that remembers what it was asked.

One SQLite file, shared by as many threads and processes as like. The key of an answer is a hash
of who was asked (`identity`: fingerprint and parameters), what was asked, and which sample. The
file has the questions and the answers, and of who answered no more than `provider:name`: no key,
header, address or query.

Beside the answers stands what the processes of a run have to tell each other: who is asking what
(claims), which parameters a model refused, and what the run has spent.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import sqlite3
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from surfcheck.errors import InfrastructureError, ModelError
from surfcheck.models.database import Database
from surfcheck.models.loaded import Around, LoadedModel
from surfcheck.models.owner import Owner
from surfcheck.models.remembered import COLUMNS, Remembered
from surfcheck.records import Response
from surfcheck.roles import Ask
from surfcheck.settings import MemoryMode

__all__ = ["Memory", "Remembered", "Remembering", "Spent"]

_INSERT = f"INSERT OR REPLACE INTO answers ({COLUMNS}) VALUES (?{',?' * COLUMNS.count(',')})"  # noqa: S608 (constants only)


class Spent(NamedTuple):
    """What a run has spent, over all its processes."""

    calls: int = 0
    """Calls."""
    tokens: int = 0
    """Tokens, in and out."""
    usd: float = 0.0
    """Dollars, where prices are known."""
    refused: bool = False
    """Whether more was asked for than the ceiling had left; nothing was added then."""


class Memory:
    """A file of answers, opened by its first use. Usable as a context manager, from any thread.

    Modes: `auto` answers from the file and keeps what is new, `record` asks again and keeps,
    `replay` never asks and never changes the file, `off` never touches it. Whether to recall
    before asking is decided by who asks; here a mode only leaves undone what it forbids.

    Every method raises InfrastructureError if the file can't be used, and UsageError in mode
    `replay` if there is none.
    """

    def __init__(self, path: Path, mode: MemoryMode) -> None:
        self.path = path
        """The SQLite file."""
        self.mode = mode
        """When to ask, when to keep."""
        self._database = Database(path, mode)
        self._owner, self._token = Owner.this(), secrets.token_hex(8)
        self._claims: set[bytes] = set()

    def __enter__(self) -> Memory:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Release all claims and close the file; the next use opens it again."""
        with suppress(InfrastructureError):  # claims lapse by themselves
            for key in list(self._claims):
                self.release(key)
        self._database.close()

    def recall(self, key: bytes) -> Remembered | None:
        """What is known of this key."""
        return self.read((key,)).get(key)

    def read(self, keys: Iterable[bytes]) -> dict[bytes, Remembered]:
        """What is known of these keys; nothing in mode `off`."""
        if self.mode == "off":
            return {}
        wanted = list(keys)
        found = {}
        with self._database.connection() as connection:
            # SQLite takes a bounded number of parameters a statement.
            for start in range(0, len(wanted), 500):
                part = wanted[start : start + 500]
                marks = ",".join("?" * len(part))
                query = f"SELECT {COLUMNS} FROM answers WHERE key IN ({marks})"  # noqa: S608 (marks only)
                for row in connection.execute(query, part).fetchall():
                    kept = Remembered.from_row(row)
                    if kept is None:
                        raise self._database.damaged("an answer is not what was written")
                    found[row[0]] = kept
        return found

    def keep(self, key: bytes, kept: Remembered) -> None:
        """Keep this at once, even if the process is killed the moment after; release the claim."""
        self.write([(key, kept)])

    def write(self, answers: Iterable[tuple[bytes, Remembered]]) -> None:
        """Keep these, all or none, and release their claims; nothing in `replay` and `off`."""
        if self.mode == "replay":
            return
        rows = [kept.to_row(key) for key, kept in answers]
        keys = [(row[0],) for row in rows]
        with self._database.transaction() as connection:
            if self.mode != "off":
                connection.executemany(_INSERT, rows)
            connection.executemany("DELETE FROM claims WHERE key = ?", keys)
        self._claims.difference_update(row[0] for row in rows)

    def claim(self, key: bytes, *, lease: float) -> bool:
        """Whether the caller is to ask this, and nobody else for `lease` seconds.

        False where another memory that is in use holds the claim: look again later. False in mode
        `auto` where it is answered already: recall it. False in mode `replay`, where nobody asks.
        A claim can be taken over when its lease has ended, or its process. Claiming again what
        one holds begins a new lease.
        """
        if self.mode == "replay":
            return False
        with self._database.connection() as connection:
            if self._taken(connection, key):  # who waits for an answer keeps nobody from writing
                return False
        with self._database.transaction() as connection:
            if self._taken(connection, key):
                return False
            row = (key, self._token, *self._owner, time.time() + lease)
            connection.execute("INSERT OR REPLACE INTO claims VALUES (?,?,?,?,?,?)", row)
        self._claims.add(key)
        return True

    def release(self, key: bytes) -> None:
        """Give up a claim, asked in vain: others may ask. A claim of another is left alone."""
        if self.mode == "replay":
            return
        with self._database.connection() as connection:
            holder = (key, self._token)
            connection.execute("DELETE FROM claims WHERE key = ? AND token = ?", holder)
        self._claims.discard(key)

    def dropped(self, identity: str) -> frozenset[str]:
        """The parameters that this model is known to refuse."""
        query = "SELECT parameter FROM dropped WHERE identity = ?"
        with self._database.connection() as connection:
            return frozenset(p for (p,) in connection.execute(query, (_hash(identity),)))

    def drop(self, identity: str, parameter: str) -> None:
        """Remember that this model refuses a parameter; of its identity a hash is stored."""
        if self.mode == "replay":
            return
        with self._database.connection() as connection:
            row = (_hash(identity), parameter)
            connection.execute("INSERT OR IGNORE INTO dropped VALUES (?,?)", row)

    def spend(
        self, run: str, *, calls: int, tokens: int, usd: float, ceiling_calls: int | None = None
    ) -> Spent:
        """Add to what the run has spent; the sum.

        Where the calls would pass their ceiling nothing is added, and the sum says `refused`. In
        mode `off` the sum is this process's alone. In `replay`, where nobody asks, nothing is
        added.
        """
        if self.mode == "replay":
            return self.spent(run)
        with self._database.transaction() as connection:
            before = _spent(connection, run)
            if ceiling_calls is not None and before.calls + calls > ceiling_calls:
                return before._replace(refused=True)
            after = Spent(before.calls + calls, before.tokens + tokens, before.usd + usd)
            row = (run, *after[:3], time.time())
            connection.execute("INSERT OR REPLACE INTO spent VALUES (?,?,?,?,?)", row)
        return after

    def spent(self, run: str) -> Spent:
        """What the run has spent, in all its processes."""
        with self._database.connection() as connection:
            return _spent(connection, run)

    def _taken(self, connection: sqlite3.Connection, key: bytes) -> bool:
        """Whether this needs no asking, or is another's to ask."""
        query = "SELECT token, host, process, born, until FROM claims WHERE key = ?"
        claim = connection.execute(query, (key,)).fetchone()
        if claim is not None:
            token, *owner, until = claim
            if token != self._token and time.time() < until and Owner(*owner).may_run():
                return True
        known = "SELECT 1 FROM answers WHERE key = ?"
        return self.mode == "auto" and connection.execute(known, (key,)).fetchone() is not None


class Remembering(Around):
    """A model that is asked only what memory doesn't know."""

    def __init__(self, model: LoadedModel, memory: Memory) -> None:
        super().__init__(model)
        self._memory = memory

    def known(self, asks: Sequence[Ask]) -> int:
        """How many of these memory can answer."""
        if self._memory.mode in ("off", "record"):
            return 0
        return len(self._memory.read([self._key(ask) for ask in asks]))

    def ask(self, asks: Sequence[Ask]) -> list[Response]:
        """One response an ask, in order; `remembered` on those that weren't asked for.

        Raises ModelError in mode `replay` for what memory doesn't know.
        """
        if self._memory.mode == "off" or not asks:
            return self._model.ask(asks)
        keys = {ask: self._key(ask) for ask in asks}
        known = {} if self._memory.mode == "record" else self._memory.read(keys.values())
        new = [ask for ask, key in keys.items() if key not in known]
        if new and self._memory.mode == "replay":
            raise ModelError(
                f"{self._memory.path} has no answer of {self.spec} to {new[0].prompt.text[:60]!r} "
                f"({len(new)} in all); run with memory auto"
            )
        fresh = dict(zip(new, self._model.ask(new), strict=True)) if new else {}
        if fresh:
            self._memory.write((keys[ask], Remembered.of(answer)) for ask, answer in fresh.items())
        return [
            fresh[ask] if ask in fresh else known[keys[ask]].response(ask, self.spec)
            for ask in asks
        ]

    def _key(self, ask: Ask) -> bytes:
        named = [self.identity, ask.prompt.to_json(), ask.sample]
        return _hash(json.dumps(named, sort_keys=True))


def _hash(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


def _spent(connection: sqlite3.Connection, run: str) -> Spent:
    query = "SELECT calls, tokens, usd FROM spent WHERE run = ?"
    return Spent(*(connection.execute(query, (run,)).fetchone() or ()))
