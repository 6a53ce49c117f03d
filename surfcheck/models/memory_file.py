"""Memory's file as a thing of its own: what is in it, forgetting some of it, taking it elsewhere.

For the command line. None of these needs a model or a run, and a run may go on meanwhile.
"""

from __future__ import annotations

import json
import math
import os
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from surfcheck.errors import UsageError
from surfcheck.files import output
from surfcheck.jsonable import Record
from surfcheck.models.database import Damaged, Database
from surfcheck.models.owner import Owner
from surfcheck.models.remembered import COLUMNS, Remembered, provider_name
from surfcheck.roles import Progress, silent
from surfcheck.settings import MemoryMode

_DAY = 86_400.0
_OFTEN = 1000  # answers between two words of progress
_CHOSEN = "model = coalesce(?, model)"
_MODELS = """SELECT model, count(*), cast(total(prompt_tokens) AS INTEGER),
    cast(total(completion_tokens) AS INTEGER), min(at), max(at)
    FROM answers GROUP BY model ORDER BY model"""


@dataclass(frozen=True, slots=True)
class ModelAnswers(Record):
    """What one model has answered."""

    model: str
    """Who, as `provider:name`; empty for answers from before names were kept."""
    answers: int
    """How many answers."""
    prompt_tokens: int
    """Tokens in, where known."""
    completion_tokens: int
    """Tokens out, where known."""
    first: str | None
    """When the first was kept, ISO 8601; None if that is not known."""
    last: str | None
    """When the last was kept."""


@dataclass(frozen=True, slots=True)
class MemoryInfo(Record):
    """What is in a file."""

    path: str
    """The file."""
    schema: int | None
    """Version of its tables; None if it can't be read."""
    bytes: int
    """Size of the file and its log."""
    answers: int
    """How many answers."""
    models: tuple[ModelAnswers, ...]
    """Whose they are, by name."""
    claims: int
    """Questions that somebody is asking now."""
    damaged: str | None
    """What is wrong with the file and what to do; None if nothing is."""


class Pruned(NamedTuple):
    """What pruning came to."""

    forgotten: int
    """Answers that are gone."""
    left: int
    """Answers that are still there."""


class Exported(NamedTuple):
    """What an export came to."""

    rows: int
    """Answers written."""
    models: int
    """How many models they are of."""
    left_out: int
    """Answers left out: they were kept before prompts were."""


def info(path: Path, *, progress: Progress = silent) -> MemoryInfo:
    """What is in the file, with every answer checked.

    Raises UsageError if there is no file, InfrastructureError if it is of another version.
    """
    database = _existing(path, "replay")
    size = sum(os.path.getsize(p) for p in (path, f"{path}-wal") if os.path.exists(p))
    try:
        with closing(database), database.connection() as connection:
            (found,) = connection.execute("PRAGMA quick_check(1)").fetchone()
            if found != "ok":
                raise database.damaged(found)
            for _ in _answers(database, progress):
                pass
            models = tuple(ModelAnswers(*_with_dates(row)) for row in connection.execute(_MODELS))
            query = "SELECT host, process, born FROM claims WHERE until > ?"
            owners = connection.execute(query, (time.time(),)).fetchall()
    except Damaged as error:
        return MemoryInfo(str(path), None, size, 0, (), 0, str(error))
    answers = sum(m.answers for m in models)
    claims = sum(Owner(*owner).may_run() for owner in owners)
    return MemoryInfo(str(path), database.schema, size, answers, models, claims, None)


def prune(
    path: Path,
    *,
    older_than_days: float | None,
    model: str | None,
    progress: Progress = silent,
) -> Pruned:
    """Forget answers, and give their room back: those both older and of this model, where given.

    Given neither, all that was remembered is forgotten. An answer whose age is not known is old.
    Raises as `info`, UsageError if the model never answered, and InfrastructureError if the file
    can't be written.
    """
    now, everything = time.time(), older_than_days is None and model is None
    until = math.inf if older_than_days is None else now - older_than_days * _DAY
    database = _existing(path, "auto")
    with closing(database), database.connection() as connection:
        connection.set_progress_handler(lambda: progress("forgetting", 0, 1), _OFTEN * 100)
        with database.transaction():
            _check_name(connection, model)
            query = f"DELETE FROM answers WHERE {_CHOSEN} AND coalesce(at, 0) <= ?"  # noqa: S608 (constants only)
            forgotten = connection.execute(query, (model and provider_name(model), until)).rowcount
            (left,) = connection.execute("SELECT count(*) FROM answers").fetchone()
            # What a run that may still be going on has claimed and spent is not ours to forget.
            connection.execute("DELETE FROM claims WHERE until <= ?", (now,))
            connection.execute("DELETE FROM spent WHERE at <= ?", (now - _DAY,))
            if everything:
                connection.execute("DELETE FROM dropped")
        connection.execute("VACUUM")
        progress("forgetting", 1, 1)
    return Pruned(forgotten, left)


def export(
    path: Path, out: Path, *, model: str | None = None, progress: Progress = silent
) -> Exported:
    """Write the answers, of this model or of all, as JSON lines that `replay:` can read.

    The samples of a prompt stand in order. Raises as `prune`; a file that was there is replaced
    once all is written.
    """
    database = _existing(path, "replay")
    if out.exists() and out.samefile(path):
        raise UsageError(f"{out}: is the memory itself; name another file to write to")
    rows, left_out, models = 0, 0, set()
    with closing(database):
        with database.connection() as connection:
            _check_name(connection, model)
        with output(out) as file:
            order = "model, prompt, parameters, sample"
            for kept, at in _answers(database, progress, model=model, order=order):
                if kept.prompt is None:
                    left_out += 1
                    continue
                line = json.dumps(_exported(kept, kept.prompt, at)) + "\n"
                file.write(line.encode())
                rows += 1
                models.add(kept.model)
    return Exported(rows, len(models), left_out)


def _existing(path: Path, mode: MemoryMode) -> Database:
    if not path.is_file():
        raise UsageError(f"{path}: no memory here; run pytest --surf once, or name another file")
    return Database(path, mode)


def _check_name(connection: sqlite3.Connection, model: str | None) -> None:
    """Raise UsageError for a name that no answer is of, such as a mistyped one."""
    query = "SELECT 1 FROM answers WHERE model = ? LIMIT 1"
    if model and connection.execute(query, (provider_name(model),)).fetchone() is None:
        raise UsageError(f"no answers of {model}; `surfcheck memory info` names the models")


def _answers(
    database: Database, progress: Progress, *, model: str | None = None, order: str = "rowid"
) -> Iterator[tuple[Remembered, float | None]]:
    """Each answer and when it was kept. Raises Damaged for one that is not what was written."""
    with database.connection() as connection:
        name = (model and provider_name(model),)
        query = f"SELECT count(*) FROM answers WHERE {_CHOSEN}"  # noqa: S608 (constants only)
        (total,) = connection.execute(query, name).fetchone()
        query = f"SELECT {COLUMNS} FROM answers WHERE {_CHOSEN} ORDER BY {order}"  # noqa: S608 (constants only)
        for done, row in enumerate(connection.execute(query, name), start=1):
            kept = Remembered.from_row(row)
            if kept is None:
                raise database.damaged("an answer is not what was written")
            yield kept, row[-2]
            if done % _OFTEN == 0 or done == total:
                progress("reading answers", done, total)


def _with_dates(row: Sequence[Any]) -> list[Any]:
    *counts, first, last = row
    dates = [None if at is None else datetime.fromtimestamp(at, UTC) for at in (first, last)]
    return [*counts, *(None if d is None else d.isoformat(timespec="seconds") for d in dates)]


def _exported(kept: Remembered, prompt: str, at: float | None) -> dict[str, Any]:
    messages = json.loads(prompt)
    alone = len(messages) == 1 and messages[0]["role"] == "user"
    return {
        "prompt": messages[0]["content"] if alone else messages,
        "response": kept.text,
        **{k: v for k, v in kept._asdict().items() if k not in ("prompt", "text")},
        "at": at,
    }
