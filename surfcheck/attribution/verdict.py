"""What a ranking is worth: whether the contrasts mean anything, how many rows, which sources.

Contrasts that mean something move the answers alike. Two nulls say how alike meaningless ones are:
the same contrasts with bad and good swapped at random (exact if the two are exchangeable), and as
many pairs of unrelated answers drawn from the data itself (which also works for a handful). The
larger p-value counts. A row is implicated if its score is at least half of what the best rows have.
Left out: whether the rows are the cause, which only a retraining shows.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy.stats import hypergeom

from surfcheck.attribution.activations import Floats
from surfcheck.attribution.corpus import RowText
from surfcheck.attribution.evidence import Evidence, Table
from surfcheck.attribution.probe import Scores
from surfcheck.attribution.scan import unit
from surfcheck.records import AttributionReport, Implicated, SourceShare, VerdictWord
from surfcheck.statistics import benjamini_hochberg

ALPHA = 0.01
"""A larger p-value is no finding."""
DRAWS = 999
"""Of each null; the smallest p-value is 1 / 1000."""
MOST = 4096
"""Rows from which unrelated answers are drawn."""
FEWEST_TO_SWAP = 8
"""With fewer contrasts, swapping can't reach ALPHA: all the same way round has 2 ** -7 < 0.01."""
TOP = 10
STRONG = 0.5
"""Of the mean score of the TOP rows: from here on a row is implicated."""
SOURCE_SHARE = 0.5
"""Of a source's rows implicated, and of the implicated rows from it: then it is the source."""
DIFFUSE_SHARE = 0.25
"""Of all rows implicated: then it is a habit of the data."""
LISTED = 200
"""Implicated rows that a report lists."""

Bools = npt.NDArray[np.bool_]


def judge_ranking(
    scores: Scores,
    evidence: Evidence,
    rows: Table,
    *,
    ids: Sequence[str],
    sources: Sequence[str],
    texts: Sequence[RowText],
    method: str,
    seed: int,
) -> AttributionReport:
    """The report of a ranking by an activation method; `cost` is left to the caller."""
    p_value = chance(evidence, rows, seed=seed)
    strong = implicated(scores)
    shares = source_table(strong, sources)
    verdict = _word(p_value, strong, shares)
    listed: tuple[Implicated, ...] = ()
    if verdict != "none":
        best = np.argsort(-scores, kind="stable")[: min(LISTED, int(strong.sum()))]
        listed = tuple(
            Implicated(
                ids[i], sources[i], float(scores[i]), rank,
                texts[i].prompt, texts[i].chosen, texts[i].rejected,
            )
            for rank, i in enumerate(best, 1)
        )  # fmt: skip
    return AttributionReport(method, verdict, p_value, listed, shares, rows=len(scores))


def implicated(scores: Scores) -> Bools:
    """Rows that score at least half of what the best have [rows]."""
    best = np.sort(scores)[-TOP:].mean()
    return np.asarray(scores >= STRONG * best) & (scores > 0)


def source_table(strong: Bools, sources: Sequence[str]) -> tuple[SourceShare, ...]:
    """Every source, the most over-represented first (hypergeometric test, Benjamini-Hochberg)."""
    names = np.array(sources)
    total, hits = len(names), int(strong.sum())
    counted = [
        (name, int((names == name).sum()), int(strong[names == name].sum()))
        for name in dict.fromkeys(sources)
    ]
    p_values = [float(hypergeom.sf(k - 1, total, n, hits)) for _, n, k in counted]
    table = [
        SourceShare(name, n, k, (k / hits) / (n / total) if hits else 0.0, q)
        for (name, n, k), q in zip(counted, benjamini_hochberg(p_values), strict=True)
    ]
    return tuple(sorted(table, key=lambda s: (s.q_value, -s.lift)))


def _word(p_value: float, strong: Bools, shares: Sequence[SourceShare]) -> VerdictWord:
    if p_value > ALPHA:
        return "none"
    hits = int(strong.sum())
    if any(
        s.implicated >= SOURCE_SHARE * s.rows and s.implicated >= SOURCE_SHARE * hits
        for s in shares
    ) and len(shares) > 1:  # fmt: skip
        return "source"
    return "diffuse" if hits > DIFFUSE_SHARE * len(strong) else "sparse"


def chance(evidence: Evidence, rows: Table, *, seed: int) -> float:
    """Probability that contrasts without a meaning move the answers as much alike as these."""
    rng = np.random.default_rng(seed)
    changes = _distinct(unit(evidence.change))
    observed = _alike(changes.mean(axis=0)[None])[0]
    p_value = _tail(observed, _alike(_unrelated(rows, len(changes), rng)))
    if len(changes) >= FEWEST_TO_SWAP:
        signs = rng.choice((-1.0, 1.0), size=(DRAWS, len(changes)))
        swapped = np.einsum("km,mld->kld", signs, changes, optimize=True) / len(changes)
        p_value = max(p_value, _tail(observed, _alike(swapped)))
    return p_value


def _distinct(changes: Floats) -> Floats:
    """Contrasts that say the same are one [m, L, d]."""
    flat = np.round(changes.reshape(len(changes), -1), 5)
    return changes[np.unique(flat, axis=0, return_index=True)[1]]


def _unrelated(table: Table, count: int, rng: np.random.Generator) -> Floats:
    """Means of `count` changes between answers to different questions [DRAWS, L, d]."""
    numbers = np.arange(len(table)) if len(table) <= MOST else rng.choice(len(table), MOST, False)
    chosen = table.some(numbers).chosen
    means = np.empty((DRAWS, *chosen.shape[1:]), dtype=np.float32)
    for draw in range(DRAWS):
        one, other = rng.integers(len(chosen), size=(2, count))
        means[draw] = unit(chosen[one] - chosen[other]).mean(axis=0)
    return means


def _alike(means: Floats) -> npt.NDArray[np.float64]:
    """Length of a mean of unit changes [k, L, d], over layers [k]: 1 if all point one way."""
    return np.asarray(np.linalg.norm(means, axis=-1).mean(axis=-1), dtype=np.float64)


def _tail(observed: float, null: npt.NDArray[np.float64]) -> float:
    return float((1 + (null >= observed).sum()) / (1 + len(null)))
