"""Intervals and multiplicity: what a rate is worth, and which of many p-values survive.

Every run imports this, so it is written on `math` alone: scipy takes a third of a second to import.
The rule that stops an item early stands in `sequential`, the comparison of two models in `paired`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist


def wilson(successes: int, trials: int, *, confidence: float = 0.95) -> tuple[float, float]:
    """Score interval of a proportion (Wilson 1927). Raises ValueError if there are no trials."""
    _proportion(successes, trials)
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    rate = successes / trials
    spread = z * math.sqrt(rate * (1 - rate) / trials + z * z / (4 * trials * trials))
    centre = rate + z * z / (2 * trials)
    scale = 1 + z * z / trials
    low = 0.0 if successes == 0 else (centre - spread) / scale
    high = 1.0 if successes == trials else (centre + spread) / scale
    return low, high


def clopper_pearson(
    successes: int, trials: int, *, confidence: float = 0.95
) -> tuple[float, float]:
    """Exact interval of a proportion (Clopper and Pearson 1934): never too narrow, at any rate.

    Raises ValueError if there are no trials.
    """
    _proportion(successes, trials)
    beyond = (1 - confidence) / 2
    return (
        _rate_of(successes, trials, beyond),
        1.0 - _rate_of(trials - successes, trials, beyond),
    )


def percentile_bootstrap(
    successes: int, trials: int, *, confidence: float = 0.95
) -> tuple[float, float]:
    """What the percentile bootstrap of a proportion (Efron 1979) tends to with more resamples.

    A resample of trials has a binomial number of successes, so nothing needs to be drawn. It
    collapses at rates of 0 and 1, where `wilson` does not. Raises ValueError if there are no
    trials.
    """
    _proportion(successes, trials)
    rate, beyond = successes / trials, (1 - confidence) / 2
    low, high = (_quantile(trials, rate, level) / trials for level in (beyond, 1 - beyond))
    return low, high


def at_least(successes: int, trials: int, rate: float) -> float:
    """Chance of so many successes or more in trials that each succeed at `rate` (binomial)."""
    if successes <= 0:
        return 1.0
    if successes > trials:
        return 0.0
    if rate in (0.0, 1.0):
        return rate
    if successes <= trials * rate:  # its complement has the terms that only fall
        return 1.0 - at_least(trials - successes + 1, trials, 1.0 - rate)
    ways = math.lgamma(trials + 1) - math.lgamma(successes + 1)
    ways -= math.lgamma(trials - successes + 1)
    odds = rate / (1.0 - rate)
    term = math.exp(ways + successes * math.log(odds) + trials * math.log1p(-rate))
    total = term
    for k in range(successes, trials):
        term *= odds * (trials - k) / (k + 1)
        total += term
        if term <= total * 1e-17:
            break
    return min(total, 1.0)


def benjamini_hochberg(p_values: Sequence[float]) -> list[float]:
    """q-values in the order given (Benjamini and Hochberg 1995)."""
    order = sorted(range(len(p_values)), key=lambda i: p_values[i], reverse=True)
    q_values, least = [1.0] * len(p_values), 1.0
    for position, i in enumerate(order):
        rank = len(p_values) - position
        least = min(least, p_values[i] * len(p_values) / rank)
        q_values[i] = least
    return q_values


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted p-values in the order given (Holm 1979).

    Calling those at or below α keeps the chance of a single false call at α, however the tests
    depend on each other.
    """
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    adjusted, most = [1.0] * len(p_values), 0.0
    for position, i in enumerate(order):
        most = max(most, p_values[i] * (len(p_values) - position))
        adjusted[i] = min(most, 1.0)
    return adjusted


def _proportion(successes: int, trials: int) -> None:
    if trials <= 0 or not 0 <= successes <= trials:
        raise ValueError(f"{successes} of {trials} is no proportion")


def _rate_of(successes: int, trials: int, chance: float) -> float:
    """The rate at which so many successes or more have that chance, by bisection."""
    if successes == 0:
        return 0.0
    low, high = 0.0, 1.0
    while True:
        middle = (low + high) / 2
        if middle in (low, high):
            return middle
        if at_least(successes, trials, middle) < chance:
            low = middle
        else:
            high = middle


def _quantile(trials: int, rate: float, level: float) -> int:
    """The fewest successes that are not exceeded with this chance, by bisection."""
    low, high = 0, trials
    while low < high:
        middle = (low + high) // 2
        if 1.0 - at_least(middle + 1, trials, rate) >= level:
            high = middle
        else:
            low = middle + 1
    return low
