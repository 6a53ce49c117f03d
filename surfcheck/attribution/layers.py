"""Which layer to read: where answers that broke a behaviour stand apart from answers that held.

A probe's direction is found on some seed prompts and tried on the others: at each layer, how far
along the mean change of the contrasts does a bad answer lie from the good one of a prompt that it
has not seen? No training row and no plant has a part in it. After the layer sweep of 2602.11079,
which steers with every layer's vector and counts the harm; this takes no generation. Left out:
different layers for prompt and answer.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from surfcheck.attribution.evidence import Evidence
from surfcheck.attribution.scan import unit

FOLDS = 5
Figures = npt.NDArray[np.float64]


def separation(evidence: Evidence) -> Figures:
    """Mean distance of a bad answer from its good one along a direction that saw neither, in
    standard deviations of that distance [L]; 0 is none, below 0 is the wrong way.

    Cross-validated over seed prompts, or over contrasts if all are of one prompt. With a single
    contrast nothing can be held out: every figure is 0.
    """
    change = evidence.change.astype(np.float64)  # [m, L, d]
    folds = _folds(evidence.seed[evidence.bad])
    along = np.zeros(change.shape[:2])
    for fold in np.unique(folds) if len(set(folds)) > 1 else ():
        out = folds == fold
        direction = unit(change[~out].mean(axis=0))
        along[out] = np.einsum("mld,ld->ml", change[out], direction)
    spread = np.maximum(along.std(axis=0), np.finfo(np.float64).eps * np.abs(along).max(axis=0))
    none = spread == 0
    return np.asarray(np.where(none, 0.0, along.mean(axis=0) / np.where(none, 1.0, spread)))


def best_layer(evidence: Evidence) -> int:
    """Position of the layer with the widest separation; of equal ones the first."""
    return int(separation(evidence).argmax())


def _folds(seeds: npt.NDArray[np.int_]) -> npt.NDArray[np.int_]:
    """Which fold each contrast is held out with [m]: all of one seed prompt together."""
    numbers = np.unique(seeds, return_inverse=True)[1]
    if numbers.max() == 0:
        numbers = np.arange(len(seeds))
    return np.asarray(numbers % FOLDS)
