from __future__ import annotations

import math
import random
from collections.abc import Callable
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest, permutation_test

from surfcheck.paired import (
    ALPHA,
    _bootstrapped,
    _inverted,
    mcnemar,
    paired,
    sign_flip,
)

Pairs = tuple[list[bool], list[bool], list[int]]


@given(st.integers(0, 200), st.integers(0, 200))
def test_mcnemar_is_scipys_binomial_test(b: int, c: int) -> None:
    expected = binomtest(b, b + c, 0.5).pvalue if b + c else 1.0
    assert mcnemar(b, c) == pytest.approx(expected, abs=1e-12)


@given(st.lists(st.integers(-5, 5), max_size=11))
def test_sign_flip_counts_all_signs(sums: list[int]) -> None:
    flipped = [sum(s * sign for s, sign in zip(sums, signs, strict=True))
               for signs in product((1, -1), repeat=len(sums))]  # fmt: skip
    expected = sum(abs(total) >= abs(sum(sums)) for total in flipped) / len(flipped)
    assert sign_flip(sums) == pytest.approx(expected, abs=1e-12)


def test_sign_flip_is_scipys_permutation_test() -> None:
    sums = [3, -1, 2, 2, 0, 5, -2, 1, 4]
    found = permutation_test(
        (np.array(sums), np.zeros(len(sums))),
        lambda x, y: x.sum() - y.sum(),
        permutation_type="samples",
        n_resamples=np.inf,
    )
    assert sign_flip(sums) == pytest.approx(found.pvalue)


@given(st.integers(0, 300), st.integers(0, 300), st.integers(0, 10))
def test_with_one_pair_a_cluster_sign_flip_is_mcnemar(b: int, c: int, same: int) -> None:
    assert sign_flip([-1] * b + [1] * c + [0] * same) == pytest.approx(mcnemar(b, c), abs=1e-12)


def test_sign_flip_of_thousands_of_clusters() -> None:
    rng = random.Random(0)
    sums = [rng.randint(-6, 6) for _ in range(5000)]
    z = abs(sum(sums)) / math.sqrt(sum(s * s for s in sums))
    assert sign_flip(sums) == pytest.approx(math.erfc(z / math.sqrt(2)), abs=0.01)


def clustered(rng: random.Random) -> Pairs:
    """Clusters of many shapes, with differences from none to whole."""
    a: list[bool] = []
    b: list[bool] = []
    names: list[int] = []
    rates = rng.choice([(0.0, 0.0), (0.0, 0.1), (0.1, 0.3), (0.5, 0.6), (0.9, 1.0), (0.2, 0.9)])
    for cluster in range(rng.randint(1, 20)):
        for _ in range(rng.choice((1, 1, 3, 12))):
            a.append(rng.random() < rates[0])
            b.append(rng.random() < rates[1])
            names.append(cluster)
    return a, b, names


@given(st.integers(0, 2**32))
def test_the_interval_excludes_nought_exactly_where_p_is_small(seed: int) -> None:
    a, b, names = clustered(random.Random(seed))
    found = paired(a, b, names, draws=200, seed=seed)
    assert -1 <= found.low <= found.difference <= found.high <= 1
    assert (found.p_value <= ALPHA) == (not found.low <= 0 <= found.high)


def test_a_little_more_in_every_prompt_is_more() -> None:
    """Twelve prompts, each broken once more of twelve: unseen ones used to hide that."""
    b = [n % 12 == 0 for n in range(144)]
    found = paired([False] * 144, b, [n // 12 for n in range(144)])
    assert found.p_value == pytest.approx(2**-11)
    assert found.low == pytest.approx(1 / 12)
    assert found.high > 0.15, "though in a prompt that nobody saw all could differ"


@pytest.mark.parametrize("seed", range(4))
def test_the_interval_is_that_of_all_signs(seed: int) -> None:
    """Ten clusters: a difference is in it if more than 5 % of 2¹⁰ signs sum to as much."""
    rng = random.Random(seed)
    sizes = np.array([rng.randint(1, 4) for _ in range(10)])
    sums = np.array([rng.randint(-1, int(size)) for size in sizes])
    signs = np.array(list(product((1, -1), repeat=10)))

    def p_value(difference: float) -> float:
        rest = sums - difference * sizes
        return float((np.abs(signs @ rest) >= abs(rest.sum()) - 1e-9).mean())

    low, high = _inverted(sums, sizes, 40_000, seed)
    for end, inward in ((low, 1), (high, -1)):
        assert p_value(end + inward * 0.02) > ALPHA - 0.005
        assert p_value(end - inward * 0.02) < ALPHA + 0.005


@pytest.mark.parametrize("seed", range(4))
def test_the_bootstrap_is_that_of_every_resample(seed: int) -> None:
    """Four clusters and the two that nobody saw: 6⁶ resamples, all of them."""
    rng = random.Random(seed)
    sizes = np.array([rng.randint(1, 4) for _ in range(4)])
    sums = np.array([rng.randint(-1, int(size)) for size in sizes])
    low, high = _bootstrapped(sums, sizes, 40_000, seed)
    average = sizes.mean()
    sums, sizes = np.array([*sums, average, -average]), np.array([*sizes, average, average])
    picks = np.array(list(product(range(6), repeat=6)))
    every = sums[picks].sum(axis=1) / sizes[picks].sum(axis=1)
    for beyond in (every - low, high - every):
        assert (beyond < -1e-9).mean() < 0.03
        assert (beyond < 1e-9).mean() > 0.02


@pytest.mark.parametrize("clusters", range(1, 6))
def test_fewer_than_six_prompts_exclude_nothing(clusters: int) -> None:
    found = paired([False] * clusters, [True] * clusters, list(range(clusters)))
    assert (found.difference, found.low, found.high) == (1, -1, 1)


def test_the_interval_does_not_collapse_where_nothing_differs() -> None:
    few = paired([False] * 3, [False] * 3, [1, 2, 3])
    many = paired([False] * 300, [False] * 300, list(range(300)))
    assert (few.difference, few.p_value, many.p_value) == (0, 1, 1)
    assert few.high - few.low > 0.8
    assert 0.01 < many.high - many.low < 0.04


def test_the_same_seed_gives_the_same_interval() -> None:
    rng = random.Random(3)
    a, b = ([rng.random() < 0.4 for _ in range(60)] for _ in range(2))
    clusters = [n // 3 for n in range(60)]
    first = paired(a, b, clusters, seed=5)
    assert paired(a, b, clusters, seed=5) == first
    few = [paired(a, b, clusters, draws=9, seed=seed) for seed in (5, 6)]
    assert few[0] != few[1]
    swapped = paired(b, a, clusters, seed=5)
    assert (swapped.difference, swapped.p_value) == (-first.difference, first.p_value)


def test_draws_come_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    a, b, clusters = [False] * 9 + [True], [True] * 9 + [False], list(range(10))
    whole = paired(a, b, clusters, draws=1000)
    monkeypatch.setattr("surfcheck.paired._CELLS", 12 * 300)
    assert paired(a, b, clusters, draws=1000) == whole


def test_nothing_to_compare() -> None:
    with pytest.raises(ValueError, match="no pairs"):
        paired([], [], [])


# What they are worth


def resembling(rng: random.Random, clusters: int, each: int) -> Pairs:
    """Models of the same mean rate whose answers to one prompt have much in common."""
    a: list[bool] = []
    b: list[bool] = []
    for _ in range(clusters):
        for answers in (a, b):
            rate = rng.choice((0.05, 0.55))
            answers += [rng.random() < rate for _ in range(each)]
    return a, b, [n // each for n in range(clusters * each)]


def stopping(rng: random.Random, clusters: int, each: int) -> Pairs:
    """Equal models of which each stops at its own first violation; what both answered is paired."""
    a, b, names = [], [], []
    for cluster in range(clusters):
        runs = []
        for _ in range(2):
            run = [rng.random() < 0.2 for _ in range(each)]
            runs.append(run[: run.index(True) + 1] if True in run else run)
        for first, second in zip(*runs, strict=False):
            a.append(first)
            b.append(second)
            names.append(cluster)
    return a, b, names


@pytest.mark.parametrize("world", [resembling, stopping])
def test_p_values_of_equal_models_are_no_smaller_than_chance(
    world: Callable[[random.Random, int, int], Pairs],
) -> None:
    rng = random.Random(11)
    p_values = []
    for _ in range(500):
        a, b, names = world(rng, 20, 6)
        p_values.append(paired(a, b, names, draws=2).p_value)
    for alpha in (0.01, 0.05, 0.2, 0.5):
        below = sum(p <= alpha for p in p_values)
        assert binomtest(below, len(p_values), alpha, alternative="greater").pvalue > 0.001
    assert sum(p <= 0.5 for p in p_values) > 0.3 * len(p_values), "nor useless"


def test_pairs_of_one_prompt_taken_for_independent_would_be_called_different_too_often() -> None:
    rng = random.Random(11)
    naive = []
    for _ in range(300):
        a, b, _ = resembling(rng, 20, 6)
        only_a = sum(x and not y for x, y in zip(a, b, strict=True))
        only_b = sum(y and not x for x, y in zip(a, b, strict=True))
        naive.append(mcnemar(only_a, only_b))
    assert sum(p <= 0.05 for p in naive) > 0.1 * len(naive)


@pytest.mark.parametrize("clusters", [6, 12, 25])
@pytest.mark.parametrize(("rate_a", "rate_b"), [(0.1, 0.1), (0.05, 0.3), (0.5, 0.6)])
def test_the_interval_covers_the_difference(rate_a: float, rate_b: float, clusters: int) -> None:
    rng = random.Random(7)
    runs, covered = 300, 0
    for _ in range(runs):
        a, b, names = [], [], []
        for cluster in range(clusters):
            shift = rng.choice((-0.05, 0.05))
            for _ in range(4):
                a.append(rng.random() < rate_a + shift)
                b.append(rng.random() < rate_b + shift)
                names.append(cluster)
        found = paired(a, b, names, draws=400)
        covered += found.low <= rate_b - rate_a <= found.high
    assert covered >= 0.93 * runs
