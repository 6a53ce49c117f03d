"""Post-training data, read from files, folders or the hub.

JSON lines, JSON lists, CSV (each plain or gzipped) and Parquet; `formats` says which records are
rows. Both kinds of row may be mixed in one file. `id` and `source` columns are kept, columns that
no format names are ignored. Lines are read one at a time, lists and CSV a file at a time. Left
out: splits other than `train` of a dataset on the hub.
"""

from __future__ import annotations

import codecs
import csv
import gzip
import hashlib
import io
import json
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from surfcheck.attribution import formats
from surfcheck.errors import DataError, InfrastructureError, UsageError
from surfcheck.records import TrainingRow

_FORMATS = (".jsonl", ".jsonl.gz", ".json", ".json.gz", ".csv", ".csv.gz", ".parquet")
_HUB_ID = re.compile(r"[\w-][\w.-]*(/[\w-][\w.-]*)?")
_DAMAGED = (EOFError, zlib.error, gzip.BadGzipFile)


@dataclass(frozen=True, slots=True)
class Corpus:
    """All rows of a data set, in the order of its files."""

    rows: tuple[TrainingRow, ...]
    """Every good row; ids are unique."""
    fingerprint: str
    """SHA-256 over the content of all rows: the same rows give the same value in any format."""
    files: tuple[str, ...]
    """The names of the files read, or the hub's dataset id."""
    skipped: int = 0
    """Bad rows left out; always 0 unless `skip_bad_rows` was given."""


class _Raw(NamedTuple):
    """A row as it lies in a file."""

    line: int
    """Where it starts, from 1; in Parquet and on the hub its row, from 1."""
    value: Any
    """Parsed, or the bytes of one JSON line, or what is wrong with it."""
    offset: int = 0
    """Position of those bytes in the (unpacked) file."""


class _Part(NamedTuple):
    """One file of a data set."""

    name: str
    """What errors call it."""
    source: str
    """The source of rows that do not name theirs."""
    rows: Iterator[_Raw]
    """Its rows, read as they are asked for."""


class GoodRow(NamedTuple):
    """A training row beside what it is told by."""

    row: TrainingRow
    """The row."""
    content: bytes
    """What `formats.canonical` makes of it: the data's fingerprint is over these."""


class WholeRow(NamedTuple):
    """A training row beside all that its file says of it."""

    row: TrainingRow
    """The row."""
    columns: dict[str, Any]
    """What it was read from, with the columns that no format names."""
    json: bytes | None
    """The line of JSON that it is, without its end; None in other files."""
    file: str
    """The file, or the hub's dataset id."""
    line: int
    """Where the row starts in it, from 1."""


class RowText(NamedTuple):
    """A training row as a person reads it, whatever its format."""

    id: str
    """The row's id."""
    source: str
    """Where the row comes from."""
    prompt: str
    """The conversation before the answer; a single turn is its plain text."""
    chosen: str
    """The preferred answer; for a demonstration, the answer."""
    rejected: str | None
    """The answer that lost; None for a demonstration."""

    @classmethod
    def of(cls, row: TrainingRow) -> RowText:
        """The texts of a row; turns of a longer conversation are headed by their roles."""
        prompt = row.prompt_text
        if len(row.prompt) > 1:
            prompt = "\n\n".join(f"{turn.role}: {turn.content}" for turn in row.prompt)
        return cls(row.id, row.source, prompt, row.chosen, row.rejected)


def read(data: str | Path, *, skip_bad_rows: bool = False) -> Corpus:
    """The rows of a file, of a folder of files, or of the train split of a dataset on the hub.

    Ids that a row does not give are its number in the whole data, from 0 and bad rows counted.
    Raises DataError for the first bad row, duplicate id or empty file (`skip_bad_rows` counts bad
    rows and goes on), UsageError if there is no such data, InfrastructureError if the hub cannot
    be reached.
    """
    rows, digest, skipped = list[TrainingRow](), hashlib.sha256(), 0
    for good in good_rows(data, skip_bad_rows=skip_bad_rows):
        if good is None:
            skipped += 1
        else:
            rows.append(good.row)
            digest.update(good.content)
    return Corpus(tuple(rows), digest.hexdigest(), files(data), skipped)


def good_rows(data: str | Path, *, skip_bad_rows: bool = False) -> Iterator[GoodRow | None]:
    """The rows that `read` gives, one at a time; None in place of a bad one that is left out.

    Raises what `read` raises, once it gets there.
    """
    seen: dict[str, str] = {}
    number = 0
    for part in _parts(data):
        before = number
        for raw in part.rows:
            try:
                row = _checked(raw, number, part, seen)
                good = GoodRow(row, formats.canonical(row))
            except formats.BadRowError as bad:
                if not skip_bad_rows:
                    raise DataError(part.name, raw.line, str(bad)) from None
                yield None
            else:
                seen[row.id] = f"{part.name}:{raw.line}"
                yield good
            number += 1
        if number == before:
            raise DataError(part.name, None, "no rows: give data, or leave this file out")
    if not seen:
        raise DataError(data, None, "not one good row; do not skip bad rows to see why")


def files(data: str | Path) -> tuple[str, ...]:
    """The names of a data set's files, or the hub's dataset id. Raises UsageError as `read`."""
    return tuple(part.name for part in _parts(data))


def whole_rows(data: str | Path) -> Iterator[WholeRow]:
    """The rows that `read` gives, one at a time and with every column.

    Raises what `read` raises, once it gets there.
    """
    seen: dict[str, str] = {}
    number = 0
    for part in _parts(data, every_column=True):
        before = number
        for raw in part.rows:
            try:
                columns = _parsed(raw)
                row = _checked(raw._replace(value=columns), number, part, seen)
                formats.canonical(row)  # as `read` does: it refuses what is not Unicode
            except formats.BadRowError as bad:
                raise DataError(part.name, raw.line, str(bad)) from None
            seen[row.id] = f"{part.name}:{raw.line}"
            yield WholeRow(row, columns, _line(raw), part.name, raw.line)
            number += 1
        if number == before:
            raise DataError(part.name, None, "no rows: give data, or leave this file out")


def _line(raw: _Raw) -> bytes | None:
    if not isinstance(raw.value, bytes):
        return None
    line = raw.value.removeprefix(codecs.BOM_UTF8) if raw.offset == 0 else raw.value
    return line.rstrip(b"\r\n")


def _checked(raw: _Raw, number: int, part: _Part, seen: dict[str, str]) -> TrainingRow:
    row = formats.row(_parsed(raw), str(number), part.source)
    if row.id in seen:
        raise formats.BadRowError(f"id {row.id!r} was already given at {seen[row.id]}")
    return row


# Where rows come from


def _parts(data: str | Path, *, every_column: bool = False) -> list[_Part]:
    path = Path(data)
    if path.is_dir():
        shown = (p for p in sorted(path.rglob("*")) if p.name.endswith(_FORMATS) and p.is_file())
        files = [p for p in shown if "/." not in f"/{p.relative_to(path).as_posix()}"]
    elif path.is_file():
        files = [path] if path.name.endswith(_FORMATS) else []
    elif _HUB_ID.fullmatch(str(data)) and not path.name.endswith(_FORMATS):
        return [_Part(str(data), str(data), _hub_rows(str(data), every_column))]
    else:
        raise UsageError(f"{data}: no such file or folder; give training data or a dataset id")
    if not files:
        raise UsageError(f"{data}: no training data; give one of *{', *'.join(_FORMATS)}")
    return [_Part(str(p), p.name[: -len(_suffix(p))], _file_rows(p, every_column)) for p in files]


def _suffix(path: Path) -> str:
    return max((s for s in _FORMATS if path.name.endswith(s)), key=len)


def _file_rows(path: Path, every_column: bool) -> Iterator[_Raw]:
    kind = _suffix(path).split(".")[1]
    readers = {"jsonl": _json_lines, "json": _json_rows, "csv": _csv_rows}
    try:
        if kind == "parquet":
            yield from _table_rows(path, every_column)
        else:
            yield from readers[kind](path)
    except _DAMAGED as error:
        raise DataError(path, None, f"damaged gzip file ({error}); fetch it again") from None
    except OSError as error:
        raise InfrastructureError(f"{path}: cannot be read: {error.strerror or error}") from None


def _open(path: Path) -> io.BufferedIOBase:
    return gzip.open(path, "rb") if path.name.endswith(".gz") else path.open("rb")


def _json_lines(path: Path) -> Iterator[_Raw]:
    offset = 0
    with _open(path) as file:
        for line, raw in enumerate(file, 1):
            if not raw.isspace():
                yield _Raw(line, raw, offset)
            offset += len(raw)


def _text(path: Path) -> str:
    with _open(path) as file:
        raw = file.read()
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise DataError(path, line, f"not UTF-8 at byte {error.start}; save it as UTF-8") from None


def _json_rows(path: Path) -> Iterator[_Raw]:
    """A list of objects, with the line where each starts; or JSON lines under another name."""
    text = _text(path)
    if not text.lstrip().startswith("["):
        yield from _json_lines(path)
        return
    decoder, between = json.JSONDecoder(), re.compile(r"[\s,]*")
    at, line, counted = text.index("[") + 1, 1, 0
    while True:
        at = between.match(text, at).end()  # type: ignore[union-attr]  # matches nothing too
        line, counted = line + text.count("\n", counted, at), at
        if text[at : at + 1] == "]":
            break
        try:
            value, at = decoder.raw_decode(text, at)
        except (json.JSONDecodeError, RecursionError) as error:
            raise DataError(path, line, f"invalid JSON in this row: {error}") from None
        yield _Raw(line, value)
    if text[at + 1 :].strip():
        raise DataError(path, line, "more text after the end of the list; give one list a file")


def _csv_rows(path: Path) -> Iterator[_Raw]:
    """Rows of a table with a header. CSV has no null: an empty cell is a field not given, except
    in `chosen` or `rejected` when the other one is filled."""
    reader = csv.DictReader(io.StringIO(_text(path), newline=""))
    line = 2
    try:
        for cells in reader:
            kept = ("chosen", "rejected") if cells.get("chosen") or cells.get("rejected") else ()
            given = {name: text if text or name in kept else None for name, text in cells.items()}
            many = formats.BadRowError("more cells than the header has; quote those with commas")
            yield _Raw(line, many if None in cells else given)
            line = reader.line_num + 1
    except csv.Error as error:
        raise DataError(path, line, f"invalid CSV: {error}") from None


def _table_rows(path: Path, every_column: bool) -> Iterator[_Raw]:
    try:
        with pq.ParquetFile(path) as file:
            columns = _wanted(file.schema_arrow.names, every_column)
            batches = file.iter_batches(4096, columns=columns)
            rows = (row for batch in batches for row in batch.to_pylist())
            yield from (_Raw(number, row) for number, row in enumerate(rows, 1))
    except pa.ArrowException as error:
        reason = str(error).splitlines()[0]
        raise DataError(path, None, f"not a readable Parquet file: {reason}") from None


def _wanted(columns: list[str], every_column: bool) -> list[str]:
    """The columns to read: those that a format names; all, if none does, for an error to list."""
    named = [column for column in columns if column in formats.FIELDS]
    return columns if every_column or not named else named


def _hub_rows(name: str, every_column: bool) -> Iterator[_Raw]:
    import datasets  # noqa: PLC0415 (slow to load, and only for names that are no files)

    try:
        data = datasets.load_dataset(name, split="train")
    except Exception as error:  # it raises whatever its transport, its parser or its cache raise
        reason = (str(error).splitlines() or [""])[0].rstrip(".")
        message = f"{name}: no such file, and not to be had as a dataset of the hub: {reason}"
        kind = UsageError if isinstance(error, ValueError) else InfrastructureError
        raise kind(f"{message}; check the path or the connection") from None
    columns = _wanted(data.column_names, every_column)
    tables = data.select_columns(columns).with_format("arrow").iter(4096)
    rows = (row for table in tables for row in table.to_pylist())
    yield from (_Raw(number, row) for number, row in enumerate(rows, 1))


def _parsed(raw: _Raw) -> Any:
    if isinstance(raw.value, formats.BadRowError):
        raise raw.value
    if not isinstance(raw.value, bytes):
        return raw.value
    try:
        text = raw.value.decode("utf-8-sig" if raw.offset == 0 else "utf-8")
        return json.loads(text)
    except UnicodeDecodeError as error:
        at = raw.offset + error.start
        raise formats.BadRowError(f"not UTF-8 at byte {at}; save it as UTF-8") from None
    except (json.JSONDecodeError, RecursionError) as error:
        raise formats.BadRowError(f"invalid JSON: {error}; give one object a line") from None
