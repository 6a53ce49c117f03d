"""Several rankings of the same rows: put together into one, or compared.

Two fusions that need no tuning: reciprocal ranks (Cormack, Clarke and Büttcher 2009), where the
first rows of any ranking count for much, and Borda's counts (1781; Dwork et al. 2001), where every
row counts alike. Three measures: Spearman's correlation over all rows, the share of the first k
that two rankings have in common, and rank-biased overlap (Webber, Moffat and Zobel 2010), which
looks at every depth and less at the deeper ones. Fusions and correlation take scores [rows], higher
= more implicated, and rank ties alike; the overlaps take lists, best first, as an edit of the
first k does. Left out: learned weights, and rankings of different rows.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Literal

import numpy as np
from scipy.stats import rankdata, spearmanr

from surfcheck.attribution.ranking import Ranking, Scores, read_ranking
from surfcheck.errors import MismatchError, UsageError
from surfcheck.files import output
from surfcheck.jsonable import Record

Fusion = Literal["reciprocal", "borda"]

SMOOTHING = 60.0
"""Added to a rank before it is inverted (Cormack et al. found no reason for another)."""
PERSISTENCE = 0.99
"""Of rank-biased overlap: the first 100 rows have 86 % of the weight."""
TOP = 100
"""Rows of which the overlap is counted if nobody says otherwise."""


@dataclass(frozen=True, slots=True)
class Agreement(Record):
    """How much alike two rankings of the same rows are."""

    a: str
    """Name of the one."""
    b: str
    """Name of the other."""
    rows: int
    """Rows that both rank."""
    spearman: float | None
    """Correlation of their ranks, -1 to 1; None if one of them ranks all rows alike."""
    top: int
    """How many of the first rows are looked at."""
    overlap: float
    """Share of these that both have."""
    chance: float
    """What two unrelated rankings would have in common of them."""
    rank_biased_overlap: float
    """0 nothing in common, 1 the same order; the first rows weigh most."""


# Functions of scores and of lists


def reciprocal_ranks(rankings: Sequence[Scores], *, smoothing: float = SMOOTHING) -> Scores:
    """Mean over rankings [r][rows] of 1 / (smoothing + rank) [rows], at most 1."""
    inverse = [1.0 / (smoothing + _ranks(scores)) for scores in rankings]
    return np.asarray(np.mean(inverse, axis=0), dtype=np.float64)


def borda(rankings: Sequence[Scores]) -> Scores:
    """Mean over rankings [r][rows] of the share of the other rows that a row beats [rows]."""
    beaten = [len(scores) - _ranks(scores) for scores in rankings]
    return np.asarray(np.mean(beaten, axis=0) / max(1, len(rankings[0]) - 1), dtype=np.float64)


def spearman(one: Scores, other: Scores) -> float | None:
    """Spearman's rank correlation; None if there is none, as one side's scores are all equal."""
    if len(one) < 2 or np.ptp(one) == 0 or np.ptp(other) == 0:
        return None
    return float(spearmanr(one, other).statistic)


def overlap(one: Sequence[Hashable], other: Sequence[Hashable], top: int) -> float:
    """Share of the first `top` of one list that the other has among its first `top`."""
    return len(set(one[:top]) & set(other[:top])) / top


def rank_biased_overlap(
    one: Sequence[Hashable], other: Sequence[Hashable], *, persistence: float = PERSISTENCE
) -> float:
    """Mean agreement of two orders of the same things over depths, weighing depth d by
    `persistence` ** d; what lies below the last counts as agreed, as there it is (RBO_ext)."""
    seen_one, seen_other = set[Hashable](), set[Hashable]()
    common, total, weight = 0, 0.0, 1.0
    for depth, (a, b) in enumerate(zip(one, other, strict=True), 1):
        common += (a == b) + (a in seen_other) + (b in seen_one)
        seen_one.add(a)
        seen_other.add(b)
        total += (1.0 - persistence) * weight * common / depth
        weight *= persistence
    return total + weight


def _ranks(scores: Scores) -> Scores:
    """Ranks from 1, the highest score first; equal scores share the mean of their ranks."""
    return np.asarray(rankdata(-scores, method="average"), dtype=np.float64)


# Files of rankings


def combine(paths: Sequence[str | Path], out: str | Path, *, by: Fusion = "reciprocal") -> Ranking:
    """Put rankings of the same rows together and write them as one.

    Rows that come out alike stand in the order of the first ranking. Raises what `read_ranking`
    raises, MismatchError if they do not rank the same rows, UsageError if there are not two or
    `out` is one of them, InfrastructureError if it can't be written.
    """
    path = Path(out)
    if path.resolve() in [Path(given).resolve() for given in paths]:
        raise UsageError(f"{out}: is one of the rankings itself; name another file")
    if path.is_dir():
        raise UsageError(f"{out}: is a folder; name a file")
    rankings = _read_all(paths)
    first = rankings[0]
    fuse = reciprocal_ranks if by == "reciprocal" else borda
    combined = Ranking.of(first.ids, first.sources, fuse(_aligned(rankings)))
    with output(path) as file:
        combined.write(file)
    return combined


def compare(paths: Sequence[str | Path], *, top: int | None = None) -> tuple[Agreement, ...]:
    """How much every two rankings agree, their first `top` rows (100, or all) above all.

    Raises what `read_ranking` raises, MismatchError if they do not rank the same rows, UsageError
    if there are not two or not so many rows.
    """
    rankings = _read_all(paths)
    rows, scores = len(rankings[0].ids), _aligned(rankings)
    top = min(TOP, rows) if top is None else top
    if not 1 <= top <= rows:
        raise UsageError(f"there is no top {top:,} of {rows:,} ranked rows; give 1 to as many")
    return tuple(
        Agreement(
            str(paths[i]), str(paths[j]), rows, spearman(scores[i], scores[j]), top,
            overlap(rankings[i].ids, rankings[j].ids, top), top / rows,
            rank_biased_overlap(rankings[i].ids, rankings[j].ids),
        )
        for i, j in combinations(range(len(paths)), 2)
    )  # fmt: skip


def _read_all(paths: Sequence[str | Path]) -> list[Ranking]:
    """The rankings, all of the same rows."""
    if len(paths) < 2:
        raise UsageError("one ranking has nothing beside it; give two or more")
    rankings = [read_ranking(path) for path in paths]
    known = set(rankings[0].ids)
    for path, ranking in zip(paths[1:], rankings[1:], strict=True):
        if odd := known.symmetric_difference(ranking.ids):
            one = min(odd)
            there, lacks = (paths[0], path) if one in known else (path, paths[0])
            raise MismatchError(
                f"{there} ranks {one!r} and {lacks} does not ({len(odd):,} such rows); "
                "give rankings of the same data"
            )
    return rankings


def _aligned(rankings: Sequence[Ranking]) -> list[Scores]:
    """Scores [r][rows] in the order of the first ranking."""
    found = []
    for ranking in rankings:
        score = dict(zip(ranking.ids, ranking.scores, strict=True))
        found.append(np.array([score[i] for i in rankings[0].ids]))
    return found
