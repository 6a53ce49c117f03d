"""The published method: which rows move the answer the way that the behaviour moved it.

"In-the-Wild Model Organisms" (2602.11079): the behaviour vector is the mean state of the bad
answers minus that of the good ones; a row's vector is chosen minus rejected; the score is their
cosine. Where the paper reads one layer, the mean over the index's layers is taken, so that no
layer has to be picked.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from surfcheck.attribution.evidence import Evidence, Table

Scores = npt.NDArray[np.float64]


def probe(evidence: Evidence, table: Table) -> Scores:
    """Cosine of each row's change with the mean change of the contrasts [rows]."""
    direction = evidence.change.mean(axis=0)  # [L, d]
    scores: Scores = table.cosines(direction[None])[:, 0].astype(np.float64)
    return scores


def bank(evidence: Evidence, table: Table) -> Scores:
    """Largest cosine with any single contrast's change, at least 0 [rows]."""
    cosines = table.cosines(evidence.change).max(axis=1)
    scores: Scores = np.maximum(cosines, 0.0).astype(np.float64)
    return scores
