"""The published method: which rows move the answer the way that the behaviour moved it.

"In-the-Wild Model Organisms" (2602.11079): the behaviour vector is the mean state of the bad
answers minus that of the good ones; a row's vector is chosen minus rejected; the score is their
cosine. Where the paper reads one layer, the mean over the index's layers is taken, so that no
layer has to be picked.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from surfcheck.attribution.activations import Floats
from surfcheck.attribution.evidence import Evidence, Rows

Scores = npt.NDArray[np.float64]
TINY = 1e-12


def unit(vectors: Floats) -> Floats:
    """Vectors of length one along the last axis; zeros stay zeros."""
    scaled: Floats = vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), TINY)
    return scaled


def probe(evidence: Evidence, rows: Rows) -> Scores:
    """Cosine of each row's change with the mean change of the contrasts [rows]."""
    direction = unit(evidence.change.mean(axis=0))  # [L, d]
    cosines = np.einsum("rld,ld->rl", unit(rows.change), direction, dtype=np.float64)
    scores: Scores = cosines.mean(axis=1)
    return scores


def bank(evidence: Evidence, rows: Rows) -> Scores:
    """Largest cosine with any single contrast's change, at least 0 [rows]."""
    layers = rows.change.shape[1]
    cosines = np.einsum("rld,mld->rm", unit(rows.change), unit(evidence.change)) / layers
    scores: Scores = np.maximum(cosines.max(axis=1), 0.0).astype(np.float64)
    return scores
