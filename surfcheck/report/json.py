"""A run on disk: `run.json`, `exchanges.jsonl`, and a contrast file for each failing test.

Each is written whole or not at all, in ASCII, so that no text of a model can do anything to a
terminal or an encoding.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeVar

from surfcheck.errors import DataError, MismatchError
from surfcheck.files import write_json, write_whole
from surfcheck.jsonable import Record
from surfcheck.records import AttributionReport, Contrast, Exchange, RunReport

R = TypeVar("R", bound=Record)

RUN = "run.json"
EXCHANGES = "exchanges.jsonl"


def write_run(folder: Path, run: RunReport, exchanges: Iterable[Exchange]) -> None:
    """Write run and exchanges, `run.json` last: where it stands, the other is complete."""
    _write_rows(folder / EXCHANGES, exchanges)
    attributions = [
        {"schema": AttributionReport.schema, **report.to_json()} for report in run.attributions
    ]
    whole = {"schema": RunReport.schema, **run.to_json(), "attributions": attributions}
    write_json(folder / RUN, whole)


def contrast_file(folder: Path, test: str) -> Path:
    """Where a run in `folder` keeps the contrasts of a failing test."""
    return folder / "contrasts" / (re.sub(r"[^\w.]+", "-", test, flags=re.ASCII) + ".jsonl")


def write_contrasts(folder: Path, test: str, contrasts: Iterable[Contrast]) -> None:
    """What `surfcheck attribute --contrast` takes, for one failing test."""
    _write_rows(contrast_file(folder, test), contrasts)


def read_run(path: Path) -> RunReport:
    """The run in a folder, or in a `run.json`.

    Raises DataError if it is no run, MismatchError if another version wrote it.
    """
    path = path / RUN if path.is_dir() else path
    try:
        data = json.loads(_read(path))
    except ValueError as error:
        raise DataError(path, None, f"is no JSON ({error}); run `pytest --surf` again") from None
    schema = data.get("schema") if isinstance(data, dict) else None
    if schema != RunReport.schema:
        raise MismatchError(
            f"{path}: its schema is {schema!r} and this version reads {RunReport.schema!r}; "
            "run `pytest --surf` again"
        )
    return _record(path, None, RunReport, data)


def read_exchanges(path: Path) -> tuple[Exchange, ...]:
    """Every judged exchange, from a run's folder or an `exchanges.jsonl`. Raises DataError."""
    path = path / EXCHANGES if path.is_dir() else path
    found = []
    for number, row in enumerate(_read(path).splitlines(), 1):
        try:
            data = json.loads(row)
        except ValueError as error:
            raise DataError(path, number, f"is no JSON ({error})") from None
        found.append(_record(path, number, Exchange, data))
    return tuple(found)


def _record(path: Path, number: int | None, kind: type[R], data: Any) -> R:
    try:
        return kind.from_json(data)
    except (KeyError, TypeError, ValueError) as error:
        name = kind.__name__
        raise DataError(path, number, f"is no {name}: {type(error).__name__} {error}") from None


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "is not UTF-8"
        raise DataError(path, None, f"{reason}; give the folder of a run") from None


def _write_rows(path: Path, rows: Iterable[Record]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, "".join(json.dumps(row.to_json()) + "\n" for row in rows))
