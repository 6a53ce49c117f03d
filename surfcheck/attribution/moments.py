"""Mean and covariance of the training rows' states, from a table that is read a part at a time."""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from surfcheck.attribution.evidence import Table

Doubles = npt.NDArray[np.float64]

MOST = 32_768
"""Rows, evenly spread, that moments are taken from if there are twice as many or more."""


class Moments(NamedTuple):
    """Of the states of one side at one layer."""

    mean: Doubles
    """[d]"""
    covariance: Doubles
    """[d, d]"""


def moments(table: Table, side: Literal["prompt", "chosen", "change"], layer: int) -> Moments:
    """Of all rows, or of evenly spread ones."""
    step, count = max(1, len(table) // MOST), 0
    origin = total = squares = np.zeros(0)
    for rows in table.chunks(layers=slice(layer, layer + 1), step=step):
        states = getattr(rows, side)[:, 0].astype(np.float64)
        if not count:
            origin, total, squares = states.mean(axis=0), np.zeros_like(states[0]), np.zeros(())
        states -= origin  # near the mean, where a sum of squares loses nothing
        total = total + states.sum(axis=0)
        squares = squares + states.T @ states
        count += len(states)
    mean = total / count
    return Moments(origin + mean, squares / count - np.outer(mean, mean))
