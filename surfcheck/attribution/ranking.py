"""A ranking of training rows, and the file that it is kept in: `ranking.jsonl`, best first.

What several of them have in common is `rankings`' business.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, TypeVar

import numpy as np
import numpy.typing as npt

from surfcheck.errors import DataError, UsageError

T = TypeVar("T")
Scores = npt.NDArray[np.float64]

_FORM = 'give {"rank", "id", "source", "score"}, as attribute writes them'


@dataclass(frozen=True, slots=True)
class Ranking:
    """Every row of a data set, best first."""

    ids: tuple[str, ...]
    """Their ids."""
    sources: tuple[str, ...]
    """Where they come from."""
    scores: tuple[float, ...]
    """Their scores, higher = more implicated."""

    @classmethod
    def of(cls, ids: Sequence[str], sources: Sequence[str], scores: Scores) -> Ranking:
        """The ranking of rows in any order; of equal scores the earlier comes first."""
        order = np.argsort(-scores, kind="stable").tolist()
        return cls(
            tuple(ids[i] for i in order),
            tuple(sources[i] for i in order),
            tuple(float(scores[i]) for i in order),
        )

    def write(self, file: IO[bytes]) -> None:
        """A line a row. Raises OSError."""
        rows = zip(self.ids, self.sources, self.scores, strict=True)
        for rank, (identity, source, score) in enumerate(rows, 1):
            row = {"rank": rank, "id": identity, "source": source, "score": score}
            file.write(json.dumps(row).encode() + b"\n")


def read_ranking(path: str | Path) -> Ranking:
    """A `ranking.jsonl`, in the order of its ranks.

    Raises UsageError if it can't be read, DataError naming the line that is no rank or ranks a row
    again.
    """

    def told(number: int, row: dict[str, Any]) -> tuple[str, float]:
        source, score = row.get("source"), row.get("score")
        if not isinstance(source, str):
            raise DataError(path, number, f"has no text `source`; {_FORM}")
        if (
            isinstance(score, bool)
            or not isinstance(score, int | float)
            or not math.isfinite(score)
        ):
            raise DataError(path, number, f"has no finite `score`; {_FORM}")
        return source, float(score)

    rows = _ordered(path, told)
    sources, scores = zip(*(said for _, said in rows), strict=True)
    return Ranking(tuple(identity for identity, _ in rows), sources, scores)


def ranked_ids(path: str | Path) -> list[str]:
    """The ids in a ranking, best first; what else its rows say is not looked at.

    Raises what `read_ranking` raises.
    """
    return [identity for identity, _ in _ordered(path, lambda number, row: None)]


def _ordered(path: str | Path, told: Callable[[int, dict[str, Any]], T]) -> list[tuple[str, T]]:
    """Each id with what a line and its number tell beside it, by rank and then by line."""
    rows: list[tuple[int, str, T]] = []
    seen: dict[str, int] = {}
    try:
        with Path(path).open("rb") as file:
            for number, line in enumerate(file, 1):
                if line.isspace():
                    continue
                rank, identity, row = _row(path, number, line)
                said = told(number, row)
                if identity in seen:
                    first = f"id {identity!r} was already ranked in line {seen[identity]}"
                    raise DataError(path, number, f"{first}; rank each row once")
                seen[identity] = number
                rows.append((rank, identity, said))
    except FileNotFoundError:
        raise UsageError(f"{path}: no such ranking; give attribute's ranking.jsonl") from None
    except OSError as error:
        reason = f"{path}: can't be read ({error.strerror})"
        raise UsageError(f"{reason}; give attribute's ranking.jsonl") from None
    if not rows:
        raise DataError(path, None, f"ranks no row; {_FORM}")
    rows.sort(key=lambda row: row[0])
    return [(identity, said) for _, identity, said in rows]


def _row(path: str | Path, number: int, line: bytes) -> tuple[int, str, dict[str, Any]]:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise DataError(path, number, f"is no JSON ({error}); {_FORM}") from None
    row: dict[str, Any] = value if isinstance(value, dict) else {}
    rank, identity = row.get("rank"), row.get("id")
    if not isinstance(rank, int) or not isinstance(identity, str):
        raise DataError(path, number, f"has no whole `rank` or no text `id`; {_FORM}")
    return rank, identity, row
