"""From a ranking to edited data: rows dropped or their preferences flipped, and matched controls.

The edited file has every other row as it lay, so that a training on it differs by the edit alone.
Rows that give no `id` are numbered anew in it, and rows that give no `source` take its name. Data
is read twice and never held. Left out: the training, and data written as anything but JSON lines.
"""

from __future__ import annotations

import gzip
import json
import random
from array import array
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, time
from pathlib import Path
from typing import IO, Any, Literal

from surfcheck.attribution import corpus
from surfcheck.attribution.corpus import WholeRow
from surfcheck.attribution.ranking import ranked_ids
from surfcheck.errors import DataError, InfrastructureError, MismatchError, UsageError
from surfcheck.files import output
from surfcheck.jsonable import Record
from surfcheck.roles import Progress, silent

Action = Literal["drop", "flip"]
Control = Literal["random", "length"]

_ENDINGS = (".jsonl", ".jsonl.gz")
_OFTEN = 1000


@dataclass(frozen=True, slots=True)
class Edit(Record):
    """What became of a data set."""

    action: Action
    """Whether rows were left out, or chosen and rejected swapped."""
    rows_before: int
    """Rows of the data."""
    rows_after: int
    """Rows of the edited file."""
    edited: tuple[str, ...]
    """Ids of the rows that were dropped or flipped: best-ranked first, or as they were drawn."""
    control: Control | None
    """How other rows were drawn in place of the ranked ones; None if those were edited."""
    seed: int | None
    """Seed of the draw; None if nothing was drawn."""
    by_source: dict[str, int]
    """How many of the edited rows each source gave, the largest first."""


@dataclass(frozen=True, slots=True)
class _Table:
    """What a choice of rows depends on, by the row's number in the data."""

    numbers: dict[str, int] = field(default_factory=dict)
    """Every id's row, in the order of the data."""
    sources: list[str] = field(default_factory=list)
    """Where a row comes from."""
    is_pair: bytearray = field(default_factory=bytearray)
    """Whether it is a preference pair."""
    lengths: array[int] = field(default_factory=lambda: array("q"))
    """Characters of its answer, in a pair of the chosen one."""


def edit(
    data: str | Path,
    ranking: str | Path,
    out: str | Path,
    *,
    top: int,
    action: Action,
    control: Control | None = None,
    seed: int = 0,
    sources: Sequence[str] = (),
    progress: Progress = silent,
) -> Edit:
    """Write the data to `out` with its `top` best-ranked rows dropped or flipped.

    A flip swaps `chosen` and `rejected` and leaves all other columns. With `sources`, only rows of
    these count, in the ranking and for a control.

    A control edits as many other rows, pairs for pairs and demonstrations for demonstrations:
    `random` draws them uniformly; `length` gives each ranked row the nearest in length of answer
    that is left, of several one at random. Neither ever takes one of the `top` ranked rows: a
    control must not cure by luck what the ranking is to be credited with.

    Raises UsageError if that cannot be done, DataError if a file is not what it should be,
    MismatchError if the ranking is of other data, InfrastructureError if `out` cannot be written.
    """
    path = Path(out)
    _check_out(path, data, ranking)
    ranked = ranked_ids(ranking)
    table = _table(data, len(ranked), progress)
    rows = _top(table, ranked, top, frozenset(sources), data=data, ranking=ranking)
    _check_action(table, rows, action)
    if control is not None:
        rows = _drawn(table, rows, control, random.Random(seed), frozenset(sources))
    ids = list(table.numbers)
    edited, total = tuple(ids[row] for row in rows), len(ids)
    with _packed(path) as file:
        _write(file, data, frozenset(edited), action, total, progress)
    left = total - len(rows) if action == "drop" else total
    by_source = dict(Counter(table.sources[row] for row in rows).most_common())
    return Edit(action, total, left, edited, control, None if control is None else seed, by_source)


# What is asked for


def _check_out(out: Path, data: str | Path, ranking: str | Path) -> None:
    if not out.name.endswith(_ENDINGS):
        raise UsageError(f"{out}: edited data is JSON lines; name a .jsonl or a .jsonl.gz file")
    if out.is_dir():
        raise UsageError(f"{out}: is a folder; name a file")
    whole = out.resolve()
    if whole == Path(ranking).resolve():
        raise UsageError(f"{out}: is the ranking itself; name another file")
    if Path(data).resolve() in (whole, *whole.parents):
        raise UsageError(f"{out}: is, or would become, part of the data; name a file outside it")


def _table(data: str | Path, expected: int, progress: Progress) -> _Table:
    table, names = _Table(), dict[str, str]()
    for number, whole in enumerate(corpus.whole_rows(data)):
        row = whole.row
        table.numbers[row.id] = number
        table.sources.append(names.setdefault(row.source, row.source))  # one string a source
        table.is_pair.append(row.is_pair)
        table.lengths.append(len(row.chosen))
        if number % _OFTEN == 0:
            progress("reading rows", number, max(number, expected))
    return table


# Which rows


def _top(
    table: _Table,
    ranked: Sequence[str],
    top: int,
    sources: frozenset[str],
    *,
    data: str | Path,
    ranking: str | Path,
) -> list[int]:
    """The rows to edit, best first."""
    missing = [identity for identity in ranked if identity not in table.numbers]
    if missing:
        what = f"{len(missing):,} of its {len(ranked):,} ids are not in {data}"
        advice = "give the data that was ranked, or rank this data"
        raise MismatchError(f"{ranking}: {what}, {missing[0]!r} among them; {advice}")
    if unknown := sources.difference(table.sources):
        known = ", ".join(sorted(set(table.sources)))
        raise UsageError(f"no row is of the source {min(unknown)!r}; the data has {known}")
    rows = [table.numbers[identity] for identity in ranked]
    rows = [row for row in rows if not sources or table.sources[row] in sources]
    if top < 1:
        raise UsageError(f"the top {top} are no rows; give 1 or more")
    if top > len(rows):
        which = " of these sources" if sources else ""
        raise UsageError(
            f"there is no top {top:,}: {len(rows):,} rows{which} are ranked; give less"
        )
    return rows[:top]


def _check_action(table: _Table, rows: Sequence[int], action: Action) -> None:
    if action == "drop" and len(rows) == len(table.sources):
        raise UsageError(f"dropping the top {len(rows):,} would leave no row; give less")
    single = sum(not table.is_pair[row] for row in rows)
    if action == "flip" and single:
        what = f"{single:,} of the top {len(rows):,} are demonstrations, with nothing to flip to"
        raise UsageError(f"{what}; drop them, or count only sources of preference pairs")


def _drawn(
    table: _Table,
    ranked: Sequence[int],
    control: Control,
    chance: random.Random,
    sources: frozenset[str],
) -> list[int]:
    """As many other rows of each kind."""
    taken, drawn = set(ranked), list[int]()
    for kind, what in ((1, "preference pairs"), (0, "demonstrations")):
        wanted = [row for row in ranked if table.is_pair[row] == kind]
        others = [
            row
            for row, source in enumerate(table.sources)
            if table.is_pair[row] == kind
            and row not in taken
            and (not sources or source in sources)
        ]
        if len(others) < len(wanted):
            short = f"a control of {len(wanted):,} {what} needs as many outside the top"
            raise UsageError(f"{short}, and there are {len(others):,}; give a smaller top")
        if control == "random":
            drawn += chance.sample(others, len(wanted))
        else:
            drawn += _matched(table.lengths, wanted, others, chance)
    return drawn


def _matched(
    lengths: Sequence[int], wanted: Sequence[int], others: list[int], chance: random.Random
) -> list[int]:
    """For each wanted row the nearest in length of the others that are left."""
    chance.shuffle(others)
    shelves: dict[int, list[int]] = {}
    for row in others:
        shelves.setdefault(lengths[row], []).append(row)
    there, matched = sorted(shelves), []
    for row in wanted:
        length = lengths[row]
        at = bisect_left(there, length)  # the nearest is here or just before
        near = [(abs(there[i] - length), chance.random(), i) for i in (at - 1, at)
                if 0 <= i < len(there)]  # fmt: skip
        place = min(near)[-1]
        shelf = shelves[there[place]]
        matched.append(shelf.pop())
        if not shelf:
            del there[place]
    return matched


# Writing


@contextmanager
def _packed(out: Path) -> Iterator[IO[bytes] | gzip.GzipFile]:
    """The output, packed if its name says so."""
    with output(out) as file:
        if out.name.endswith(".gz"):  # no name and no time: the same rows, the same bytes
            with gzip.GzipFile("", "wb", fileobj=file, mtime=0) as packed:
                yield packed
        else:
            yield file


def _write(
    file: IO[bytes] | gzip.GzipFile,
    data: str | Path,
    edited: frozenset[str],
    action: Action,
    total: int,
    progress: Progress,
) -> None:
    rows = found = 0
    for rows, whole in enumerate(corpus.whole_rows(data), 1):
        hit = whole.row.id in edited
        found += hit
        if hit and action == "flip":
            file.write(_json(whole, _flipped(whole.columns)))
        elif not hit:
            file.write(_json(whole, whole.columns) if whole.json is None else whole.json + b"\n")
        if rows % _OFTEN == 0 or rows == total:
            progress("writing rows", rows, total)
    if (rows, found) != (total, len(edited)):
        raise InfrastructureError(f"{data}: changed while it was read; wait and edit it again")


def _flipped(columns: dict[str, Any]) -> dict[str, Any]:
    swapped = {"chosen": columns["rejected"], "rejected": columns["chosen"]}
    return columns | swapped  # in the old places


def _json(whole: WholeRow, columns: dict[str, Any]) -> bytes:
    try:
        text = json.dumps(columns, ensure_ascii=False, default=_plain)
    except TypeError as error:
        advice = "leave that column out, nothing trains on it"
        raise DataError(whole.file, whole.line, f"a column has {error}; {advice}") from None
    # Half a surrogate pair, in a column that nobody reads, stays the escape that it was.
    return text.encode(errors="backslashreplace") + b"\n"


def _plain(value: object) -> str:
    """Dates, which Parquet knows and JSON does not."""
    if isinstance(value, date | time):
        return value.isoformat()
    raise TypeError(f"values of the type {type(value).__name__}, which JSON lines do not know")
