"""In which space states are compared: as they are, centred on the corpus, or whitened by it.

What all rows share makes any two look alike. 2602.11079 compares changes as they are; centring
takes the corpus's mean away, and whitening scales each of its axes by a power of the inverse
variance, 0 for not at all and 1/2 for white. Mean and covariance of the corpus are enough for both.
Left out: means by source, and a shrinkage that is estimated.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from surfcheck.attribution.activations import Floats
from surfcheck.attribution.evidence import Evidence, Table
from surfcheck.attribution.moments import Moments, moments
from surfcheck.attribution.scan import TINY, unit

FLOOR = 0.1
"""Of the mean variance, added to each before whitening: directions below it are noise."""


@dataclass(frozen=True, slots=True)
class Space:
    """A linear view of vectors of width d."""

    centre: Floats
    """What is taken away from each vector [d]."""
    scale: Floats
    """What it is then multiplied by, from the right [d, d]."""

    def units(self, vectors: Floats) -> Floats:
        """Vectors [n, d] as they look here, of length one [n, d]; zeros stay zeros."""
        moved: Floats = np.subtract(vectors, self.centre)
        seen: Floats = moved @ self.scale
        return unit(seen)


def space(corpus: Moments, *, centred: bool = True, power: float) -> Space:
    """Each axis of the corpus scaled by its variance to the power of `-power`."""
    variances, axes = np.linalg.eigh(corpus.covariance)
    variances = np.maximum(variances, 0.0)
    scale = (variances + FLOOR * variances.mean() + TINY) ** -power
    centre = corpus.mean if centred else np.zeros_like(corpus.mean)
    whiten = (axes * scale) @ axes.T
    return Space(centre.astype(np.float32), whiten.astype(np.float32))


def probe_in(
    evidence: Evidence, table: Table, *, centred: bool, power: float
) -> npt.NDArray[np.float64]:
    """The probe's cosine with the rows' changes centred, whitened or both; mean over layers [rows].

    The contrasts are no rows and are not centred. With neither it is `probe`.
    """
    layers = range(evidence.change.shape[1])
    scores = np.zeros(len(table))
    for layer in layers:
        seen = space(moments(table, "change", layer), centred=centred, power=power)
        wanted: Floats = evidence.change[:, layer].mean(axis=0) @ seen.scale
        direction = unit(wanted)
        chunks = table.chunks(layers=slice(layer, layer + 1))
        scores += np.concatenate([seen.units(rows.change[:, 0]) @ direction for rows in chunks])
    return scores / len(layers)
