"""The SQLite file behind memory: its tables, how it is opened, and what to do when it can't be.

One connection, shared by the threads of a process; as many processes as like share the file
(write-ahead log). Knows the tables, not what stands in them.
"""

from __future__ import annotations

import shlex
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from surfcheck.errors import InfrastructureError, UsageError
from surfcheck.settings import MemoryMode

SCHEMA = 2
BUSY_SECONDS = 60

_STEPS = (
    # From an empty file to schema 1.
    (
        """CREATE TABLE answers (
            key BLOB PRIMARY KEY,
            text TEXT NOT NULL,
            finish_reason TEXT,
            prompt_tokens INTEGER,
            completion_tokens INTEGER
        ) WITHOUT ROWID""",
    ),
    # From schema 1 to 2.
    (
        "ALTER TABLE answers RENAME TO first_answers",
        # With row ids, for long rows: without, a row of more than 1 kB takes pages of its own.
        """CREATE TABLE answers (
            key BLOB PRIMARY KEY NOT NULL,
            text TEXT NOT NULL,
            finish_reason TEXT,
            prompt_tokens INTEGER,
            completion_tokens INTEGER,
            refusal TEXT,
            log_probability REAL,
            usd REAL,
            parameters TEXT,
            model TEXT NOT NULL DEFAULT '',
            prompt TEXT,
            sample INTEGER NOT NULL DEFAULT 0,
            at REAL,
            checksum INTEGER
        )""",
        """INSERT INTO answers (key, text, finish_reason, prompt_tokens, completion_tokens)
            SELECT key, text, finish_reason, prompt_tokens, completion_tokens FROM first_answers""",
        "DROP TABLE first_answers",
        """CREATE TABLE claims (
            key BLOB PRIMARY KEY,
            token TEXT NOT NULL,
            host TEXT NOT NULL,
            process INTEGER NOT NULL,
            born TEXT NOT NULL,
            until REAL NOT NULL
        ) WITHOUT ROWID""",
        """CREATE TABLE dropped (
            identity BLOB NOT NULL,
            parameter TEXT NOT NULL,
            PRIMARY KEY (identity, parameter)
        ) WITHOUT ROWID""",
        """CREATE TABLE spent (
            run TEXT PRIMARY KEY,
            calls INTEGER NOT NULL,
            tokens INTEGER NOT NULL,
            usd REAL NOT NULL,
            at REAL NOT NULL
        ) WITHOUT ROWID""",
    ),
)

_UNWRITABLE = (
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_IOERR,
)


class Damaged(InfrastructureError):
    """The file is there, and is not what was written."""


class Database:
    """The connection to a file, opened by its first use.

    Mode `replay` never changes the file; `off` has no file, only tables in this process.
    """

    def __init__(self, path: Path, mode: MemoryMode) -> None:
        self.path = path
        """The SQLite file."""
        self.schema: int | None = None
        """The schema of the file as it was found, once it is open; 0 if there was none."""
        self._mode = mode
        self._lock = threading.RLock()
        self._opened: sqlite3.Connection | None = None

    def close(self) -> None:
        """Close the file; the next use opens it again."""
        with self._lock:
            if self._opened is not None:
                self._opened.close()
                self._opened = None

    @contextmanager
    def connection(self) -> Iterator[sqlite3.Connection]:
        """The connection, for this thread alone while the context is open.

        Raises InfrastructureError, with what to do, for whatever SQLite finds wrong.
        """
        with self._lock:
            try:
                if self._opened is None:
                    self._opened = self._open()
                yield self._opened
            except OSError as error:
                raise self._unwritable(error) from None
            except sqlite3.ProgrammingError:  # a mistake of ours, not of the file
                raise
            except sqlite3.DatabaseError as error:
                raise self._explained(error) from None
            except UnicodeDecodeError:  # of SQLite's own message, which quotes the damaged tables
                raise self.damaged("malformed database schema") from None

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """The connection, with everything done in the context kept, or nothing."""
        with self.connection() as connection, _transaction(connection):
            yield connection

    def damaged(self, reason: object) -> Damaged:
        """The error that says so, and how to put the file away without losing it; closes it."""
        self.close()  # which may take its log away
        said = " ".join(str(reason).split())  # SQLite may quote the tables, lines and all
        return Damaged(f"{self.path}: is damaged ({said}); {_move_away(self.path)}")

    def _explained(self, error: sqlite3.DatabaseError) -> InfrastructureError:
        code = _code(error)
        if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            return InfrastructureError(
                f"{self.path}: another process has held it for {BUSY_SECONDS} s; end that one, "
                "or run with memory off"
            )
        if code == sqlite3.SQLITE_FULL:
            return InfrastructureError(f"{self.path}: {error}; make room and run again")
        return self._unwritable(error) if code in _UNWRITABLE else self.damaged(error)

    def _unwritable(self, error: Exception) -> InfrastructureError:
        return InfrastructureError(
            f"{self.path}: {error}; make its folder writable, or run with memory off"
        )

    def _open(self) -> sqlite3.Connection:
        if self._mode == "replay":
            return self._open_to_read()
        if self._mode == "off":
            connection = _connect(":memory:")
        else:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            connection = _connect(self.path)
        with _closed_on_error(connection):
            _use_write_ahead_log(connection)
            connection.execute("PRAGMA synchronous=NORMAL")
            with _transaction(connection):
                _migrate(connection, self._read_schema(connection))
        return connection

    def _open_to_read(self) -> sqlite3.Connection:
        if not self.path.exists() or not self.path.stat().st_size:
            raise UsageError(f"{self.path}: no answers to replay; run once with memory auto")
        connection = self._connect_to_read()
        with _closed_on_error(connection):
            schema = self._read_schema(connection)
            if schema == SCHEMA:
                return connection
            # The file stays as it is; what is read is a copy, brought up to date.
            copy = _connect(":memory:")
            with _closed_on_error(copy):
                connection.backup(copy)
                _migrate(copy, schema)
        connection.close()
        return copy

    def _connect_to_read(self) -> sqlite3.Connection:
        connection = _connect(self.path)
        try:
            connection.execute("PRAGMA query_only=1")
            connection.execute("PRAGMA user_version")
        except sqlite3.OperationalError as error:
            connection.close()
            log = _beside(self.path, "-wal")
            if (
                _code(error) not in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY)
                or log.exists()
            ):
                raise
            # To look for a log SQLite makes a file beside it. This folder takes none, and has none.
            address = f"{self.path.absolute().as_uri()}?mode=ro&immutable=1"
            return _connect(address, uri=True)
        except BaseException:
            connection.close()
            raise
        return connection

    def _read_schema(self, connection: sqlite3.Connection) -> int:
        (schema,) = connection.execute("PRAGMA user_version").fetchone()
        (tables,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        if schema < 0 or (schema == 0 and tables):
            raise InfrastructureError(
                f"{self.path}: is not surfcheck's (schema {schema}, not {SCHEMA}); "
                f"{_move_away(self.path)}"
            )
        if schema > SCHEMA:
            raise InfrastructureError(
                f"{self.path}: was written by another version (schema {schema}, not {SCHEMA}); "
                f"update surfcheck, or {_move_away(self.path)}"
            )
        self.schema = int(schema)
        return self.schema


def _code(error: sqlite3.Error) -> int:
    return error.sqlite_errorcode & 0xFF  # the upper bits say more of the same


def _connect(where: str | Path, *, uri: bool = False) -> sqlite3.Connection:
    connection = sqlite3.connect(
        where, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False, uri=uri
    )
    # A text with a damaged byte has to be seen as such by its checksum, not by an exception.
    connection.text_factory = lambda raw: raw.decode(errors="replace")
    return connection


def _migrate(connection: sqlite3.Connection, schema: int) -> None:
    for step in _STEPS[schema:]:
        for statement in step:
            connection.execute(statement)
    if schema != SCHEMA:
        connection.execute(f"PRAGMA user_version={SCHEMA}")


@contextmanager
def _closed_on_error(connection: sqlite3.Connection) -> Iterator[None]:
    try:
        yield
    except BaseException:
        connection.close()
        raise


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        # SQLite has rolled back by itself where the disk was full; the first error is the one.
        with suppress(sqlite3.Error):
            connection.execute("ROLLBACK")
        raise


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


def _beside(path: Path, ending: str) -> Path:
    return path.with_name(path.name + ending)


def _move_away(path: Path) -> str:
    """What to type: the file and its log, to names that are free."""
    away, number = _beside(path, ".damaged"), 1
    while away.exists():
        number += 1
        away = _beside(path, f".damaged-{number}")
    log = _beside(path, "-wal")
    endings = ["", "-wal"] if log.exists() and log.stat().st_size else [""]
    moves = [["mv", str(_beside(path, e)), str(_beside(away, e))] for e in endings]
    return f"move it away ({' && '.join(map(shlex.join, moves))}) and run again"
