"""Two models on the same cases: is one of them worse, and by how much.

Answers to one case belong together, and cases that come from one prompt resemble each other. So the
unit is the *cluster*: all pairs of one prompt as a person wrote it.

- Every cluster has one pair: `mcnemar`, exact.
- Else: `sign_flip`. If it makes no difference which model is which, each cluster's difference could
  as well have had the other sign; p is the share of all choices of signs whose sum is at least as
  large. It is counted, not sampled, for any number of clusters, and with one pair a cluster it *is*
  McNemar's test. Items that stop early, and even a search, do it no harm as long as both models
  were asked by the same rule: exchanging them exchanges what was asked as well.
- How large the difference is: `paired`, whose interval excludes 0 exactly where p is 0.05 or less.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from surfcheck.statistics import at_least

ALPHA = 0.05
"""Chance that the interval misses the difference."""
_CELLS = 2_000_000
"""Numbers drawn at a time."""


class Paired(NamedTuple):
    """The difference of two rates on the same cases."""

    difference: float
    """Rate of the second less rate of the first."""
    low: float
    """Lower end of its 95 % interval."""
    high: float
    """Upper end."""
    p_value: float
    """Two-sided and exact: McNemar's where every cluster has one pair, else by sign flips."""


def mcnemar(b: int, c: int) -> float:
    """Two-sided exact p-value: `b` pairs differ in one direction, `c` in the other (1947).

    For pairs that are independent of each other.
    """
    return min(1.0, 2 * at_least(max(b, c), b + c, 0.5))


def sign_flip(sums: Sequence[int]) -> float:
    """Two-sided exact p-value of the sum of independent clusters' summed differences (Fisher 1935).

    Only whole numbers, as the differences of counts are: then all 2ⁿ choices of signs are counted
    in as many steps as there are clusters.
    """
    sizes = [abs(s) for s in sums if s]
    total = sum(sizes)
    chance = np.zeros(total + 1)  # that the clusters with a plus sum to 0, 1, 2, …
    chance[0] = 1.0
    for size in sizes:
        chance[size:] += chance[:-size].copy()
        chance /= 2
    lesser = (total - abs(sum(sums))) // 2  # sum of those with the rarer sign
    return min(1.0, 2 * float(chance[: lesser + 1].sum()))


def paired(
    a: Sequence[bool],
    b: Sequence[bool],
    clusters: Sequence[Hashable],
    *,
    draws: int = 10_000,
    seed: int = 0,
) -> Paired:
    """How much more often `b` is true than `a`, with a 95 % interval over clusters, and p.

    The interval is that of the test: the differences that sign flips would not reject. It is
    widened to that of the bootstrap, as far as that does not contradict p. Fewer than six clusters
    exclude nothing. Raises ValueError if there are no pairs.
    """
    sums, sizes = _by_cluster(a, b, clusters)
    difference = float(sums.sum() / sizes.sum())
    if (sizes == 1).all():
        p_value = mcnemar(int((sums < 0).sum()), int((sums > 0).sum()))
    else:
        p_value = sign_flip([int(s) for s in sums])
    tested, drawn = _inverted(sums, sizes, draws, seed), _bootstrapped(sums, sizes, draws, seed)
    low, high = min(tested[0], drawn[0]), max(tested[1], drawn[1])
    if p_value > ALPHA:
        return Paired(difference, min(low, 0.0), max(high, 0.0), p_value)
    least = 1 / int(sizes.sum())  # the smallest difference that some pairs can have
    if difference > 0 and low <= 0:
        low = max(tested[0], least)
    elif difference < 0 and high >= 0:
        high = min(tested[1], -least)
    return Paired(difference, low, high, p_value)


def _by_cluster(
    a: Sequence[bool], b: Sequence[bool], clusters: Sequence[Hashable]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Each cluster's summed differences, and how many pairs it has."""
    found: dict[Hashable, list[int]] = {}
    for first, second, cluster in zip(a, b, clusters, strict=True):
        found.setdefault(cluster, []).append(int(second) - int(first))
    if not found:
        raise ValueError("there are no pairs to compare")
    sums = np.array([sum(differences) for differences in found.values()])
    return sums, np.array([len(differences) for differences in found.values()])


def _inverted(
    sums: NDArray[np.int64], sizes: NDArray[np.int64], draws: int, seed: int
) -> tuple[float, float]:
    """The differences that `sign_flip` does not reject, from `draws` of all choices of signs.

    Take a difference away from every pair: signs leave at least as large a sum as there is just if
    it lies between the differences of the clusters with a plus and of those with a minus. So the
    ends are quantiles of the differences in random halves (Hartigan 1969).
    """
    rng = np.random.default_rng(seed)
    lows, highs, step = [], [], max(1, _CELLS // len(sums))
    for start in range(0, draws, step):
        plus = rng.integers(0, 2, size=(min(step, draws - start), len(sums)))
        count, total = plus @ sums, plus @ sizes
        some = (total > 0) & (total < sizes.sum())
        halves = np.full((2, len(plus)), [[-1.0], [1.0]])  # all one sign: excludes nothing
        np.divide(count, total, out=halves[0], where=some)
        np.divide(sums.sum() - count, sizes.sum() - total, out=halves[1], where=some)
        lows.append(halves.min(axis=0))
        highs.append(halves.max(axis=0))
    low = np.quantile(np.concatenate(lows), ALPHA, method="inverted_cdf")
    high = -np.quantile(-np.concatenate(highs), ALPHA, method="inverted_cdf")
    return float(low), float(high)


def _bootstrapped(
    sums: NDArray[np.int64], sizes: NDArray[np.int64], draws: int, seed: int
) -> tuple[float, float]:
    """Percentile bootstrap over the clusters and two that nobody saw.

    Those are of average size, and in them the models differ wholly, once in either direction: what
    Bonett and Price (2012) add to a table of pairs. Without it, models that never differed in ten
    prompts would be shown to be equal.
    """
    average = sizes.mean()
    seen = np.array([*sums, average, -average]), np.array([*sizes, average, average])
    low, high = np.quantile(_resampled(*seen, draws, seed), (ALPHA / 2, 1 - ALPHA / 2))
    return float(low), float(high)


def _resampled(
    sums: NDArray[np.float64], sizes: NDArray[np.float64], draws: int, seed: int
) -> NDArray[np.float64]:
    """The difference in each of `draws` resamples of the clusters."""
    rng = np.random.default_rng(seed)
    even = np.full(len(sums), 1 / len(sums))
    found, step = [], max(1, _CELLS // len(sums))
    for start in range(0, draws, step):
        times = rng.multinomial(len(sums), even, size=min(step, draws - start))
        found.append((times @ sums) / (times @ sizes))
    return np.concatenate(found)
