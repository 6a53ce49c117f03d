"""Controls: rankings that read the rows' text, or nothing at all. A method has to beat them.

Each is a function of `(rows, contrasts, seed)` and gives one score a row, higher = more
implicated, so that a control stands wherever a method stands. None reads a model.
"""

from __future__ import annotations

from collections.abc import Sequence

import bm25s
import numpy as np
import numpy.typing as npt

from surfcheck.attribution.corpus import RowText
from surfcheck.errors import UsageError
from surfcheck.records import Contrast

Scores = npt.NDArray[np.float64]


def bm25(rows: Sequence[RowText], contrasts: Sequence[Contrast], seed: int) -> Scores:
    """How well a row's prompt and chosen answer match what failed [rows].

    Every failing prompt with its bad answer is a query; a row's score is the mean over queries of
    BM25 in Lucene's form (Robertson and Zaragoza 2009; k1 = 1.5, b = 0.75), no stop words, no
    stemming. Raises UsageError if no contrast has a bad answer.
    """
    queries = [f"{c.prompt}\n{c.bad}" for c in contrasts if c.bad is not None]
    if not queries:
        raise UsageError("no contrast has a bad answer: bm25 needs one to look for")
    engine = bm25s.BM25(k1=1.5, b=0.75, method="lucene")
    texts = [f"{row.prompt}\n{row.chosen}" for row in rows]
    engine.index(_words(texts), show_progress=False)
    total = np.zeros(len(rows))
    for query in _words(queries):
        if query:
            total += engine.get_scores(query)
    return total / len(queries)


def length(rows: Sequence[RowText], contrasts: Sequence[Contrast], seed: int) -> Scores:
    """Characters by which the chosen answer is longer than the rejected one; of a demonstration,
    the length of its answer [rows]."""
    return np.array([len(row.chosen) - len(row.rejected or "") for row in rows], dtype=np.float64)


def random(rows: Sequence[RowText], contrasts: Sequence[Contrast], seed: int) -> Scores:
    """Chance: uniform numbers, the same for the same seed and number of rows [rows]."""
    return np.random.default_rng(seed).random(len(rows))


def _words(texts: Sequence[str]) -> list[list[str]]:
    words: list[list[str]] = bm25s.tokenize(
        texts, stopwords=None, return_ids=False, show_progress=False
    )
    return words
