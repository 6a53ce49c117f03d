"""A data set whose rows are never all in memory: counted once, then read as often as needed.

Going through the rows again costs their parsing, which is nothing beside reading them with a
model. Left out: jumping to a row, which gzip and JSON lines do not offer.
"""

from __future__ import annotations

import hashlib
import zlib
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Protocol

from surfcheck.attribution import corpus
from surfcheck.errors import InfrastructureError
from surfcheck.records import TrainingRow


class Many(Protocol):
    """Training rows that are counted, and gone through again and again."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[TrainingRow]: ...


class Data(Protocol):
    """A data set: a `corpus.Corpus` in memory, or a `Streamed` one."""

    @property
    def rows(self) -> Many:
        """Every good row; ids are unique."""

    @property
    def fingerprint(self) -> str:
        """SHA-256 over the content of all rows."""

    @property
    def files(self) -> tuple[str, ...]:
        """The names of the files, or the hub's dataset id."""

    @property
    def skipped(self) -> int:
        """Bad rows left out."""


@dataclass(frozen=True, slots=True)
class Stream:
    """Rows that are read from their files each time that they are gone through.

    Four bytes of each stay in memory, by which a change since is noticed, and their ids while they
    are gone through.
    """

    data: str
    """The file, the folder or the hub's dataset id."""
    skip_bad_rows: bool
    """Whether bad rows are left out."""
    marks: array[int]
    """A checksum of each row's content."""

    def __len__(self) -> int:
        return len(self.marks)

    def __iter__(self) -> Iterator[TrainingRow]:
        """Raises InfrastructureError at the first row that is not what it was."""
        number = 0
        for good in corpus.good_rows(self.data, skip_bad_rows=self.skip_bad_rows):
            if good is not None:
                if number == len(self) or zlib.crc32(good.content) != self.marks[number]:
                    raise self._changed()
                yield good.row
                number += 1
        if number < len(self):
            raise self._changed()

    def _changed(self) -> InfrastructureError:
        return InfrastructureError(
            f"{self.data}: changed while it was read; leave it as it is, and begin again"
        )


@dataclass(frozen=True, slots=True)
class Streamed:
    """What `corpus.Corpus` is, without its rows in memory."""

    rows: Stream
    """Every good row; ids are unique."""
    fingerprint: str
    """SHA-256 over the content of all rows."""
    files: tuple[str, ...]
    """The names of the files read, or the hub's dataset id."""
    skipped: int = 0
    """Bad rows left out; always 0 unless `skip_bad_rows` was given."""


def survey(data: str | Path, *, skip_bad_rows: bool = False) -> Streamed:
    """Go through the rows of a data set once. Raises what `corpus.read` raises."""
    marks, digest, skipped = array("I"), hashlib.sha256(), 0
    for good in corpus.good_rows(data, skip_bad_rows=skip_bad_rows):
        if good is None:
            skipped += 1
        else:
            marks.append(zlib.crc32(good.content))
            digest.update(good.content)
    rows = Stream(str(data), skip_bad_rows, marks)
    return Streamed(rows, digest.hexdigest(), corpus.files(data), skipped)


class Cursor:
    """Runs of rows in any order; going forward reads the data once."""

    def __init__(self, rows: Many) -> None:
        self._rows = rows
        self._at, self._ahead = 0, iter(rows)

    def take(self, first: int, count: int) -> Sequence[TrainingRow]:
        """So many rows from this number on."""
        if first < self._at:
            self._at, self._ahead = 0, iter(self._rows)
        taken = list(islice(self._ahead, first - self._at, first - self._at + count))
        self._at = first + count
        return taken
