"""Intervals and multiplicity: what a rate is worth, and which of many p-values survive."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist


def wilson(successes: int, trials: int, *, confidence: float = 0.95) -> tuple[float, float]:
    """Score interval of a proportion (Wilson 1927). Raises ValueError if there are no trials."""
    if trials <= 0 or not 0 <= successes <= trials:
        raise ValueError(f"{successes} of {trials} is no proportion")
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    rate = successes / trials
    spread = z * math.sqrt(rate * (1 - rate) / trials + z * z / (4 * trials * trials))
    centre = rate + z * z / (2 * trials)
    scale = 1 + z * z / trials
    low = 0.0 if successes == 0 else (centre - spread) / scale
    high = 1.0 if successes == trials else (centre + spread) / scale
    return low, high


def benjamini_hochberg(p_values: Sequence[float]) -> list[float]:
    """q-values in the order given (Benjamini and Hochberg 1995)."""
    order = sorted(range(len(p_values)), key=lambda i: p_values[i], reverse=True)
    q_values, least = [1.0] * len(p_values), 1.0
    for position, i in enumerate(order):
        rank = len(p_values) - position
        least = min(least, p_values[i] * len(p_values) / rank)
        q_values[i] = least
    return q_values
