"""Every answer, once: a model that remembers what it was asked.

One SQLite file, shared by as many processes as like (write-ahead log). The key is a hash of who
was asked (`identity`: fingerprint and parameters), what was asked, and which sample; no name,
address, key or header of a provider is stored.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from surfcheck.errors import InfrastructureError, ModelError, UsageError
from surfcheck.models.loaded import LoadedModel
from surfcheck.records import Response
from surfcheck.roles import Ask
from surfcheck.settings import MemoryMode

SCHEMA = 1
BUSY_SECONDS = 60

_TABLE = """CREATE TABLE answers (
    key BLOB PRIMARY KEY,
    text TEXT NOT NULL,
    finish_reason TEXT,
    prompt_tokens INTEGER,
    completion_tokens INTEGER
) WITHOUT ROWID"""


class Remembered(NamedTuple):
    """What is kept of a response: a row of the table, after its key."""

    text: str
    """The answer."""
    finish_reason: str | None
    """Why it ended."""
    prompt_tokens: int | None
    """Tokens in."""
    completion_tokens: int | None
    """Tokens out."""


class Memory:
    """A file of answers, opened with the first question. Usable as a context manager.

    Modes: `auto` answers from the file and keeps what is new, `record` asks again and keeps,
    `replay` never asks, `off` never touches the file.
    """

    def __init__(self, path: Path, mode: MemoryMode) -> None:
        self.path = path
        """The SQLite file."""
        self.mode = mode
        """When to ask, when to keep."""
        self._opened: sqlite3.Connection | None = None

    def __enter__(self) -> Memory:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; the next question opens it again."""
        if self._opened is not None:
            self._opened.close()
            self._opened = None

    def read(self, keys: Iterable[bytes]) -> dict[bytes, Remembered]:
        """What is known of these keys. Raises InfrastructureError if the file can't be read."""
        wanted = list(keys)
        found = {}
        with self._connection() as connection:
            # SQLite takes a bounded number of parameters a statement.
            for start in range(0, len(wanted), 500):
                part = wanted[start : start + 500]
                marks = ",".join("?" * len(part))
                query = f"SELECT * FROM answers WHERE key IN ({marks})"  # noqa: S608 (marks only)
                for key, *kept in connection.execute(query, part):
                    found[key] = Remembered(*kept)
        return found

    def write(self, answers: Iterable[tuple[bytes, Remembered]]) -> None:
        """Keep these, all or none. Raises InfrastructureError if the file can't be written."""
        rows = [(key, *kept) for key, kept in answers]
        with self._connection() as connection, _transaction(connection):
            connection.executemany("INSERT OR REPLACE INTO answers VALUES (?,?,?,?,?)", rows)

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        try:
            if self._opened is None:
                self._opened = self._open()
            yield self._opened
        except (sqlite3.OperationalError, OSError) as error:
            raise InfrastructureError(
                f"{self.path}: {error}; make its folder writable, or run with memory off"
            ) from None
        except sqlite3.DatabaseError as error:
            raise InfrastructureError(
                f"{self.path}: is damaged ({error}); delete the file and run again"
            ) from None

    def _open(self) -> sqlite3.Connection:
        if self.mode == "replay" and not self.path.exists():
            raise UsageError(f"{self.path}: no answers to replay; run once with memory auto")
        self.path.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(self.path, timeout=BUSY_SECONDS, isolation_level=None)
        try:
            _use_write_ahead_log(connection)
            connection.execute("PRAGMA synchronous=NORMAL")
            with _transaction(connection):
                self._check_schema(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _check_schema(self, connection: sqlite3.Connection) -> None:
        (schema,) = connection.execute("PRAGMA user_version").fetchone()
        tables = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]
        if schema == 0 and tables == 0:
            connection.execute(_TABLE)
            connection.execute(f"PRAGMA user_version={SCHEMA}")
        elif schema != SCHEMA:
            raise InfrastructureError(
                f"{self.path}: was written by another version (schema {schema}, not {SCHEMA}); "
                "delete the file and run again"
            )


class Remembering:
    """A model that is asked only what memory doesn't know."""

    def __init__(self, model: LoadedModel, memory: Memory) -> None:
        self._model, self._memory = model, memory

    @property
    def spec(self) -> str:
        """The model's."""
        return self._model.spec

    @property
    def identity(self) -> str:
        """The model's."""
        return self._model.identity

    @property
    def notes(self) -> tuple[str, ...]:
        """The model's."""
        return self._model.notes

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
            self._memory.write((keys[ask], _kept(answer)) for ask, answer in fresh.items())
        return [fresh[ask] if ask in fresh else self._recall(ask, known[keys[ask]]) for ask in asks]

    def _key(self, ask: Ask) -> bytes:
        named = [self.identity, ask.prompt.to_json(), ask.sample]
        return hashlib.sha256(json.dumps(named, sort_keys=True).encode()).digest()

    def _recall(self, ask: Ask, kept: Remembered) -> Response:
        response = Response(ask.prompt, model=self.spec, sample=ask.sample, **kept._asdict())
        return replace(response, remembered=True)


def _kept(answer: Response) -> Remembered:
    return Remembered(
        answer.text, answer.finish_reason, answer.prompt_tokens, answer.completion_tokens
    )


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def _use_write_ahead_log(connection: sqlite3.Connection) -> None:
    # Where two processes make the file together, SQLite may tell one of them "busy" at once,
    # without waiting out its timeout.
    for wait in (0.01, 0.05, 0.2, 1.0, 5.0):
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY:
                raise
            time.sleep(wait)
        else:
            return
    connection.execute("PRAGMA journal_mode=WAL")
