"""What a ranking is worth: whether chance would give it, how many rows, which sources.

`chance` asks whether the contrasts mean anything and whether the rows put first have to do with
them. How many rows it takes is counted against unrelated contrasts, as in SAM (Tusher et al. 2001)
and Storey's estimate with nothing known of the share of nulls: of all thresholds where no more than
one row in ten would be there by chance, the lowest. The interval says how much chance varies, and
how much a sample of rows does. Left out: whether the rows are the cause, which only a retraining
shows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.stats import hypergeom

from surfcheck.attribution.chance import (
    Method,
    Numbers,
    Rescored,
    chance,
    first_rows,
    matched,
    rescore,
)
from surfcheck.attribution.corpus import RowText
from surfcheck.attribution.evidence import Evidence, Table
from surfcheck.attribution.probe import Scores
from surfcheck.records import AttributionReport, Implicated, SourceShare, VerdictWord
from surfcheck.statistics import benjamini_hochberg, clopper_pearson

ALPHA = 0.01
"""A larger p-value is no finding."""
FALSE_SHARE = 0.1
"""Of the implicated rows, expected to be there by chance."""
SOURCE_SHARE = 0.5
"""Of a source's rows implicated: then it is the source and not single rows of it."""
DIFFUSE_SHARE = 0.25
"""Of all pairs, or all demonstrations, by the low end of the interval: then it is their habit."""
CARRIED = 0.8
"""Of the implicated rows: the fewest sources that have so many carry the behaviour."""
LISTED = 200
"""Implicated rows that a report lists."""

Bools = npt.NDArray[np.bool_]
Texts = Callable[[Numbers], Sequence[RowText]]


class Count(NamedTuple):
    """Rows that it takes."""

    rows: int
    """Implicated."""
    between: tuple[int, int]
    """Of those, not by chance: 95 % interval."""


def judge_ranking(
    scores: Scores,
    evidence: Evidence,
    rows: Table,
    *,
    ids: Sequence[str],
    sources: Sequence[str],
    texts: Sequence[RowText] | Texts,
    method: str,
    seed: int,
    again: Method | None = None,
) -> AttributionReport:
    """The report of a ranking; `cost` is left to the caller.

    `again` is the method, if it is a function of the evidence: then it is asked with unrelated
    contrasts. Other rankings are held against random rows, and those put first are implicated.
    """
    read = texts if callable(texts) else lambda numbers: [texts[i] for i in numbers]
    p_labels = chance(evidence, rows, seed=seed)
    if again is None:
        p_rows = matched(scores, evidence, rows, read, seed=seed)
        count, between = first_rows(len(scores)), None
    else:
        rescored = rescore(again, evidence, rows, seed=seed)
        p_rows = rescored.p_value
        count, between = counted(rescored, len(scores))
    best = np.argsort(-scores, kind="stable")[:count]
    strong = np.zeros(len(scores), dtype=bool)
    strong[best] = True
    shares = source_table(strong, sources)
    p_value, least = max(p_labels, p_rows), between[0] if between else count
    alike, peers = _kind(rows.is_pair, best, sources)
    verdict = _word(p_value, least / alike, shares, peers)
    shown = best[:LISTED] if verdict != "none" else best[:0]
    listed = _listed(shown, scores, ids, sources, read)
    return AttributionReport(
        method, verdict, p_value, listed, shares, rows=len(scores), p_labels=p_labels,
        p_rows=p_rows, rows_needed=count, rows_between=between, source_share=carried(shares),
    )  # fmt: skip


def counted(rescored: Rescored, rows: int) -> Count:
    """How many of the rows score as only few would with unrelated contrasts; 0 if none does."""
    n, draws = rescored.true.size, len(rescored.null)
    best, null = np.sort(rescored.true)[::-1], np.sort(rescored.null, axis=None)
    by_chance = (null.size - np.searchsorted(null, best, "left")) / draws
    passing = np.flatnonzero(by_chance <= FALSE_SHARE * np.arange(1, n + 1))
    if not len(passing):
        return Count(0, (0, 0))
    here = int(passing[-1]) + 1
    reached = (rescored.null >= best[here - 1]).sum(axis=1)
    low, high = here - np.quantile(reached, (0.975, 0.025))
    if n < rows:
        low *= clopper_pearson(here, n)[0] * n / here
        high *= clopper_pearson(here, n)[1] * n / here
    scale = rows / n
    return Count(round(here * scale), (max(0, round(low * scale)), min(rows, round(high * scale))))


def carried(shares: Sequence[SourceShare]) -> float | None:
    """Of all sources, the share of the fewest that have most of the implicated rows."""
    most = np.cumsum(sorted((s.implicated for s in shares), reverse=True))
    if not len(most) or not most[-1]:
        return None
    return float((np.searchsorted(most, CARRIED * most[-1]) + 1) / len(shares))


def source_table(strong: Bools, sources: Sequence[str]) -> tuple[SourceShare, ...]:
    """Every source, the most over-represented first (hypergeometric test, Benjamini-Hochberg)."""
    names = np.array(sources)
    total, hits = len(names), int(strong.sum())
    kinds, numbers = np.unique(names, return_inverse=True)
    sizes = np.bincount(numbers, minlength=len(kinds))
    found = np.bincount(numbers, weights=strong, minlength=len(kinds)).astype(np.int64)
    counted = list(zip(kinds.tolist(), sizes.tolist(), found.tolist(), strict=True))
    p_values = [float(hypergeom.sf(k - 1, total, n, hits)) for _, n, k in counted]
    table = [
        SourceShare(name, n, k, (k / hits) / (n / total) if hits else 0.0, q)
        for (name, n, k), q in zip(counted, benjamini_hochberg(p_values), strict=True)
    ]
    return tuple(sorted(table, key=lambda s: (s.q_value, -s.lift)))


def _kind(is_pair: Bools, best: Numbers, sources: Sequence[str]) -> tuple[int, int]:
    """How many rows, in how many sources, are of the kind that most of the best are: preferences
    may share a habit, however many demonstrations lie beside them."""
    pairs = not len(best) or is_pair[best].mean() >= 0.5
    alike = np.flatnonzero(is_pair == pairs)
    return len(alike), len({sources[i] for i in alike.tolist()})


def _word(p_value: float, share: float, shares: Sequence[SourceShare], peers: int) -> VerdictWord:
    """`share` is of all rows, and `peers` all sources, of the kind that is implicated: preference
    pairs or demonstrations."""
    hits = sum(s.implicated for s in shares)
    if p_value > ALPHA or not hits:
        return "none"
    whole = [s for s in shares if s.implicated >= SOURCE_SHARE * s.rows]
    few = 2 * len(whole) <= peers
    if few and sum(s.implicated for s in whole) >= CARRIED * hits:
        return "source"
    return "diffuse" if share > DIFFUSE_SHARE else "sparse"


def _listed(
    best: Numbers, scores: Scores, ids: Sequence[str], sources: Sequence[str], texts: Texts
) -> tuple[Implicated, ...]:
    numbers = best.tolist()
    return tuple(
        Implicated(
            ids[i], sources[i], float(scores[i]), rank, text.prompt, text.chosen, text.rejected
        )
        for rank, (i, text) in enumerate(zip(numbers, texts(best), strict=True), 1)
    )
